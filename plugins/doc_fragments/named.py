# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of which objects an ``_info`` module returns (``_module.args.named_spec``)."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  name:
    description: Only the object of this name.
    type: str
"""

    # for kinds that are in namespaces
    NAMESPACED = r"""
options:
  namespace:
    description:
      - Namespace to look into. By default all of them, or V(default) when O(name) is set.
    type: str
"""

    # for what may hold secrets
    REVEAL = r"""
options:
  reveal:
    description:
      - Whether to return what secrets hold.
      - The result of such a task is never printed, at any verbosity, as if it had C(no_log). It can be
        registered. Tasks that use it need C(no_log) of their own where they would show it.
    type: bool
    default: false
"""
