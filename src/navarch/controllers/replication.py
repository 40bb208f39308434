# SPDX-License-Identifier: GPL-3.0-or-later
"""ReplicationController: as many pods as it says. What there is to do is in `lib.replicas`."""

from __future__ import annotations

from navarch.api.core.replicationcontroller import (
    ReplicationController,
    ReplicationControllerCondition,
    ReplicationControllerStatus,
)
from navarch.api.machinery import selectors
from navarch.api.machinery.selectors import Selector
from navarch.controllers.lib.replicas import Replicas


class Replication(Replicas[ReplicationController]):
    object_type = ReplicationController
    status_type = ReplicationControllerStatus
    condition_type = ReplicationControllerCondition

    def selector(self, owner: ReplicationController) -> Selector:
        given = owner.spec.selector if owner.spec else None
        return selectors.from_map(given) if given else selectors.NOTHING
