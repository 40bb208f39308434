# SPDX-License-Identifier: GPL-3.0-or-later
"""ConfigMaps and Secrets that pods of this node name.

Each watched by name while a pod needs it, so that changes arrive as events.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from navarch.api.core.configmap import ConfigMap
from navarch.api.core.secret import Secret
from navarch.client.base import Client
from navarch.client.informer import Informer

_Key = tuple[type[Any], str, str]

#: How long a pod waits for the first answer before it fails; it is tried again.
_PATIENCE = 10.0


class ObjectUnavailable(Exception):
    """The master did not answer, or not let us see it."""


class ObjectSource:
    """Objects by namespace and name.

    A pod that used an object is woken by every later change, until release().
    """

    def __init__(self, client: Client, wake: Callable[[str], None]) -> None:
        self._client = client
        self._wake = wake
        self._informers: dict[_Key, tuple[Informer[Any], asyncio.Task[None]]] = {}
        self._users: dict[_Key, set[str]] = {}

    def for_pod(self, uid: str) -> PodObjects:
        return PodObjects(self, uid)

    async def find(self, uid: str, kind: type[Any], namespace: str, name: str) -> Any | None:
        key = (kind, namespace, name)
        self._users.setdefault(key, set()).add(uid)
        if key not in self._informers:
            informer: Informer[Any] = Informer(
                self._client, kind, namespace=namespace, fields=f"metadata.name={name}"
            )
            task = asyncio.create_task(informer.run(), name=f"{kind.__name__} {namespace}/{name}")
            self._informers[key] = (informer, task)
            informer.listen(lambda old, new: self._changed(key, old, new))
        informer, _ = self._informers[key]
        try:
            async with asyncio.timeout(_PATIENCE):
                await informer.synced.wait()
        except TimeoutError:
            raise ObjectUnavailable(
                f"cannot read {kind.__name__} {namespace}/{name} from the master"
            ) from None
        return informer.get(name, namespace)

    def _changed(self, key: _Key, old: Any, new: Any) -> None:
        if not self._informers[key][0].synced.is_set():
            return  # the first list: its caller is waiting
        for uid in self._users.get(key, ()):
            self._wake(uid)

    def release(self, uid: str) -> None:
        """The pod is gone: what only it needed is watched no more."""
        for key, users in list(self._users.items()):
            users.discard(uid)
            if not users:
                del self._users[key]
                entry = self._informers.pop(key, None)
                if entry is not None:
                    entry[1].cancel()

    async def close(self) -> None:
        tasks = [task for _, task in self._informers.values()]
        self._informers.clear()
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


class PodObjects:
    """The source as one pod sees it. Values are bytes; None is: there is no such object."""

    def __init__(self, source: ObjectSource, uid: str) -> None:
        self._source = source
        self._uid = uid

    async def config_map(self, namespace: str, name: str, *, binary: bool = True) -> dict[str, bytes] | None:
        """binary: with binaryData, which is for files and no variable's value."""
        found: ConfigMap | None = await self._source.find(self._uid, ConfigMap, namespace, name)
        if found is None:
            return None
        data = {key: text.encode() for key, text in (found.data or {}).items()}
        if not binary:
            return data
        return data | {key: bytes(value) for key, value in (found.binary_data or {}).items()}

    async def secret(self, namespace: str, name: str) -> dict[str, bytes] | None:
        found: Secret | None = await self._source.find(self._uid, Secret, namespace, name)
        if found is None:
            return None
        return {key: bytes(value) for key, value in (found.data or {}).items()}
