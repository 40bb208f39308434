# SPDX-License-Identifier: GPL-3.0-or-later
"""Following a set of objects: list once, then watch, and list again when the server says the version is gone.

`Reflector` calls a handler and keeps nothing. `Informer` is a reflector with a cache, indexes and several
listeners;
informers of one process share one cache a (kind, view, selectors) through `Informers`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Collection, Iterable
from typing import Any, Generic, Protocol, TypeVar

from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import ObjectMeta
from navarch.client.base import Client, WatchEvent

log = logging.getLogger(__name__)


class HasMetadata(Protocol):
    @property
    def metadata(self) -> ObjectMeta: ...


V = TypeVar("V", bound=Any)
Key = tuple[str, str]  # (namespace or "", name)


def key_of(obj: HasMetadata) -> Key:
    meta = obj.metadata
    return meta.namespace or "", meta.name or ""


class Handler(Protocol[V]):
    """What a reflector drives. Called on the loop; must not block or raise."""

    def replace(self, objects: list[V]) -> None:
        """The whole set as it is now: after the first list and after every one that followed a gap."""

    def apply(self, events: list[WatchEvent[V]]) -> None:
        """Changes since, in order. Bookmarks are not passed on."""


class Reflector(Generic[V]):
    def __init__(
        self,
        client: Client,
        kind: type[Any],
        handler: Handler[V],
        *,
        namespace: str | None = None,
        labels: str = "",
        fields: str = "",
        view: type[V] | None = None,
        sleep: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._kind = kind
        self._handler = handler
        self._namespace = namespace
        self._selectors = {"labels": labels, "fields": fields}
        self._options: dict[str, Any] = dict(self._selectors)
        if view is not None:
            self._options["view"] = view
        self._sleep = sleep
        self.synced = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled. A server that is away is tried again after 0.2 s, doubling to 10 s, with
        jitter."""
        version = ""
        delay = 0.2
        while True:
            try:
                if not version:
                    listing = await self._client.list(self._kind, self._namespace, **self._options)
                    self._handler.replace(listing.items)
                    version = listing.resource_version
                    self.synced.set()
                watch = await self._client.watch(self._kind, self._namespace, since=version, **self._options)
                try:
                    async for batch in watch:
                        delay = 0.2
                        version = batch[-1].resource_version or version
                        events = [e for e in batch if e.object is not None]
                        if events:
                            self._handler.apply(events)
                finally:
                    await watch.close()
            except StatusError as error:
                if error.code == 410:
                    version = ""
                    continue
                level = logging.DEBUG if error.code in (429, 503) else logging.WARNING
                log.log(level, "watching %s: %s", self._kind.__name__, error)
                if error.code not in (429, 503):
                    version = ""
                await self._sleep(delay * random.uniform(0.8, 1.2))
                delay = min(delay * 2, 10.0)
            else:
                # The server ended the watch, its time being up: a breath, so that a broken one is not
                # hammered.
                await self._sleep(0.05)


Listener = Callable[[V | None, V | None], None]  # (old, new): None old is an addition, None new a deletion


class Informer(Generic[V]):
    """A cache of one set of objects, by (namespace, name). Read `get`, `items`, `by_index`; be told by
    `listen`."""

    def __init__(self, client: Client, kind: type[Any], **options: Any) -> None:
        self._objects: dict[Key, V] = {}
        self._listeners: list[Listener[V]] = []
        self._indexers: dict[str, Callable[[V], Collection[str]]] = {}
        self._indexes: dict[str, dict[str, set[Key]]] = {}
        self._reflector: Reflector[V] = Reflector(client, kind, self, **options)
        self.kind = kind

    @property
    def synced(self) -> asyncio.Event:
        return self._reflector.synced

    async def run(self) -> None:
        await self._reflector.run()

    def listen(self, listener: Listener[V]) -> None:
        """Call back on every change. A late listener gets the present objects as additions."""
        self._listeners.append(listener)
        for obj in self._objects.values():
            listener(None, obj)

    def index(self, name: str, values: Callable[[V], Collection[str]]) -> None:
        """Keep an index: for each object the strings under which `by_index` finds it."""
        if name in self._indexers:
            return
        self._indexers[name] = values
        self._indexes[name] = {}
        for key, obj in self._objects.items():
            for value in values(obj):
                self._indexes[name].setdefault(value, set()).add(key)

    def get(self, name: str, namespace: str | None = None) -> V | None:
        return self._objects.get((namespace or "", name))

    def items(self) -> Iterable[V]:
        return self._objects.values()

    def __len__(self) -> int:
        return len(self._objects)

    def by_index(self, index: str, value: str) -> list[V]:
        keys = self._indexes[index].get(value)
        return [self._objects[key] for key in keys] if keys else []

    def count(self, index: str, value: str) -> int:
        """How many objects `by_index` would return, without making the list."""
        return len(self._indexes[index].get(value, ()))

    # Handler, called by the reflector.

    def replace(self, objects: list[V]) -> None:
        fresh = {key_of(obj): obj for obj in objects}
        for key in [key for key in self._objects if key not in fresh]:
            self._set(key, None)
        for key, obj in fresh.items():
            old = self._objects.get(key)
            if old is None or old.metadata.resource_version != obj.metadata.resource_version:
                self._set(key, obj)

    def apply(self, events: list[WatchEvent[V]]) -> None:
        for event in events:
            obj = event.object
            if obj is not None:
                self._set(key_of(obj), None if event.type == "DELETED" else obj)

    def _set(self, key: Key, new: V | None) -> None:
        old = self._objects.get(key)
        if new is None:
            if old is None:
                return
            del self._objects[key]
        else:
            self._objects[key] = new
        for name, values in self._indexers.items():
            index = self._indexes[name]
            before = values(old) if old is not None else ()
            after = values(new) if new is not None else ()
            if before == after:
                continue
            held, holds = set(before), set(after)
            for value in held - holds:
                keys = index[value]
                keys.discard(key)
                if not keys:
                    del index[value]
            for value in holds - held:
                index.setdefault(value, set()).add(key)
        for listener in self._listeners:
            listener(old, new)


class Informers:
    """The informers of one process: asking twice for the same set gives the same cache."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._informers: dict[tuple[Any, ...], Informer[Any]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def of(
        self,
        kind: type[Any],
        *,
        view: type[V] | None = None,
        namespace: str | None = None,
        labels: str = "",
        fields: str = "",
    ) -> Informer[V]:
        """Ask before start()."""
        key = (kind, view, namespace, labels, fields)
        if key not in self._informers:
            self._informers[key] = Informer(
                self.client, kind, view=view, namespace=namespace, labels=labels, fields=fields
            )
        return self._informers[key]

    async def start(self) -> None:
        """Start all and wait until each has listed once."""
        self._tasks = [
            asyncio.create_task(informer.run(), name=f"informer {informer.kind.__name__}")
            for informer in self._informers.values()
        ]
        for informer in self._informers.values():
            await informer.synced.wait()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks.clear()
