# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of waiting (``module_utils.args.wait_spec``)."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  wait:
    description:
      - Whether to wait until the cluster has done what was asked for. Not in check mode.
      - The wait follows the cluster's own news. It ends at once when the thing has failed, with the reason.
    type: bool
    default: false
  wait_timeout:
    description: How many seconds to wait at most. The failure then names what was last known.
    type: int
    default: 120
"""

    # for what makes pods
    PODS = r"""
options:
  wait_unschedulable:
    description:
      - Whether to go on waiting for a pod for which no node has room now, or may take it.
      - When V(false), the wait ends at once then, with the scheduler's reason.
    type: bool
    default: true
"""
