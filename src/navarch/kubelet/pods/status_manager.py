# SPDX-License-Identifier: GPL-3.0-or-later
"""Telling the master how pods stand.

One patch at a time a pod, changes in between coalesced, failures tried again.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from navarch.api.core.pod.pod import Pod
from navarch.api.core.pod.status import PodStatus
from navarch.api.machinery.errors import StatusError
from navarch.client.base import Client
from navarch.client.workqueue import WorkQueue
from navarch.kubelet.pods import status

log = logging.getLogger(__name__)

_AT_ONCE = 8


class Reporting(Protocol):
    """Who has a status: a pod's worker."""

    @property
    def pod(self) -> Pod: ...

    @property
    def gone(self) -> bool:
        """The master has no such pod any more."""

    def status(self) -> PodStatus: ...

    def acknowledged(self, pod: Pod) -> None:
        """The master has it: the pod as it is there now."""


class StatusManager:
    def __init__(self, client: Client) -> None:
        self._client = client
        self._queue: WorkQueue[str] = WorkQueue("pod status")
        self._pods: dict[str, Reporting] = {}
        self._one: dict[str, asyncio.Lock] = {}

    def add(self, uid: str, pod: Reporting) -> None:
        self._pods[uid] = pod
        self._one[uid] = asyncio.Lock()

    def discard(self, uid: str) -> None:
        self._pods.pop(uid, None)
        self._one.pop(uid, None)

    def post(self, uid: str, seconds: float) -> None:
        """Within so many seconds."""
        self._queue.add_after(uid, seconds)

    async def run(self) -> None:
        await self._queue.run(self.send, workers=_AT_ONCE)

    async def send(self, uid: str) -> None:
        """Post what differs. Raises StatusError when it should be tried again."""
        reporting = self._pods.get(uid)
        if reporting is None:
            return
        # A patch that is on its way and another after it might arrive the other way round.
        async with self._one[uid]:
            await self._send(uid, reporting)

    async def _send(self, uid: str, reporting: Reporting) -> None:
        if reporting.gone:
            return
        pod = reporting.pod
        new = reporting.status()
        if not status.changed(pod.status, new):
            return
        meta = pod.metadata
        try:
            stored = await self._client.patch(
                Pod,
                meta.name or "",
                meta.namespace,
                status.patch(uid, new),
                type="strategic",
                subresource="status",
            )
        except StatusError as error:
            if error.code in (404, 409, 422):
                # Gone, or another pod of that name by now; a refusal will not get better by itself.
                level = logging.WARNING if error.code == 422 else logging.DEBUG
                log.log(level, "status of %s/%s: %s", meta.namespace, meta.name, error)
                return
            raise
        reporting.acknowledged(stored)
