# SPDX-License-Identifier: GPL-3.0-or-later
"""The priority level of a user, which its connections (`serving.peers`) and requests (`flowcontrol`) have."""

from __future__ import annotations

from navarch.auth.authz.roles import MASTERS
from navarch.auth.user import User
from navarch.serving.peers import EXEMPT, SYSTEM, WORKLOAD

NODES = "system:nodes"


def level_of(user: User) -> str:
    """Administrators, nodes, and the rest."""
    if MASTERS in user.groups:
        return EXEMPT
    return SYSTEM if NODES in user.groups else WORKLOAD
