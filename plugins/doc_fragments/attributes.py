# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of what modules can do. One of ``writes`` and ``reads`` completes the first part."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/navarch.cluster.cluster) in C(module_defaults) to set defaults for this module.
    support: full
    details:
      - On the controller these modules run in Ansible's own process, which takes a twentieth of the time of
        a module. What leaves that way is any other connection than C(local), C(become), C(async), another
        C(ansible_python_interpreter), and C(environment) with anything but C(K8S_AUTH_*) and C(KUBECONFIG).
        The result is the same.
    membership:
      - navarch.cluster.cluster
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying the target.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when
      in diff mode.
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second invocation
      indicates no change.
    support: full
"""

    WRITES = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - The cluster checks what would be sent to it, and stores nothing.
  diff_mode:
    support: full
"""

    READS = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - This module changes nothing.
  diff_mode:
    support: N/A
    details:
      - This module changes nothing.
"""
