# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of selectors (``_module.args.selectors_spec``)."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  label_selectors:
    description: Only objects whose labels match all of these, such as V(app=web), V(tier notin (test\)) or
      V(!draft).
    type: list
    elements: str
    default: []
  field_selectors:
    description: Only objects whose fields match all of these, such as V(spec.nodeName=node-1).
    type: list
    elements: str
    default: []
"""
