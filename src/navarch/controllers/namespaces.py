# SPDX-License-Identifier: GPL-3.0-or-later
"""Namespace deletion: everything in a terminating namespace is deleted, then the namespace is let go."""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from navarch.api.errors import StatusError
from navarch.api.meta import Preconditions
from navarch.api.namespace import Namespace
from navarch.api.scheme import Kind, scheme
from navarch.client.informer import Informer
from navarch.client.workqueue import WorkQueue
from navarch.controllers.base import Context
from navarch.controllers.views import ObjectView

log = logging.getLogger(__name__)

_FINALIZER = "kubernetes"
_PERIOD = 2.0


class Namespaces:
    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._namespaces: Informer[Namespace] = context.informers.of(Namespace)
        self._queue: WorkQueue[str] = WorkQueue("namespaces")
        self._namespaces.listen(self._on_namespace)
        self._kinds: list[Kind[Any]] = [
            kind
            for kind in scheme()
            if kind.namespaced and kind.stored and "delete" in kind.verbs and "list" in kind.verbs
        ]

    async def run(self) -> None:
        await self._queue.run(self._reconcile, workers=2)

    def _on_namespace(self, old: Namespace | None, new: Namespace | None) -> None:
        if new is not None and new.metadata.deletion_timestamp:
            self._queue.add(new.metadata.name or "")

    async def _reconcile(self, name: str) -> None:
        namespace = self._namespaces.get(name)
        if namespace is None or not namespace.metadata.deletion_timestamp:
            return
        left = 0
        for kind in self._kinds:
            left += await self._empty(kind, name)
        if left:
            self._queue.add_after(name, _PERIOD if left < 100 else _PERIOD * 2)
            return
        finalizers = [
            f for f in (namespace.spec.finalizers if namespace.spec else None) or () if f != _FINALIZER
        ]
        spec = (
            msgspec.structs.replace(namespace.spec, finalizers=finalizers or None) if namespace.spec else None
        )
        try:
            await self._client.update(msgspec.structs.replace(namespace, spec=spec), subresource="finalize")
        except StatusError as error:
            if error.code == 409:
                self._queue.add_after(name, 0.1)
            elif error.code != 404:
                raise

    async def _empty(self, kind: Kind[Any], namespace: str) -> int:
        """Delete what is there. Returns how many objects are not gone yet."""
        listing = await self._client.list(kind.type, namespace, view=ObjectView)
        left = 0
        for obj in listing.items:
            meta = obj.metadata
            if not meta.deletion_timestamp:
                try:
                    await self._client.delete(
                        kind.type, meta.name, namespace, preconditions=Preconditions(uid=meta.uid)
                    )
                except StatusError as error:
                    if error.code not in (404, 409):
                        raise
            left += 1
        if left:
            # Most kinds are gone by now; only what ends gracefully or has finalizers is worth coming back
            # for.
            left = len((await self._client.list(kind.type, namespace, view=ObjectView)).items)
        return left
