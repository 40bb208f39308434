# SPDX-License-Identifier: GPL-3.0-or-later
"""Ownership: what is owned goes when its last owner goes; foreground and orphan deletions are carried out.

Owners and dependents are found by uid in metadata views of every kind that can own or be owned. Events and
leases are neither.
"""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from navarch.api.errors import StatusError
from navarch.api.meta import Preconditions
from navarch.api.scheme import Kind, scheme
from navarch.client.informer import Informer
from navarch.client.workqueue import WorkQueue
from navarch.controllers import views
from navarch.controllers.base import Context
from navarch.controllers.views import ObjectView, Owner, PodView

log = logging.getLogger(__name__)

_FOREGROUND = "foregroundDeletion"
_ORPHAN = "orphan"
_UNOWNED = frozenset({"Event", "Lease", "CertificateSigningRequest"})

Key = tuple[int, str, str]  # (number of the kind, namespace, name)
Any_ = ObjectView | PodView


class GarbageCollector:
    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._queue: WorkQueue[Key] = WorkQueue("garbage collector")
        self._kinds: list[Kind[Any]] = [
            kind for kind in scheme() if kind.stored and kind.kind not in _UNOWNED and "watch" in kind.verbs
        ]
        self._informers: list[Informer[Any]] = []
        self._numbers = {(kind.api_version, kind.kind): n for n, kind in enumerate(self._kinds)}
        for number, kind in enumerate(self._kinds):
            informer: Informer[Any] = (
                views.pods(context.informers)
                if kind.kind == "Pod"
                else views.nodes(context.informers)
                if kind.kind == "Node"
                else context.informers.of(kind.type, view=ObjectView)
            )
            informer.index("owners", _owner_uids)
            self._informers.append(informer)
            informer.listen(self._listener(number))

    async def run(self) -> None:
        await self._queue.run(self._reconcile, workers=8)

    def _listener(self, number: int) -> Any:
        def listen(old: Any_ | None, new: Any_ | None) -> None:
            obj = new or old
            assert obj is not None
            meta = obj.metadata
            if new is None:
                for other, informer in enumerate(self._informers):
                    for dependent in informer.by_index("owners", meta.uid):
                        self._queue.add((other, dependent.metadata.namespace or "", dependent.metadata.name))
                for owner in meta.owner_references or ():
                    # A foreground deletion of the owner may have waited for this one.
                    at = self._numbers.get((owner.api_version, owner.kind))
                    if at is not None:
                        space = meta.namespace or "" if self._kinds[at].namespaced else ""
                        self._queue.add((at, space, owner.name))
            elif meta.owner_references or (meta.deletion_timestamp and meta.finalizers):
                self._queue.add((number, meta.namespace or "", meta.name))

        return listen

    async def _reconcile(self, key: Key) -> None:
        number, namespace, name = key
        obj = self._informers[number].get(name, namespace)
        if obj is None:
            return
        meta = obj.metadata
        kind = self._kinds[number]
        if meta.deletion_timestamp:
            if _FOREGROUND in (meta.finalizers or ()):
                await self._finish_foreground(kind, obj)
            elif _ORPHAN in (meta.finalizers or ()):
                await self._finish_orphan(kind, obj)
            return
        owners = meta.owner_references or []
        if not owners:
            return
        living = [owner for owner in owners if await self._lives(owner, meta.namespace)]
        if not living:
            await self._delete(kind, obj)
        elif all(self._waits_for_us(owner, meta.namespace) for owner in living):
            await self._delete(kind, obj, propagation="Foreground")

    async def _lives(self, owner: Owner, namespace: str | None) -> bool:
        """Whether the owner exists. The informer says yes; that it says no is checked with the server, for
        it may lag."""
        at = self._numbers.get((owner.api_version, owner.kind))
        if at is None:
            return True  # a kind we do not serve is not ours to judge
        kind = self._kinds[at]
        space = namespace if kind.namespaced else None
        known = self._informers[at].get(owner.name, space)
        if known is not None and known.metadata.uid == owner.uid:
            return True
        try:
            found = await self._client.get(kind.type, owner.name, space, view=ObjectView)
        except StatusError as error:
            if error.code == 404:
                return False
            raise
        return found.metadata.uid == owner.uid

    def _waits_for_us(self, owner: Owner, namespace: str | None) -> bool:
        at = self._numbers.get((owner.api_version, owner.kind))
        if at is None:
            return False
        known = self._informers[at].get(owner.name, namespace if self._kinds[at].namespaced else None)
        return (
            known is not None
            and bool(known.metadata.deletion_timestamp)
            and _FOREGROUND in (known.metadata.finalizers or ())
        )

    def _dependents(self, uid: str) -> list[tuple[Kind[Any], Any]]:
        return [
            (self._kinds[number], obj)
            for number, informer in enumerate(self._informers)
            for obj in informer.by_index("owners", uid)
        ]

    async def _finish_foreground(self, kind: Kind[Any], obj: Any_) -> None:
        waiting = False
        for dependent_kind, dependent in self._dependents(obj.metadata.uid):
            reference = next(
                o for o in dependent.metadata.owner_references or () if o.uid == obj.metadata.uid
            )
            waiting = waiting or bool(reference.block_owner_deletion)
            if not dependent.metadata.deletion_timestamp:
                number = self._numbers[dependent_kind.api_version, dependent_kind.kind]
                self._queue.add((number, dependent.metadata.namespace or "", dependent.metadata.name))
        if not waiting:
            await self._drop_finalizer(kind, obj, _FOREGROUND)

    async def _finish_orphan(self, kind: Kind[Any], obj: Any_) -> None:
        for dependent_kind, dependent in self._dependents(obj.metadata.uid):
            meta = dependent.metadata
            owners = [
                {name: value for name, value in msgspec.to_builtins(o).items() if value is not None}
                for o in meta.owner_references or ()
                if o.uid != obj.metadata.uid
            ]
            body = {"metadata": {"uid": meta.uid, "ownerReferences": owners or None}}
            await self._quietly(self._client.patch(dependent_kind.type, meta.name, meta.namespace, body))
        await self._drop_finalizer(kind, obj, _ORPHAN)

    async def _drop_finalizer(self, kind: Kind[Any], obj: Any_, finalizer: str) -> None:
        meta = obj.metadata
        left = [f for f in meta.finalizers or () if f != finalizer]
        body = {"metadata": {"resourceVersion": meta.resource_version, "finalizers": left or None}}
        await self._quietly(self._client.patch(kind.type, meta.name, meta.namespace, body))

    async def _delete(self, kind: Kind[Any], obj: Any_, propagation: str = "Background") -> None:
        meta = obj.metadata
        log.info("collecting %s %s: its owner is gone or going", kind.kind, meta.key)
        await self._quietly(
            self._client.delete(
                kind.type,
                meta.name,
                meta.namespace,
                preconditions=Preconditions(uid=meta.uid),
                propagation=propagation,
            )
        )

    @staticmethod
    async def _quietly(call: Any) -> None:
        """Gone already, or changed meanwhile (the change brings the object back to us): both are fine."""
        try:
            await call
        except StatusError as error:
            if error.code not in (404, 409):
                raise


def _owner_uids(obj: Any_) -> list[str]:
    return [owner.uid for owner in obj.metadata.owner_references or ()]
