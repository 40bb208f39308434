# SPDX-License-Identifier: GPL-3.0-or-later
"""The watch cache of one prefix: every living object as the bytes clients get.

It is fed by `Store.subscribe` and so is as new as the store: after a write was answered, it is here. Values
are bytes; what can be selected on comes from the index function of whoever knows the kind. The fan-out to
watchers is in `watchers`, the changes kept for watches to resume in `window`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from navarch.store.base import Compacted, Event, Future, KeyValue, Store, Subscription
from navarch.store.watchers import (
    UNREAD,
    UNREAD_BYTES,
    Batch,
    By,
    Change,
    Dispatcher,
    Entry,
    Lagging,
    Match,
    Watcher,
    batches,
)
from navarch.store.window import History, Pin

__all__ = ["Batch", "Cache", "Change", "Entry", "Lagging", "Row", "Unreadable", "Watcher", "batches"]

#: Keys read at a time while the cache fills.
PAGE = 2000
#: Different sets of labels or fields remembered for sharing: also those of objects that are gone, 1 KB each.
MAX_SHARED = 5_000


class Unreadable(Exception):
    """A stored value means nothing to the index function; it is set aside."""


class Row(NamedTuple):
    """What can be selected on in one value."""

    labels: Mapping[str, str] | None
    fields: Mapping[str, str] | None


class _Space:
    """The entries of one directory (a namespace). The dict is put in key order when somebody looks and it is
    not.
    """

    __slots__ = ("entries", "last", "ordered")

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        #: The last key in dict order, while ordered.
        self.last = ""
        self.ordered = True

    def put(self, entry: Entry) -> None:
        key = entry.key
        if key > self.last:
            self.last = key
        elif self.ordered and key not in self.entries:
            self.ordered = False
        self.entries[key] = entry

    def sorted(self) -> dict[str, Entry]:
        if not self.ordered:
            entries = self.entries
            self.entries = {key: entries[key] for key in sorted(entries)}
            self.ordered = True
        return self.entries


class Cache:
    """index(value, hint): labels and selectable fields of a stored value; raises Unreadable.

    splice(value, revision): the bytes for clients; it inserts the revision at a place that is the same for
    all values of the prefix.

    window: changes kept for watches to resume, as far as the history's bytes and time allow. history: shared
    by all caches of a process. keep_hints: keep what the writers attached with the entries, not only on the
    changes handed to watchers.
    """

    def __init__(
        self,
        store: Store,
        prefix: str,
        *,
        index: Callable[[bytes, object], Row],
        splice: Callable[[bytes, int], bytes],
        window: int = 10_000,
        history: History | None = None,
        keep_hints: bool = False,
    ) -> None:
        self._store = store
        self._prefix = prefix
        self._index = index
        self._splice = splice
        self._keep_hints = keep_hints
        self._spaces: dict[str, _Space] = {}
        self._directories: list[str] | None = None
        self._nested = False
        self._history = history if history is not None else History()
        self._window = self._history.window(window)
        self._dispatcher = Dispatcher(lambda: self.revision, self._window)
        self._subscription: Subscription | None = None
        self._loading: list[Event] | None = None
        self._shared: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = {}
        self._offset = -1

    async def start(self) -> None:
        """Fill from the store. Events that come meanwhile are applied after what was read."""
        self._loading = []
        since = self._store.revision
        self._subscription = self._store.subscribe(self._prefix, since, self._deliver)
        start = ""
        while True:
            page = await self._store.range(self._prefix, start=start, limit=PAGE)
            for item in page.items:
                self._load(item)
            since = max(since, page.revision)
            if not page.remaining:
                break
            start = page.items[-1].key + "\0"
        loading, self._loading = self._loading, None
        for event in loading:
            self._absorb(event)
            since = max(since, event.revision)
        self._window.begin(max(since, self.revision))

    async def close(self) -> None:
        """End all watches and let go of everything. Idempotent."""
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None
            self._history.forget(self._window)
        self._dispatcher.close()
        self._spaces.clear()
        self._directories = None

    @property
    def revision(self) -> int:
        """The newest revision this state includes. What the store calls visible has been delivered here."""
        return max(self._window.newest, self._store.revision)

    @property
    def oldest(self) -> int:
        """Watches from before it raise Compacted."""
        return self._window.oldest

    def changed(self, since: int) -> bool:
        """Whether anything was written after `since`; also when that is not known any more."""
        return since < self._window.oldest or since < self._window.newest

    # Reads

    def get(self, key: str) -> Entry | None:
        space = self._spaces.get(key.rpartition("/")[0])
        return None if space is None else space.entries.get(key)

    def scan(self, prefix: str) -> list[Entry]:
        """Entries whose keys begin with the prefix, in key order. A new list."""
        directory, _, rest = prefix.rpartition("/")
        if rest:
            return [entry for entry in self._below(f"{directory}/") if entry.key.startswith(prefix)]
        return self._below(prefix)

    def count(self, prefix: str) -> int:
        directory, _, rest = prefix.rpartition("/")
        if rest:
            return len(self.scan(prefix))
        return sum(len(self._spaces[name].entries) for name in self._names(f"{directory}/"))

    def _below(self, prefix: str) -> list[Entry]:
        names = self._names(prefix)
        if len(names) == 1:
            return list(self._spaces[names[0]].sorted().values())
        entries: list[Entry] = []
        for name in names:
            entries += self._spaces[name].sorted().values()
        if self._nested:
            entries.sort(key=lambda entry: entry.key)
        return entries

    def _names(self, prefix: str) -> list[str]:
        """The directories at or below a prefix that ends with a slash, in key order."""
        if prefix[:-1] in self._spaces and not self._nested:
            return [prefix[:-1]]
        ordered = self._directories
        if ordered is None:
            ordered = self._directories = sorted(f"{name}/" for name in self._spaces)
            self._nested = any(b.startswith(a) for a, b in pairwise(ordered))
        low = bisect_left(ordered, prefix)
        high = bisect_left(ordered, prefix + "\U0010ffff", low)
        return [name[:-1] for name in ordered[low:high]]

    # Watches

    def watch(
        self,
        *,
        prefix: str,
        since: int,
        group: Hashable,
        match: Match | None,
        by: By | None = None,
        limit: int = UNREAD,
        unread: int = UNREAD_BYTES,
        hints: bool = True,
    ) -> Watcher:
        """Changes of keys with the prefix after revision `since`, as the selector sees them.

        group: identifies `match`; watchers of equal (prefix, group, by) share one evaluation and their
        batches. by: (field, value) that must hold besides `match` and by which changes find the group;
        `metadata.name` needs no index. limit, unread: changes and bytes that may wait for the watcher; one
        that is further behind reads on from the window, and is ended with Lagging when that has left it
        behind. hints: whether new changes carry what their writers attached. Raises Compacted, Future.
        """
        if since < self.oldest:
            raise Compacted(since, self.oldest)
        if since > self.revision:
            raise Future(since, self.revision)
        found = self._dispatcher.watch(prefix, group, by, match, hints)
        return Watcher(self._dispatcher, found, since, limit, unread)

    def pin(self, entries: Sequence[Entry], drop: Callable[[], object]) -> Pin:
        """Say that these entries are held for a while. `drop` is called when the past costs too much."""
        return self._history.pin(self._window, lambda: sum(len(entry.value) for entry in entries), drop)

    def unpin(self, pin: Pin) -> None:
        """Idempotent."""
        self._history.unpin(pin)

    # Feeding

    def _deliver(self, events: Sequence[Event]) -> None:
        if self._loading is not None:
            self._loading += events
            return
        changes: list[Change] = []
        dispatcher = self._dispatcher
        for event in events:
            change = self._absorb(event)
            if change is None:
                continue
            changes.append(change)
            if dispatcher:
                if event.hint is not None and not self._keep_hints:
                    entry = change.entry
                    hinted = Entry(
                        entry.key,
                        entry.value,
                        entry.revision,
                        entry.created,
                        entry.labels,
                        entry.fields,
                        event.hint,
                    )
                    dispatcher.offer(change, Change(change.kind, hinted, change.previous))
                else:
                    dispatcher.offer(change, change)
        if changes:
            self._window.remember(changes)
            dispatcher.flush()

    def _absorb(self, event: Event) -> Change | None:
        """Bring the state up to date. None for what it already has."""
        key = event.key
        directory = key.rpartition("/")[0]
        space = self._spaces.get(directory)
        previous = None if space is None else space.entries.get(key)
        if previous is not None and previous.revision >= event.revision:
            return None
        if event.deleted:
            if previous is None or space is None:
                return None
            del space.entries[key]
            if not space.entries:
                del self._spaces[directory]
                self._directories = None
            last = Entry(
                key,
                self._respell(previous, event.revision),
                event.revision,
                previous.created,
                previous.labels,
                previous.fields,
                event.hint if self._keep_hints else None,
            )
            return Change("DELETED", last, previous)
        try:
            entry = self._entry(key, event.value, event.revision, event.created, event.hint)
        except Unreadable as exc:
            self._store.set_aside(key, event.revision, str(exc))
            return None
        self._put(directory, space, entry)
        return Change("MODIFIED" if previous is not None else "ADDED", entry, previous)

    def _load(self, item: KeyValue) -> None:
        directory = item.key.rpartition("/")[0]
        try:
            entry = self._entry(item.key, item.value, item.revision, item.created, None)
        except Unreadable as exc:
            self._store.set_aside(item.key, item.revision, str(exc))
        else:
            self._put(directory, self._spaces.get(directory), entry)

    def _put(self, directory: str, space: _Space | None, entry: Entry) -> None:
        if space is None:
            space = self._spaces[directory] = _Space()
            self._directories = None
            self._nested = True  # until the directories are looked at
        space.put(entry)

    def _entry(self, key: str, value: bytes, revision: int, created: int, hint: object) -> Entry:
        row = self._index(value, hint)
        if self._offset < 0:
            self._offset = _splice_offset(self._splice, value)
        return Entry(
            key,
            self._splice(value, revision),
            revision,
            revision if created == revision else created,
            self._share(row.labels),
            self._share(row.fields),
            hint if self._keep_hints else None,
        )

    def _share(self, mapping: Mapping[str, str] | None) -> Mapping[str, str] | None:
        """One object for equal mappings: the pods of a controller have the same labels."""
        if not mapping:
            return None
        items = tuple(mapping.items())
        shared = self._shared.get(items)
        if shared is None:
            if len(self._shared) >= MAX_SHARED:
                self._shared.clear()
            shared = self._shared[items] = mapping
        return shared

    def _respell(self, entry: Entry, revision: int) -> bytes:
        """The entry's value with another revision in its place."""
        digits = b"%d" % entry.revision
        at, end = self._offset, self._offset + len(digits)
        if entry.value[at:end] != digits:
            return entry.value
        return b"%b%d%b" % (entry.value[:at], revision, entry.value[end:])


def _splice_offset(splice: Callable[[bytes, int], bytes], value: bytes) -> int:
    """Where splice puts the revision: where two spellings first differ."""
    for at, (one, two) in enumerate(zip(splice(value, 1), splice(value, 2), strict=True)):
        if one != two:
            return at
    return len(value)
