# SPDX-License-Identifier: GPL-3.0-or-later
"""The client of parts that live in the master's process: straight into the registry, no HTTP, no encoding.

Objects are the registry's own (frozen, shared); what is decoded, is decoded from the stored bytes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from navarch.api.authentication.tokenreview import TokenRequest
from navarch.api.machinery import decoders
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import DeleteOptions, Preconditions
from navarch.api.machinery.scheme import Kind
from navarch.api.machinery.selectors import FieldSelector, Selector, parse_fields, parse_labels
from navarch.auth.user import User
from navarch.client.base import Listing, PatchType, WatchEvent
from navarch.registry.context import Context
from navarch.registry.query import Query
from navarch.registry.reading import Bookmark, Watching
from navarch.registry.registry import Registry
from navarch.store.cache import Change, Entry

Read = Callable[[Entry], Any]


def _decoder(view: Any) -> Callable[[bytes], Any]:
    return decoders.of(view).decode


class LocalWatch:
    """client.base.Watch over a registry's watch."""

    def __init__(self, watching: Watching, read: Read) -> None:
        self._watching = watching
        self._read = read
        self._closed = False

    def __aiter__(self) -> AsyncIterator[list[WatchEvent[Any]]]:
        return self._batches()

    async def _batches(self) -> AsyncIterator[list[WatchEvent[Any]]]:
        while not self._closed:
            try:
                batch = await self._watching.next()
            except StatusError as exc:
                if self._closed or exc.code == 503:
                    return
                raise
            if isinstance(batch, Bookmark):
                yield [WatchEvent("BOOKMARK", None, str(batch.revision))]
            else:
                yield [self._event(change) for change in batch.changes]

    def _event(self, change: Change) -> WatchEvent[Any]:
        entry = change.entry
        return WatchEvent(change.kind, self._read(entry), str(entry.revision))

    async def close(self) -> None:
        self._closed = True
        self._watching.close()


class LocalClient:
    """client.base.Client for a part of the master, as `user`."""

    def __init__(self, registry: Registry, user: User) -> None:
        self._registry = registry
        self._user = user

    def _context(self) -> Context:
        return Context(self._user, field_manager=self._user.name)

    def _kind(self, kind: type[Any]) -> Kind[Any]:
        return self._registry.scheme.of(kind)

    def _reader(self, kind: Kind[Any], view: type[Any] | None) -> Read:
        if view is None or view is kind.type:
            read = self._registry.object
            return lambda entry: read(kind, entry)
        decode = _decoder(view)
        return lambda entry: decode(entry.value)

    async def get(
        self, kind: type[Any], name: str, namespace: str | None = None, *, view: type[Any] | None = None
    ) -> Any:
        which = self._kind(kind)
        stored = self._registry.get(which, namespace, name, self._context())
        return _decoder(view or kind)(stored.value)

    async def list(
        self,
        kind: type[Any],
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        view: type[Any] | None = None,
    ) -> Listing[Any]:
        which = self._kind(kind)
        query = Query(namespace, *_selectors(labels, fields))
        found = self._registry.list(which, query, self._context())
        read = self._reader(which, view)
        return Listing([read(entry) for entry in found.entries], str(found.revision))

    async def watch(
        self,
        kind: type[Any],
        namespace: str | None = None,
        *,
        since: str,
        labels: str = "",
        fields: str = "",
        view: type[Any] | None = None,
    ) -> LocalWatch:
        which = self._kind(kind)
        query = Query(namespace, *_selectors(labels, fields), resource_version=since, bookmarks=True)
        watching = self._registry.watch(which, query, self._context())
        return LocalWatch(watching, self._reader(which, view))

    async def create(self, obj: Any, namespace: str | None = None) -> Any:
        kind = self._kind(type(obj))
        where = (obj.metadata.namespace or namespace) if kind.namespaced else None
        return (await self._registry.create(kind, where, obj, self._context())).obj

    async def update(self, obj: Any, *, subresource: str = "") -> Any:
        kind = self._kind(type(obj))
        meta = obj.metadata
        stored = await self._registry.update(
            kind, meta.namespace, meta.name or "", obj, self._context(), subresource=subresource
        )
        return stored.obj

    async def patch(
        self,
        kind: type[Any],
        name: str,
        namespace: str | None,
        body: Any,
        *,
        type: PatchType = "merge",
        subresource: str = "",
    ) -> Any:
        stored = await self._registry.patch(
            self._kind(kind), namespace, name, body, type, self._context(), subresource=subresource
        )
        return stored.obj

    async def delete(
        self,
        kind: type[Any],
        name: str,
        namespace: str | None = None,
        *,
        grace: int | None = None,
        preconditions: Preconditions | None = None,
        propagation: str | None = None,
    ) -> None:
        options = DeleteOptions(
            grace_period_seconds=grace, preconditions=preconditions, propagation_policy=propagation
        )
        await self._registry.delete(self._kind(kind), namespace, name, options, self._context())

    async def create_token(self, request: TokenRequest) -> TokenRequest:
        requested: TokenRequest = await self.create(request)
        return requested

    async def bind(self, name: str, namespace: str, node: str, *, uid: str | None = None) -> None:
        await self._registry.assign(namespace, name, node, self._context(), uid=uid)

    async def close(self) -> None:
        """The registry is its owner's to close."""


def _selectors(labels: str, fields: str) -> tuple[Selector | None, FieldSelector | None]:
    return parse_labels(labels) if labels else None, parse_fields(fields) if fields else None
