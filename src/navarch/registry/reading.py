# SPDX-License-Identifier: GPL-3.0-or-later
"""list and watch, from the watch cache: selectors, pages, versions.

A page that is cut leaves the rest of its list behind as a snapshot (references to shared bytes), so that the
next page is consistent with it; who comes too late, or when what was replaced since takes too much memory,
gets 410 and lists again ("Retrieving large results sets in chunks", API concepts).
"""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as BadBase64
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Any, NamedTuple

import msgspec

from navarch.api.machinery.errors import StatusError, bad_request, gone
from navarch.api.machinery.scheme import Kind
from navarch.registry.context import ListResult
from navarch.registry.core import Core, refused
from navarch.registry.metadata import parse_version
from navarch.registry.query import Query
from navarch.store import base as store
from navarch.store.cache import Batch, Cache, Change, Entry, Lagging, Watcher
from navarch.store.watchers import UNREAD_BYTES
from navarch.store.window import Pin

Match = Callable[[Entry], bool]

NAME = "metadata.name"
NAMESPACE = "metadata.namespace"
#: Seconds that the rest of a cut list is kept, and how many such lists.
SNAPSHOT_SECONDS = 300.0
SNAPSHOTS = 32
#: Seconds between bookmarks of an idle watch (the reference sends one about every minute).
BOOKMARK_SECONDS = 60.0


class Bookmark(NamedTuple):
    """Not a change: everything up to `revision` was sent."""

    revision: int
    #: The one that ends the initial events (annotation `k8s.io/initial-events-end`).
    initial_end: bool = False


class _Token(msgspec.Struct):
    v: str
    rv: int
    id: str
    at: int


#: Which list a page belongs to: kind, prefix, selectors.
Scope = tuple[str, str, tuple[str, str]]


class _Snapshot(NamedTuple):
    until: float
    scope: Scope
    whole: ListResult
    cache: Cache
    pin: Pin


class Selection:
    """Selectors of one request, bound to a kind."""

    __slots__ = ("_rest", "by", "group", "labels", "name", "namespace", "plain", "scope")

    def __init__(self, kind: Kind[Any], query: Query) -> None:
        """Raises StatusError 400 for a field the kind does not offer."""
        namespace, labels, fields = query.namespace, query.labels, query.fields
        self.labels = None if labels is None or labels.empty else labels
        terms: tuple[tuple[str, bool, str], ...] = ()
        self.namespace = namespace if kind.namespaced else None
        self.name: str | None = None
        #: (field, value) that the cache finds watchers by.
        self.by: tuple[str, str] | None = None
        if fields is not None and not fields.empty:
            fields.require({NAME, NAMESPACE, *kind.fields})
            terms = fields.terms
            exact = fields.exact()
            self.name = exact.get(NAME)
            if kind.namespaced and not namespace:
                self.namespace = exact.get(NAMESPACE)
            indexed = NAME if NAME in exact else next((f for f in exact if f in kind.fields), None)
            if indexed is not None:
                self.by = (indexed, exact[indexed])
        self._rest = tuple(t for t in terms if t[1] or (t[0], t[2]) != self.by)
        #: Whether nothing is selected at all.
        self.plain = self.labels is None and not terms
        self.group = (str(self.labels or ""), str(fields or ""))
        self.scope: Scope = (kind.root, kind.prefix(self.namespace), self.group)

    def _holds(self, entry: Entry, term: tuple[str, bool, str]) -> bool:
        field, negated, value = term
        if field == NAMESPACE:
            found = _namespace(entry.key)
        else:
            found = entry.field(field) or ""
        return (found == value) is not negated

    def match(self) -> Match | None:
        """What `by` does not say."""
        labels, rest = self.labels, self._rest
        if not rest:
            if labels is None:
                return None
            wanted = labels.matches
            return lambda entry: wanted(entry.labels)
        if labels is None:
            return lambda entry: all(self._holds(entry, term) for term in rest)
        both = labels.matches
        return lambda entry: both(entry.labels) and all(self._holds(entry, term) for term in rest)

    def of(self, entries: list[Entry]) -> list[Entry]:
        if self.by is not None:
            field, value = self.by
            entries = [entry for entry in entries if entry.field(field) == value]
        match = self.match()
        return entries if match is None else [entry for entry in entries if match(entry)]


def _namespace(key: str) -> str:
    return key.rpartition("/")[0].rpartition("/")[2]


class Watching:
    """An open watch. The first batch may hold the initial events, as ADDED."""

    def __init__(
        self, watcher: Watcher, initial: Batch | None, *, end: int | None, bookmarks: bool, every: float
    ) -> None:
        """end: revision of the bookmark that ends the initial events; every: seconds between the others."""
        self._watcher = watcher
        self._initial = initial
        self._end = end
        self._every = every if bookmarks else None

    @property
    def revision(self) -> int:
        """Everything up to it was handed out."""
        return self._watcher.revision

    async def next(self) -> Batch | Bookmark:
        """Raises StatusError 410 when the reader was too slow, 503 when the watch was closed here."""
        if self._initial is not None:
            initial, self._initial = self._initial, None
            return initial
        if self._end is not None:
            end, self._end = self._end, None
            return Bookmark(end, True)
        try:
            if self._every is None:
                return await self._watcher.next()
            async with asyncio.timeout(self._every):
                return await self._watcher.next()
        except TimeoutError:
            return Bookmark(self._watcher.revision)
        except Lagging as exc:
            raise gone(f"too slow to follow: {exc}") from exc
        except store.StoreError as exc:
            raise refused(exc) from exc

    def close(self) -> None:
        """Idempotent."""
        self._watcher.close()


class Reading:
    def __init__(self, core: Core) -> None:
        self._core = core
        self._snapshots: OrderedDict[str, _Snapshot] = OrderedDict()
        self._expiry: asyncio.TimerHandle | None = None
        self._ids = 0

    def select(self, kind: Kind[Any], query: Query) -> list[Entry]:
        """What the selectors select now, in key order."""
        return self._select(kind, Selection(kind, query))

    def _select(self, kind: Kind[Any], wanted: Selection) -> list[Entry]:
        cache = self._core.resource(kind).cache
        if wanted.name is not None and (wanted.namespace or not kind.namespaced):
            entry = cache.get(kind.key(wanted.namespace, wanted.name))
            return wanted.of([entry] if entry is not None else [])
        entries = cache.scan(kind.prefix(wanted.namespace))
        return entries if wanted.plain else wanted.of(entries)

    def list(self, kind: Kind[Any], query: Query) -> ListResult:
        resource_version, match, limit = query.resource_version, query.match, query.limit
        if query.continue_:
            if resource_version not in ("", "0"):
                raise bad_request("specifying resource version is not allowed when using continue")
            return self._page(query.continue_, limit, Selection(kind, query).scope)
        revision = self._core.resource(kind).cache.revision
        requested = parse_version(resource_version) if resource_version else 0
        if match:
            if not resource_version:
                raise bad_request("resourceVersionMatch is forbidden unless resourceVersion is provided")
            if match not in ("Exact", "NotOlderThan"):
                raise bad_request(f'resourceVersionMatch "{match}": must be Exact or NotOlderThan')
            if match == "Exact" and not requested:
                raise bad_request('resourceVersionMatch "Exact" is forbidden for resourceVersion "0"')
        if requested > revision:
            raise too_large(requested, revision)
        wanted = Selection(kind, query)
        entries = self._select(kind, wanted)
        if match == "Exact" and requested != revision and self._core.resource(kind).cache.changed(requested):
            raise gone(f"too old resource version: {requested} ({revision})")
        whole = ListResult(entries, requested if match == "Exact" else revision)
        if not limit or len(entries) <= limit:
            return whole
        return self._cut(kind, whole, limit, wanted)

    # Pages

    def _cut(self, kind: Kind[Any], whole: ListResult, limit: int, wanted: Selection) -> ListResult:
        self._ids += 1
        snapshot = f"{self._ids:x}-{whole.revision:x}-{id(self) & 0xFFFFFF:x}"
        present = monotonic()
        kept = self._snapshots
        while kept and (len(kept) >= SNAPSHOTS or next(iter(kept.values())).until < present):
            self._drop(next(iter(kept)))
        # `remaining` of the snapshot: whether the number of the rest is sent.
        whole = whole._replace(remaining=0 if wanted.plain else None)
        cache = self._core.resource(kind).cache
        pin = cache.pin(whole.entries, lambda: self._drop(snapshot))
        kept[snapshot] = _Snapshot(present + SNAPSHOT_SECONDS, wanted.scope, whole, cache, pin)
        if self._expiry is None:
            self._expiry = asyncio.get_running_loop().call_later(SNAPSHOT_SECONDS, self._expire)
        return self._part(snapshot, 0, limit)

    def _drop(self, snapshot: str) -> None:
        kept = self._snapshots.pop(snapshot, None)
        if kept is not None:
            kept.cache.unpin(kept.pin)

    def _expire(self) -> None:
        """Let go of the snapshots that are too old, also when no other list comes."""
        self._expiry = None
        present = monotonic()
        for snapshot, kept in list(self._snapshots.items()):
            if kept.until <= present:
                self._drop(snapshot)
        if self._snapshots:
            first = next(iter(self._snapshots.values())).until
            self._expiry = asyncio.get_running_loop().call_later(first - present, self._expire)

    def close(self) -> None:
        """Let go of all snapshots. Idempotent."""
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        for snapshot in list(self._snapshots):
            self._drop(snapshot)

    def _part(self, snapshot: str, at: int, limit: int) -> ListResult:
        whole = self._snapshots[snapshot].whole
        end = at + limit if limit else len(whole.entries)
        left = len(whole.entries) - end
        if left <= 0:
            return ListResult(whole.entries[at:], whole.revision)
        token = msgspec.json.encode(_Token("meta.k8s.io/v1", whole.revision, snapshot, end))
        return ListResult(
            whole.entries[at:end],
            whole.revision,
            urlsafe_b64encode(token).decode(),
            None if whole.remaining is None else left,
        )

    def _page(self, text: str, limit: int, scope: Scope) -> ListResult:
        try:
            token = msgspec.json.decode(urlsafe_b64decode(text.encode()), type=_Token)
        except (ValueError, BadBase64, msgspec.DecodeError):
            raise bad_request("continue key is not valid") from None
        kept = self._snapshots.get(token.id)
        if token.at < 0 or (kept is not None and kept.scope != scope):
            # The reader was authorized for this list: a token is good only for the list it was made for.
            raise bad_request("continue key is not valid")
        if kept is None or kept.until < monotonic():
            raise gone(
                "The provided continue parameter is too old to display a consistent list result. "
                "You can start a new list without the continue parameter."
            )
        return self._part(token.id, token.at, limit)

    # Watch

    def watch(self, kind: Kind[Any], query: Query, *, every: float = BOOKMARK_SECONDS) -> Watching:
        """every: seconds between the bookmarks of an idle watch."""
        cache = self._core.resource(kind).cache
        wanted = Selection(kind, query)
        requested = parse_version(query.resource_version) if query.resource_version else 0
        current = cache.revision
        if requested > current:
            raise too_large(requested, current)
        initial = not requested if query.send_initial_events is None else query.send_initial_events
        try:
            watcher = cache.watch(
                prefix=kind.prefix(wanted.namespace),
                since=requested if requested and not initial else current,
                group=wanted.group,
                match=wanted.match(),
                by=wanted.by,
                unread=query.unread or UNREAD_BYTES,
                hints=not query.unread,
            )
        except store.Compacted as exc:
            raise gone(f"too old resource version: {exc.requested} ({exc.oldest})") from exc
        batch: Batch | None = None
        if initial:
            entries = self._select(kind, wanted)
            if entries:
                size = sum(len(entry.value) for entry in entries)
                batch = Batch(tuple(Change("ADDED", entry) for entry in entries), current, {}, size)
        end = current if query.send_initial_events and query.bookmarks else None
        return Watching(watcher, batch, end=end, bookmarks=query.bookmarks, every=every)


def too_large(requested: int, current: int) -> StatusError:
    """A version that this server has not reached: the client should try again in a moment."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return StatusError(
        504,
        "Timeout",
        f"Timeout: Too large resource version: {requested}, current: {current}",
        {"causes": [cause], "retryAfterSeconds": 1},
    )
