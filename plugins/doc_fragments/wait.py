# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of waiting (``_module.args.wait_spec``)."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  wait:
    description:
      - Whether to wait until the cluster has done what was asked for. Not in check mode.
      - The wait follows the cluster's own news. It ends at once when the thing has failed, with the reason.
      - A cluster that is away, as while its master restarts, or that is too busy, is tried again until
        O(wait_timeout). What the task sends is sent again where it was surely not done; else it is looked at
        first. Without O(wait=true) the task gives up after about two seconds.
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
  min_ready_seconds:
    description:
      - How many seconds a pod must have been ready without a restart before it counts. A container that ends
        at once is ready for a moment, starts again, ends again, and only then waits (C(CrashLoopBackOff)),
        which ends the wait with its exit code and the last line it wrote.
      - Pods of which each container has a readiness probe count at once, and so do pods that were ready
        before the task.
      - V(0) takes the first moment.
    type: int
    default: 2
"""
