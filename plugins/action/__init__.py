# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Loads what every task needs. Ansible's main process imports this file when it looks an action up, before it
forks a worker for each task. So workers inherit the modules and load nothing. Nothing else belongs here.
"""

from __future__ import annotations

# ruff: noqa: F401  # Imported for sys.modules alone: forked workers find the modules loaded.
from ansible_collections.navarch.cluster.plugins.module_utils._module import runner
from ansible_collections.navarch.cluster.plugins.module_utils._pods import logs, spec, state
from ansible_collections.navarch.cluster.plugins.module_utils._resources import (
    apply,
    info,
    nodes,
    present,
    rollout,
    scheduling,
    simple_kinds,
)
from ansible_collections.navarch.cluster.plugins.module_utils._wait import waiting
from ansible_collections.navarch.cluster.plugins.plugin_utils import in_process
