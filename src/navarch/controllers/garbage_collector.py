# SPDX-License-Identifier: GPL-3.0-or-later
"""Ownership: what is owned goes when its last owner goes; foreground and orphan deletions are carried out.

Owners and dependents are found by uid in metadata views of every kind that can own or be owned. Events are
neither. An update that changes nothing of this (most do: leases renewed, states of pods) is not looked at.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any

import msgspec
from msgspec.structs import replace

from navarch.api.builtin import scheme
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import Preconditions
from navarch.api.machinery.scheme import Kind
from navarch.client.events import Reference
from navarch.client.informer import Informer, Informers
from navarch.client.workqueue import WorkQueue
from navarch.controllers import views
from navarch.controllers.base import Context
from navarch.controllers.views import LeaseView, NodeView, ObjectView, Owner, PodView

log = logging.getLogger(__name__)

_FOREGROUND = "foregroundDeletion"
_ORPHAN = "orphan"
#: Kinds of which other controllers keep a cache already.
_SHARED: dict[str, Callable[[Informers], Informer[Any]]] = {
    "Lease": views.leases,
    "Node": views.nodes,
    "Pod": views.pods,
}
#: Seconds until an object that had changed under us is looked at again.
_AGAIN = 0.1

Key = tuple[int, str, str]  # (number of the kind, namespace, name)
AnyView = ObjectView | PodView | NodeView | LeaseView


class _State(Enum):
    """Of an owner."""

    LIVES = 1
    GONE = 2
    WAITS = 3  # being deleted, after what it owns


class GarbageCollector:
    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._events = context.events
        self._queue: WorkQueue[Key] = WorkQueue("garbage collector")
        self._kinds: list[Kind[Any]] = [
            kind for kind in scheme() if kind.stored and kind.collected and "watch" in kind.verbs
        ]
        self._informers: list[Informer[Any]] = []
        self._numbers = {(kind.api_version, kind.kind): n for n, kind in enumerate(self._kinds)}
        for number, kind in enumerate(self._kinds):
            shared = _SHARED.get(kind.kind)
            informer: Informer[Any] = (
                shared(context.informers) if shared else context.informers.of(kind.type, view=ObjectView)
            )
            informer.index("owners", _owner_uids)
            self._informers.append(informer)
            informer.listen(self._listener(number))

    async def run(self) -> None:
        await self._queue.run(self._reconcile, workers=8)

    def _listener(self, number: int) -> Any:
        def listen(old: AnyView | None, new: AnyView | None) -> None:
            if old is not None and new is not None and old.metadata.uid != new.metadata.uid:
                listen(old, None)
                old = None
            elif old is not None and new is not None and _relevant(old) == _relevant(new):
                return
            obj = new or old
            assert obj is not None
            meta = obj.metadata
            if new is None:
                for other, dependent in self._dependents(meta.uid):
                    self._queue.add((other, dependent.metadata.namespace or "", dependent.metadata.name))
            elif meta.owner_references or (meta.deletion_timestamp and meta.finalizers):
                self._queue.add((number, meta.namespace or "", meta.name))
            if old is not None:
                self._wake_owners(old, new)

        return listen

    def _wake_owners(self, old: AnyView, new: AnyView | None) -> None:
        """A foreground deletion of an owner may have waited for this one, and need not any more."""
        left = {
            o.uid for o in (new.metadata.owner_references if new else None) or () if o.block_owner_deletion
        }
        for owner in old.metadata.owner_references or ():
            at = self._numbers.get((owner.api_version, owner.kind))
            if at is not None and owner.uid not in left:
                space = old.metadata.namespace or "" if self._kinds[at].namespaced else ""
                self._queue.add((at, space, owner.name))

    async def _reconcile(self, key: Key) -> None:
        number, namespace, name = key
        obj = self._informers[number].get(name, namespace)
        if obj is None:
            return
        meta = obj.metadata
        kind = self._kinds[number]
        if meta.deletion_timestamp:
            if _FOREGROUND in (meta.finalizers or ()):
                await self._finish_foreground(key, obj)
            elif _ORPHAN in (meta.finalizers or ()):
                await self._finish_orphan(key, obj)
            return
        owners = meta.owner_references or []
        if any((owner.api_version, owner.kind) not in self._numbers for owner in owners):
            return  # a kind we do not serve is not ours to judge
        if not kind.namespaced and (astray := [owner for owner in owners if self._namespaced(owner)]):
            # The owner's namespace is unknown, so it is unknown whether the owner is gone (Kubernetes
            # 1.20: such an object is never collected).
            self._record_event(kind, obj, astray[0])
            return
        states = [await self._state(owner, meta.namespace) for owner in owners]
        if _State.LIVES in states:
            kept = [o for o, state in zip(owners, states, strict=True) if state is _State.LIVES]
            if len(kept) < len(owners):
                # Also those that wait: an owner must not wait for ever for what another one keeps.
                await self._set_owners(key, obj, kept)
        elif _State.WAITS in states and (dependents := self._dependents(meta.uid)):
            if any(_waits(dependent) for _, dependent in dependents):
                # Perhaps a circle, in which each waits for the next: no owner waits for this one.
                if not await self._set_owners(
                    key, obj, [replace(o, block_owner_deletion=False) for o in owners]
                ):
                    return
                obj = replace(obj, metadata=replace(meta, resource_version=""))
            await self._delete(key, obj, "Foreground")
        elif owners:
            finalizers = meta.finalizers or ()
            requested = (
                "Orphan" if _ORPHAN in finalizers else "Foreground" if _FOREGROUND in finalizers else ""
            )
            await self._delete(key, obj, requested or "Background")

    async def _state(self, owner: Owner, namespace: str | None) -> _State:
        """What the informer says of an owner. That it is gone is checked with the server: the informer may
        lag."""
        at = self._numbers[owner.api_version, owner.kind]
        kind = self._kinds[at]
        space = namespace if kind.namespaced else None
        found: AnyView | None = self._informers[at].get(owner.name, space)
        if found is None or found.metadata.uid != owner.uid:
            try:
                found = await self._client.get(kind.type, owner.name, space, view=ObjectView)
            except StatusError as error:
                if error.code == 404:
                    return _State.GONE
                raise
        if found.metadata.uid != owner.uid:
            return _State.GONE
        return _State.WAITS if _waits(found) else _State.LIVES

    def _namespaced(self, owner: Owner) -> bool:
        at = self._numbers.get((owner.api_version, owner.kind))
        return at is not None and self._kinds[at].namespaced

    def _record_event(self, kind: Kind[Any], obj: AnyView, owner: Owner) -> None:
        meta = obj.metadata
        about = Reference(kind=kind.kind, name=meta.name, uid=meta.uid, api_version=kind.api_version)
        self._events.record(
            about,
            "Warning",
            "OwnerRefInvalidNamespace",
            f"{kind.kind} {meta.name} has no namespace, so its owner {owner.kind} {owner.name} cannot be"
            " found: it is not deleted with it. Take the owner reference away",
        )

    def _dependents(self, uid: str) -> list[tuple[int, Any]]:
        """With the numbers of their kinds."""
        return [
            (number, obj)
            for number, informer in enumerate(self._informers)
            for obj in informer.by_index("owners", uid)
        ]

    async def _finish_foreground(self, key: Key, obj: AnyView) -> None:
        waiting = False
        for number, dependent in self._dependents(obj.metadata.uid):
            if self._kinds[key[0]].namespaced and not self._kinds[number].namespaced:
                continue  # its reference means nothing
            reference = next(
                o for o in dependent.metadata.owner_references or () if o.uid == obj.metadata.uid
            )
            waiting = waiting or bool(reference.block_owner_deletion)
            if not dependent.metadata.deletion_timestamp:
                self._queue.add((number, dependent.metadata.namespace or "", dependent.metadata.name))
        if not waiting:
            await self._drop_finalizer(key, obj, _FOREGROUND)

    async def _finish_orphan(self, key: Key, obj: AnyView) -> None:
        uid = obj.metadata.uid
        for number, dependent in await self._dependents_now(key, uid):
            meta = dependent.metadata
            kept = [o for o in meta.owner_references or () if o.uid != uid]
            if not await self._set_owners((number, meta.namespace or "", meta.name), dependent, kept):
                self._queue.add_after(key, _AGAIN)
                return
        await self._drop_finalizer(key, obj, _ORPHAN)

    async def _dependents_now(self, owner: Key, uid: str) -> list[tuple[int, Any]]:
        """By the server: one that an informer has not heard of would be collected when its owner is gone."""
        inside = self._kinds[owner[0]].namespaced
        found: list[tuple[int, Any]] = []
        for number, kind in enumerate(self._kinds):
            if inside and not kind.namespaced:
                continue  # its reference means nothing
            listing = await self._client.list(kind.type, owner[1] or None, view=ObjectView)
            found += [(number, one) for one in listing.items if uid in _owner_uids(one)]
        return found

    async def _set_owners(self, key: Key, obj: AnyView, owners: list[Owner]) -> bool:
        """Whether it was done (or need not be); if not, the object is looked at again."""
        plain = [
            {name: value for name, value in msgspec.to_builtins(o).items() if value is not None}
            for o in owners
        ]
        return await self._patch(key, obj, {"ownerReferences": plain or None})

    async def _drop_finalizer(self, key: Key, obj: AnyView, finalizer: str) -> None:
        left = [f for f in obj.metadata.finalizers or () if f != finalizer]
        await self._patch(key, obj, {"finalizers": left or None})

    async def _patch(self, key: Key, obj: AnyView, change: dict[str, Any]) -> bool:
        meta = obj.metadata
        body = {"metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version, **change}}
        kind = self._kinds[key[0]]
        return await self._done(key, self._client.patch(kind.type, meta.name, meta.namespace, body))

    async def _delete(self, key: Key, obj: AnyView, propagation: str) -> None:
        meta = obj.metadata
        kind = self._kinds[key[0]]
        log.info("collecting %s %s: its owner is gone or going", kind.kind, meta.key)
        # The version too: it may have got another owner meanwhile.
        preconditions = Preconditions(uid=meta.uid, resource_version=meta.resource_version or None)
        call = self._client.delete(
            kind.type, meta.name, meta.namespace, preconditions=preconditions, propagation=propagation
        )
        await self._done(key, call)

    async def _done(self, key: Key, call: Awaitable[Any]) -> bool:
        """False when the object had changed: it is looked at again when that may have come here. One that is
        gone already is fine."""
        try:
            await call
        except StatusError as error:
            if error.code == 409:
                self._queue.add_after(key, _AGAIN)
                return False
            if error.code != 404:
                raise
        return True


def _owner_uids(obj: AnyView) -> list[str]:
    return [owner.uid for owner in obj.metadata.owner_references or ()]


def _relevant(obj: AnyView) -> tuple[Any, ...]:
    meta = obj.metadata
    return meta.owner_references, meta.deletion_timestamp, meta.finalizers


def _waits(obj: AnyView) -> bool:
    """Whether it is being deleted, after what it owns."""
    meta = obj.metadata
    return bool(meta.deletion_timestamp) and _FOREGROUND in (meta.finalizers or ())
