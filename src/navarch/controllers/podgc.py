# SPDX-License-Identifier: GPL-3.0-or-later
"""Pod garbage: pods of nodes that are no more, pods deleted before they had a node, and finished pods beyond
what is kept."""

from __future__ import annotations

import asyncio
import logging

from navarch.api.core.node.node import Node
from navarch.api.core.pod.pod import Pod
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import Preconditions
from navarch.controllers import disruption, views
from navarch.controllers.base import Context
from navarch.controllers.views import PodView

log = logging.getLogger(__name__)

_PERIOD = 20.0
#: A node must have been missing this long before its pods go: its object may be made again.
_QUARANTINE = 40.0
_FINISHED_KEPT = 12_500


class PodGC:
    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._pods = views.pods(context.informers)
        self._nodes = views.nodes(context.informers)
        self._missing: dict[str, float] = {}

    async def run(self) -> None:
        while True:
            for pod, why in self._garbage(asyncio.get_running_loop().time()):
                await self._remove(pod, why)
            await asyncio.sleep(_PERIOD)

    def _garbage(self, clock: float) -> list[tuple[PodView, str]]:
        found: list[tuple[PodView, str]] = []
        finished: list[PodView] = []
        missing: dict[str, float] = {}
        for pod in self._pods.items():
            node = pod.spec.node_name
            if not node:
                if pod.metadata.deletion_timestamp:
                    found.append((pod, "deleted before it had a node"))
            elif self._nodes.get(node) is None:
                since = missing.setdefault(node, self._missing.get(node, clock))
                if clock - since >= _QUARANTINE:
                    found.append((pod, f"node {node} is gone"))
            elif pod.finished and not pod.metadata.deletion_timestamp:
                finished.append(pod)
        self._missing = missing
        surplus = len(finished) - _FINISHED_KEPT
        if surplus > 0:
            finished.sort(key=lambda pod: pod.metadata.creation_timestamp or "")
            found += [(pod, "too many finished pods") for pod in finished[:surplus]]
        return found

    async def _remove(self, pod: PodView, why: str) -> None:
        meta = pod.metadata
        log.info("removing pod %s: %s", meta.key, why)
        try:
            if pod.spec.node_name and self._nodes.get(pod.spec.node_name) is None:
                if not await self._gone(pod.spec.node_name):
                    return
                message = "PodGC: node no longer exists"
                await disruption.set_condition(self._client, pod, "DeletionByPodGC", message, phase="Failed")
            await self._client.delete(
                Pod, meta.name, meta.namespace, grace=0, preconditions=Preconditions(uid=meta.uid)
            )
        except StatusError as error:
            if error.code not in (404, 409):
                log.warning("removing pod %s: %s", meta.key, error)

    async def _gone(self, node: str) -> bool:
        """What the server says: the informer may lag, and a Node whose stored object is damaged is not gone.

        Raises StatusError.
        """
        try:
            await self._client.get(Node, node)
        except StatusError as error:
            if error.code == 404:
                return True
            raise
        return False
