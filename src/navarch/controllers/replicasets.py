# SPDX-License-Identifier: GPL-3.0-or-later
"""ReplicaSet: as many pods as it says. What there is to do is in `lib.replicas`."""

from __future__ import annotations

from collections.abc import Iterator

from navarch.api.apps.replicaset import ReplicaSet, ReplicaSetCondition, ReplicaSetStatus
from navarch.api.machinery import selectors
from navarch.api.machinery.selectors import Selector
from navarch.controllers.base import Context
from navarch.controllers.lib.owners import controller_of
from navarch.controllers.lib.replicas import Replicas
from navarch.controllers.views import PodView


class ReplicaSets(Replicas[ReplicaSet]):
    object_type = ReplicaSet
    status_type = ReplicaSetStatus
    condition_type = ReplicaSetCondition

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._owners.index("owner", lambda rs: [owner.uid] if (owner := controller_of(rs)) else [])

    def selector(self, owner: ReplicaSet) -> Selector:
        return selectors.from_struct(owner.spec.selector)

    def related(self, owner: ReplicaSet) -> Iterator[PodView]:
        """Pods of the other replica sets of its deployment: all of them should stay spread."""
        deployment = controller_of(owner)
        for other in self._owners.by_index("owner", deployment.uid) if deployment else ():
            if other.metadata.uid != owner.metadata.uid:
                for pod in self._pods.by_index("owner", other.metadata.uid or ""):
                    if not pod.finished and not pod.metadata.deletion_timestamp:
                        yield pod
