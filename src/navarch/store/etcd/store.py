# SPDX-License-Identifier: GPL-3.0-or-later
"""`store.base.Store` on etcd v3.

A write is one transaction that compares the key's revision. When no answer came, the same transaction is sent
again: if the first try had taken effect, the second one finds the key changed, to what it wanted to write.
Heartbeats (`durable=False`) are ordinary writes, because other masters must see them.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from navarch.store.base import (
    Checked,
    Compacted,
    Conflict,
    Damage,
    Damaged,
    Deliver,
    Exists,
    Future,
    KeyValue,
    Missing,
    Page,
    Subscription,
    Unavailable,
)
from navarch.store.etcd import messages
from navarch.store.etcd.client import Answer, Client, Refused, Tls
from navarch.store.etcd.feed import Feed, oldest
from navarch.store.etcd.keys import Keys

log = logging.getLogger(__name__)

#: Keys that one request reads: its answer stays in the megabytes.
PAGE = 2000
_COMPACTED = "required revision has been compacted"
_FUTURE = "required revision is a future revision"


class EtcdStore:
    """root: what the keys of this store begin with in etcd. history: seconds of history that the periodic
    compaction keeps (0: none is made).
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        root: str = "/navarch",
        tls: Tls | None = None,
        history: float = 300.0,
    ) -> None:
        self._client = Client(endpoints, tls)
        self._keys = Keys(root)
        self._history = history
        self._closed = "the store is not started"
        self._compacted = 0
        #: Values that etcd keeps well and that mean nothing to their reader: what this process met.
        self._damaged: dict[str, Damage] = {}
        self.on_damage: Callable[[Damage], None] = lambda damage: None
        self.on_lost: Callable[[str], None] = lambda why: None
        #: etcd checks what it keeps: neither is ever used.
        self.scrub: Checked | None = None
        self.recall: Callable[[str, int], bytes | None] = lambda key, revision: None
        self._writing: dict[str, _Lane] = {}
        self._hints: dict[tuple[str, bytes], object] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepted: set[asyncio.Task[int]] = set()

    # Life

    async def start(self) -> None:
        """Raises Unavailable when no member answers."""
        position = await self._mark()
        self._compacted = await oldest(self._client, self._keys)
        self._feed = Feed(self._client, self._keys, position, self._hint, self._fail)
        self._closed = ""
        if self._history:
            task = asyncio.create_task(self._compact_periodically(), name="etcd-compaction")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Finish what was accepted, then release everything. Idempotent."""
        if self._closed and not hasattr(self, "_feed"):
            await self._client.close()
            return
        self._closed = self._closed or "the store is closed"
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*self._accepted, return_exceptions=True)
        await self._feed.close()
        await self._client.close()

    @property
    def revision(self) -> int:
        return self._feed.position if not self._closed else 0

    @property
    def failure(self) -> str:
        """Why writes are refused; empty while they are taken."""
        return self._closed

    @property
    def compacted(self) -> int:
        return self._compacted

    def _fail(self, why: str) -> None:
        if not self._closed:
            self._closed = why
            self.on_lost(why)

    async def _mark(self) -> int:
        """A new revision of this store."""
        put = messages.put(self._keys.mark, secrets.token_bytes(8), 0)
        answer = await self._client.call("KV/Txn", messages.transaction([], [put], []))
        return messages.parse_transaction(answer.data).revision

    # Reads

    async def get(self, key: str, *, revision: int = 0) -> KeyValue | None:
        self._check_whole(key)
        found = await self._range(messages.range_request(self._keys.encode(key), revision=revision), revision)
        return self._key_value(found.pairs[0]) if found.pairs else None

    async def range(self, prefix: str, *, start: str = "", limit: int = 0, revision: int = 0) -> Page:
        items: list[KeyValue] = []
        at = revision
        while True:
            first, end = self._keys.prefix(prefix, start)
            size = min(limit - len(items), PAGE) if limit else PAGE
            found = await self._range(messages.range_request(first, end, limit=size, revision=at), at)
            items += [item for item in map(self._key_value, found.pairs) if item.key not in self._damaged]
            at = at or found.revision
            remaining = found.count - len(found.pairs)
            if not remaining or (limit and len(items) >= limit):
                return Page(items, at, remaining)
            start = self._keys.decode(found.pairs[-1].key) + "\0"

    async def _range(self, request: bytes, revision: int) -> messages.Ranged:
        self._check_open()
        try:
            return messages.parse_range((await self._client.call("KV/Range", request)).data)
        except Refused as error:
            if _COMPACTED in error.text:
                # By another master: its own bookkeeping does not reach here.
                self._compacted = max(self._compacted, await oldest(self._client, self._keys))
                raise Compacted(revision, self._compacted) from None
            if _FUTURE in error.text:
                raise Future(revision, self.revision) from None
            raise Unavailable(f"etcd: {error.text}") from error

    def _key_value(self, pair: messages.Pair) -> KeyValue:
        return KeyValue(self._keys.decode(pair.key), pair.value, pair.modified, pair.created, pair.lease)

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable(self._closed)

    # Damage

    @property
    def damaged(self) -> Mapping[str, Damage]:
        return self._damaged

    def set_aside(self, key: str, revision: int, why: str) -> None:
        damage = self._damaged[key] = Damage(key, revision, why)
        log.error("store: %s means nothing at revision %d (%s) and is set aside", key, revision, why)
        self.on_damage(damage)

    async def drop(self, key: str) -> int:
        damage = self._damaged.get(key)
        if damage is None:
            raise Missing(key)
        revision = await self._accept(self._delete(key, damage.revision))
        self._damaged.pop(key, None)
        return revision

    def _check_whole(self, key: str) -> None:
        if self._damaged and (damage := self._damaged.get(key)) is not None:
            raise Damaged(key, damage.revision, damage.why)

    # Writes

    async def create(
        self, key: str, value: bytes, *, lease: int = 0, durable: bool = True, hint: object = None
    ) -> int:
        self._check_whole(key)
        return await self._accept(self._create(key, value, lease, hint))

    async def _create(self, key: str, value: bytes, lease: int, hint: object) -> int:
        name = self._keys.encode(key)
        request = messages.transaction(
            [messages.at_revision(name, 0)], [messages.put(name, value, lease)], [messages.read(name)]
        )
        async with self._lane(key), self._hinted(key, value, hint):
            before = self._feed.position
            answer, outcome = await self._write(request, lease)
            if outcome.succeeded:
                return await self._done(outcome.revision)
            found = outcome.found[0][0]
            if answer.repeated and found.value == value and found.modified > before:
                return await self._done(found.modified)
            raise Exists(key, found.modified)

    async def update(
        self,
        key: str,
        value: bytes,
        *,
        expected: int,
        lease: int = 0,
        durable: bool = True,
        hint: object = None,
    ) -> int:
        self._check_whole(key)
        return await self._accept(self._update(key, value, expected, lease, hint))

    async def _update(self, key: str, value: bytes, expected: int, lease: int, hint: object) -> int:
        name = self._keys.encode(key)
        request = messages.transaction(
            [messages.at_revision(name, expected), messages.living(name)],
            [messages.put(name, value, lease)],
            [messages.read(name)],
        )
        async with self._lane(key), self._hinted(key, value, hint):
            before = self._feed.position
            answer, outcome = await self._write(request, lease)
            if outcome.succeeded:
                return await self._done(outcome.revision)
            found = self._living(key, outcome)
            if answer.repeated and found.value == value and found.modified > before:
                return await self._done(found.modified)
            raise Conflict(key, expected, found.modified)

    async def delete(self, key: str, *, expected: int = 0, hint: object = None) -> int:
        self._check_whole(key)
        return await self._accept(self._delete(key, expected, hint))

    async def _delete(self, key: str, expected: int, hint: object = None) -> int:
        name = self._keys.encode(key)
        compare = messages.at_revision(name, expected) if expected else messages.living(name)
        request = messages.transaction([compare], [messages.delete(name)], [messages.read(name)])
        async with self._lane(key), self._hinted(key, b"", hint):
            answer, outcome = await self._write(request, 0)
            if outcome.succeeded and outcome.deleted:
                return await self._done(outcome.revision)
            if answer.repeated and expected and not (outcome.found and outcome.found[0]):
                # It lived at `expected`, and is gone: whether by the first try cannot be known.
                return await self._done(await self._mark())
            raise Conflict(key, expected, self._living(key, outcome).modified)

    async def _accept(self, write: Coroutine[Any, Any, int]) -> int:
        """A write that was begun ends, also when its caller is cancelled or the store is closed meanwhile."""
        if self._closed:
            write.close()
            raise Unavailable(self._closed)
        task = asyncio.create_task(write)
        self._accepted.add(task)
        task.add_done_callback(self._settled)
        return await asyncio.shield(task)

    def _settled(self, task: asyncio.Task[int]) -> None:
        self._accepted.discard(task)
        if not task.cancelled():
            task.exception()  # is the caller's, who may have gone

    def _living(self, key: str, outcome: messages.Outcome) -> messages.Pair:
        """What a refused write found. Raises Missing."""
        if not outcome.found or not outcome.found[0]:
            raise Missing(key)
        return outcome.found[0][0]

    async def _write(self, request: bytes, lease: int) -> tuple[Answer, messages.Outcome]:
        try:
            answer = await self._client.call("KV/Txn", request)
        except Refused as error:
            if "lease not found" in error.text:
                raise Missing(f"lease {lease}") from None
            raise Unavailable(f"etcd: {error.text}") from error
        return answer, messages.parse_transaction(answer.data)

    async def _done(self, revision: int) -> int:
        """The write is durable; it is answered when all subscribers have its event."""
        await self._feed.reached(revision)
        return revision

    @asynccontextmanager
    async def _lane(self, key: str) -> AsyncIterator[None]:
        """Writes of this process to one key follow each other in the order they were called."""
        lane = self._writing.setdefault(key, _Lane())
        lane.users += 1
        try:
            async with lane.lock:
                yield
        finally:
            lane.users -= 1
            if not lane.users:
                del self._writing[key]

    @asynccontextmanager
    async def _hinted(self, key: str, value: bytes, hint: object) -> AsyncIterator[None]:
        if hint is not None:
            self._hints[(key, value)] = hint
        try:
            yield
        finally:
            self._hints.pop((key, value), None)

    def _hint(self, key: str, value: bytes) -> object:
        return self._hints.get((key, value))

    # Watching

    def subscribe(self, prefix: str, since: int, deliver: Deliver) -> Subscription:
        self._check_open()
        if since < self._compacted:
            raise Compacted(since, self._compacted)
        return self._feed.add(prefix, deliver, since, self._feed.position)

    # Compaction

    async def compact(self, revision: int) -> None:
        self._check_open()
        if revision > self.revision:
            raise Future(revision, self.revision)
        if revision < self._compacted:
            raise Compacted(revision, self._compacted)
        if revision == self._compacted:
            return
        await self._feed.caught_up()
        try:
            await self._client.call("KV/Compact", messages.compaction(revision))
        except Refused as error:
            if _COMPACTED not in error.text:
                raise Unavailable(f"etcd: {error.text}") from error
        # Of another master, or of a try before this one.
        self._compacted = max(self._compacted, revision)

    async def _compact_periodically(self) -> None:
        """Each master compacts what is old: a revision that another one compacted already is no error."""
        marks: deque[int] = deque()
        while True:
            await asyncio.sleep(self._history / 10)
            marks.append(self.revision)
            if len(marks) <= 10:
                continue
            target = marks.popleft()
            if target <= self._compacted:
                continue
            try:
                await self.compact(target)
            except Unavailable as exc:
                log.warning("etcd: compaction failed, trying again later: %s", exc)

    # Leases

    async def grant(self, ttl: float) -> int:
        """etcd counts whole seconds, two at least."""
        self._check_open()
        lease = secrets.randbits(62) | 1
        try:
            await self._client.call("Lease/LeaseGrant", messages.grant(lease, max(round(ttl), 1)))
        except Refused as error:
            if "already exists" not in error.text:
                raise Unavailable(f"etcd: {error.text}") from error
        return lease

    async def keep_alive(self, lease: int) -> float:
        self._check_open()
        async for data in self._client.stream("Lease/LeaseKeepAlive", messages.lease_id(lease)):
            ttl = messages.parse_keep_alive(data)
            if ttl > 0:
                return ttl
            break
        raise Missing(f"lease {lease}")

    async def revoke(self, lease: int) -> None:
        self._check_open()
        try:
            await self._client.call("Lease/LeaseRevoke", messages.lease_id(lease))
        except Refused as error:
            if "lease not found" in error.text:
                raise Missing(f"lease {lease}") from None
            raise Unavailable(f"etcd: {error.text}") from error
        await self._feed.reached(await self._mark())

    # Backup

    async def backup(self, path: str) -> None:
        """Write etcd's own snapshot, which `etcdctl snapshot restore` makes a member from.

        Raises Unavailable when it did not come whole: etcd ends it with a SHA-256 of what it sent.
        """
        self._check_open()
        partial = f"{path}.partial"
        file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        digest, last = hashlib.sha256(), b""
        try:
            async for data in self._client.download("Maintenance/Snapshot", b""):
                digest.update(last)
                last = messages.parse_snapshot(data)
                await asyncio.to_thread(_write_all, file, last)
            await asyncio.to_thread(os.fsync, file)
        finally:
            os.close(file)
        if digest.digest() != last:
            raise Unavailable("etcd's snapshot did not come whole")
        await asyncio.to_thread(os.replace, partial, path)


def _write_all(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


class _Lane:
    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0
