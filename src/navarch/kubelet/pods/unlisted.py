# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods of this node that the master's list lacks: whether they are deleted is asked for each.

A list also lacks an object whose stored bytes are damaged and set aside; a pod of such an object runs on
until the object is restored or deleted. Not here: ending a pod (`termination`), and pods whose deletion the
watch reports, which needs no question.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from navarch.api.core.pod.pod import Pod
from navarch.api.machinery.errors import StatusError
from navarch.client.base import Client

log = logging.getLogger(__name__)

#: Seconds between two questions about one pod: doubling from the first to the second.
_FIRST, _LONGEST = 1.0, 60.0


class UnlistedPods:
    def __init__(self, client: Client, deleted: Callable[[str], None]) -> None:
        """deleted: called with the uid of a pod that the master does not have on this node."""
        self._client = client
        self._deleted = deleted
        self._asking: dict[str, asyncio.Task[None]] = {}

    def ask(self, uid: str, namespace: str, name: str) -> None:
        """Until there is an answer, or `listed` is called."""
        if uid not in self._asking:
            self._asking[uid] = asyncio.create_task(
                self._ask(uid, namespace, name), name=f"unlisted pod {namespace}/{name}"
            )

    def listed(self, uid: str) -> None:
        """The master has the pod."""
        task = self._asking.pop(uid, None)
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        tasks = [*self._asking.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, uid: str, namespace: str, name: str) -> None:
        delay = _FIRST
        while not await self._is_deleted(uid, namespace, name):
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LONGEST)
        del self._asking[uid]
        self._deleted(uid)

    async def _is_deleted(self, uid: str, namespace: str, name: str) -> bool:
        """False: it is not, or the master cannot say."""
        try:
            found = await self._client.get(Pod, name, namespace)
        except StatusError as error:
            # 403 of the node authorizer: there is a pod of that name, and it is not on this node. For an
            # object that cannot be read it answers 500, for none 404.
            if error.code in (403, 404):
                return True
            log.warning("pod %s/%s is in no list, and runs on: %s", namespace, name, error)
            return False
        return found.metadata.uid != uid
