# SPDX-License-Identifier: GPL-3.0-or-later
"""The fan-out of a watch cache: which watcher gets which change, and in which form.

Watchers that ask the same form a group: its selector is evaluated once a change, and all its watchers get the
one `Batch` object, whose `frames` remember what an encoder made of it. Groups that select a field's value are
found by that value.

A watcher that does not keep up holds a bounded queue and then a revision: it reads on from the window when it
is ready, and is ended when the window has left it behind.

Not here: the state itself (`cache`), the changes kept for resuming (`window`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from navarch.store.base import StoreError, Unavailable

#: Key directories whose groups are remembered.
MAX_ROUTES = 4096
#: Bytes of the values in one batch, unless it is a single change.
BATCH_BYTES = 256 * 1024
#: Bytes that a change costs besides its values, about.
OVERHEAD = 300
#: Bytes that may wait for one watcher, by default, and how many changes.
UNREAD_BYTES = 64 << 20
UNREAD = 10_000
#: A field every entry has without its being indexed: the last part of its key.
NAME = "metadata.name"


class Lagging(StoreError):
    """The watcher did not keep up, and what it has not read is not kept any more; it must list again."""


class Entry(msgspec.Struct, gc=False):
    """A living object. Shared by everyone: never changed."""

    key: str
    #: As clients get it: spliced with the revision.
    value: bytes
    revision: int
    created: int
    labels: Mapping[str, str] | None
    fields: Mapping[str, str] | None
    hint: object = None

    def field(self, name: str) -> str | None:
        """A selectable field's value; None when it is not indexed."""
        if name == NAME:
            return self.key.rpartition("/")[2]
        return None if self.fields is None else self.fields.get(name)


Match = Callable[[Entry], bool]
By = tuple[str, str]


class Change(msgspec.Struct, gc=False):
    kind: Literal["ADDED", "MODIFIED", "DELETED"]
    entry: Entry
    previous: Entry | None = None


#: A change as a selector sees it.
View = Callable[[Change], Change | None]


class Batch(msgspec.Struct, gc=False):
    """Changes in revision order. One object for all watchers of a group."""

    changes: tuple[Change, ...]
    #: Revision of the last change.
    revision: int
    #: What encoders made of the changes, by encoding; the first user fills it in.
    frames: dict[str, bytes]
    #: Bytes of the values.
    size: int = 0


def batches(changes: Sequence[Change], count: int = 1 << 30) -> Iterator[Batch]:
    """Changes in batches of BATCH_BYTES and `count` changes at most."""
    first = size = 0
    for at, change in enumerate(changes):
        length = len(change.entry.value)
        if at > first and (size + length > BATCH_BYTES or at - first >= count):
            yield Batch(tuple(changes[first:at]), changes[at - 1].entry.revision, {}, size)
            first, size = at, 0
        size += length
    if first < len(changes):
        yield Batch(tuple(changes[first:]), changes[-1].entry.revision, {}, size)


class Group:
    """Watchers with the same prefix and selector. hints: whether they want what the writers attached."""

    __slots__ = ("by", "hints", "identity", "match", "pending", "prefix", "watchers")

    def __init__(
        self, identity: Hashable, prefix: str, by: By | None, match: Match | None, hints: bool
    ) -> None:
        self.identity = identity
        self.prefix = prefix
        self.by = by
        self.match = match
        self.hints = hints
        self.watchers: list[Watcher] = []
        self.pending: list[Change] = []

    def selects(self, entry: Entry) -> bool:
        by = self.by
        if by is not None and entry.field(by[0]) != by[1]:
            return False
        return self.match is None or self.match(entry)

    def view(self, change: Change) -> Change | None:
        """The change as this selector sees it: entering is ADDED, leaving is DELETED (the watch semantics of
        the API).
        """
        if self.match is None and self.by is None:
            return change
        previous = change.previous
        before = previous is not None and self.selects(previous)
        if change.kind == "DELETED":
            return change if before else None
        if self.selects(change.entry):
            if before or change.kind == "ADDED":
                return change
            return Change("ADDED", change.entry, previous)
        return Change("DELETED", change.entry, previous) if before else None


class _Route:
    """The groups that may want a key of one directory."""

    __slots__ = ("indexed", "partial", "plain")

    def __init__(self) -> None:
        self.plain: list[Group] = []
        #: Groups whose prefix goes beyond the directory: the key decides.
        self.partial: list[Group] = []
        #: (field, value -> groups)
        self.indexed: list[tuple[str, dict[str, list[Group]]]] = []


class Past(Protocol):
    """The changes that watchers read on from (`window.Window`)."""

    oldest: int
    newest: int

    def since(self, revision: int, prefix: str, view: View, size: int) -> tuple[list[Change], int, bool]: ...


class Dispatcher:
    """All groups of a cache. revision: the newest that its state includes."""

    def __init__(self, revision: Callable[[], int], past: Past) -> None:
        self.revision = revision
        self.past = past
        self._groups: dict[Hashable, Group] = {}
        #: (prefix, field) -> value -> groups, of the groups found by a field's value in whole directories.
        self._indexed: dict[tuple[str, str], dict[str, list[Group]]] = {}
        #: The other groups, by prefix.
        self._plain: dict[str, list[Group]] = {}
        self._routes: dict[str, _Route] = {}
        self._touched: list[Group] = []

    def __bool__(self) -> bool:
        return bool(self._groups)

    def watch(self, prefix: str, group: Hashable, by: By | None, match: Match | None, hints: bool) -> Group:
        """The group of watchers that want the same."""
        identity = (prefix, group, by, hints)
        found = self._groups.get(identity)
        if found is None:
            found = self._groups[identity] = Group(identity, prefix, by, match, hints)
            if by is not None and prefix.endswith("/"):
                values = self._indexed.get((prefix, by[0]))
                if values is None:
                    values = self._indexed[prefix, by[0]] = {}
                    self._routes.clear()
                values.setdefault(by[1], []).append(found)
            else:
                self._plain.setdefault(prefix, []).append(found)
                self._routes.clear()
        return found

    def leave(self, watcher: Watcher) -> None:
        group = watcher.group
        if watcher not in group.watchers:
            return
        # A new list: a dispatch may be walking over the old one.
        group.watchers = [other for other in group.watchers if other is not watcher]
        if group.watchers:
            return
        del self._groups[group.identity]
        if group.by is not None and group.prefix.endswith("/"):
            field, value = group.by
            values = self._indexed[group.prefix, field]
            values[value].remove(group)
            if not values[value]:
                del values[value]
            if not values:
                del self._indexed[group.prefix, field]
                self._routes.clear()
        else:
            groups = self._plain[group.prefix]
            groups.remove(group)
            if not groups:
                del self._plain[group.prefix]
            self._routes.clear()

    def offer(self, change: Change, hinted: Change) -> None:
        """Show a change to the groups it may concern; `flush` sends what they took. hinted: with its hint."""
        for group in self._candidates(change):
            visible = group.view(hinted if group.hints else change)
            if visible is not None:
                if not group.pending:
                    self._touched.append(group)
                group.pending.append(visible)

    def flush(self) -> None:
        for group in self._touched:
            changes, group.pending = group.pending, []
            for batch in batches(changes):
                for watcher in group.watchers:
                    watcher.push(batch)
        self._touched.clear()

    def close(self) -> None:
        for group in list(self._groups.values()):
            for watcher in group.watchers:
                watcher.end(Unavailable("the watch cache was closed"))

    def _candidates(self, change: Change) -> Iterator[Group]:
        key = change.entry.key
        directory = key.rpartition("/")[0]
        route = self._routes.get(directory)
        if route is None:
            route = self._route(directory)
        yield from route.plain
        for group in route.partial:
            if key.startswith(group.prefix):
                yield group
        for field, values in route.indexed:
            now = change.entry.field(field)
            if now is not None and now in values:
                yield from values[now]
            if change.previous is not None:
                was = change.previous.field(field)
                if was is not None and was != now and was in values:
                    yield from values[was]

    def _route(self, directory: str) -> _Route:
        inside = f"{directory}/"
        route = _Route()
        for prefix, groups in self._plain.items():
            if inside.startswith(prefix):
                route.plain += groups
            elif prefix.startswith(inside):
                route.partial += groups
        for (prefix, field), values in self._indexed.items():
            if inside.startswith(prefix):
                route.indexed.append((field, values))
        if len(self._routes) >= MAX_ROUTES:
            self._routes.clear()
        self._routes[directory] = route
        return route


class Watcher:
    """One client's view of a group: a queue of batches that its task empties. One task waits at a time."""

    __slots__ = (
        "_behind", "_count", "_dispatcher", "_error", "_limit", "_queue", "_reached", "_size", "_unread",
        "_waiter", "group",
    )  # fmt: skip

    def __init__(self, dispatcher: Dispatcher, group: Group, since: int, limit: int, unread: int) -> None:
        """Begins after revision `since`. limit, unread: changes and bytes that may wait here."""
        self._dispatcher = dispatcher
        self.group = group
        self._limit = limit
        self._unread = unread
        self._queue: deque[Batch] = deque()
        self._count = self._size = 0
        #: Revision of what was handed out.
        self._reached = since
        #: Whether what comes next is read from the past instead of the queue.
        self._behind = since < dispatcher.past.newest
        self._error: StoreError | None = None
        self._waiter: asyncio.Future[None] | None = None
        group.watchers.append(self)

    @property
    def revision(self) -> int:
        """Everything up to it was handed out: what a bookmark may say."""
        if self._queue or self._behind or self._error is not None:
            return self._reached
        return self._dispatcher.revision()

    @property
    def waiting(self) -> int:
        """Bytes that wait here."""
        return self._size

    async def next(self) -> Batch:
        """The next batch. Raises Lagging when the watcher fell behind, Unavailable when it or the cache was
        closed.
        """
        while True:
            if self._queue:
                return self._pop()
            if self._error is not None:
                raise self._error
            if self._behind:
                self._read_on()
                continue
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def ready(self) -> list[Batch]:
        """All batches that wait, without waiting."""
        found: list[Batch] = []
        while self._queue or self._behind:
            if self._queue:
                found.append(self._pop())
            else:
                self._read_on()
        return found

    def _pop(self) -> Batch:
        batch = self._queue.popleft()
        self._count -= len(batch.changes)
        self._size -= batch.size
        self._reached = batch.revision
        return batch

    def _read_on(self) -> None:
        """Fetch the next batch from the past, or come to its end."""
        past, group = self._dispatcher.past, self.group
        if self._reached < past.oldest:
            self.end(Lagging(f"changes since {self._reached} are not kept any more; list again"))
            return
        changes, reached, whole = past.since(self._reached, group.prefix, group.view, BATCH_BYTES)
        self._behind = not whole
        if changes:
            size = sum(len(change.entry.value) for change in changes)
            self._queue.append(Batch(tuple(changes), reached, {}, size))
            self._count, self._size = len(changes), size
        else:
            self._reached = reached

    def close(self) -> None:
        """Idempotent. Whoever waits in `next` gets Unavailable."""
        self.end(Unavailable("the watch was closed"))

    def push(self, batch: Batch) -> None:
        if self._behind:
            return
        if self._queue and (
            self._size + batch.size > self._unread or self._count + len(batch.changes) > self._limit
        ):
            # It is all in the window as well, where it is held once for all.
            self._behind = True
            self._queue.clear()
            self._count = self._size = 0
            return
        self._queue.append(batch)
        self._count += len(batch.changes)
        self._size += batch.size
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def end(self, error: StoreError) -> None:
        if self._error is not None:
            return
        self._error = error
        self._behind = False
        self._queue.clear()
        self._count = self._size = 0
        self._dispatcher.leave(self)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
