# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of what config maps and secrets have in common (``_resources.simple_kinds.data_spec``)."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  immutable:
    description: Whether it can never be changed again, but only be replaced or deleted.
    type: bool
  recreate:
    description:
      - Delete it and make a new one when the existing one cannot be changed.
      - When V(false), such a task fails and names the options.
    type: bool
    default: false
"""
