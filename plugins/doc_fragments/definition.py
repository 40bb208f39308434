# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of an object in the API's own words (``_resources.definition.definition_spec``)."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  name:
    description: Name of the object. By default that in O(definition). One of the two must be set.
    type: str
  definition:
    description:
      - The object in the API's own words, as a mapping or as text of one document in YAML or JSON.
      - C(apiVersion) and C(kind) may be left out, and cannot be others than those of this module.
      - What other options say is laid over it, mappings key by key, lists and values whole.
    type: raw
"""

    # for kinds that are in namespaces
    NAMESPACED = r"""
options:
  namespace:
    description: Namespace of the object. By default that in O(definition), or V(default).
    type: str
"""
