# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read by Ansible's main process when it looks an action up, before it forks a worker for each task.

What is imported here is there in every worker for nothing; left to them, each task would load and compile it
anew. Nothing else belongs here.
"""

from __future__ import annotations

from ansible_collections.navarch.cluster.plugins.module_utils import (  # noqa: F401  # only to have them loaded
    apply,
    finding,
    info,
    nodes,
    objects,
    podspec,
    podstate,
    resource,
    rollout,
    runner,
    scheduling,
    wait,
)
from ansible_collections.navarch.cluster.plugins.plugin_utils import in_process  # noqa: F401  # as above
