# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded store: an MVCC log in one SQLite file, group commit, everything decided on the event loop.

Compare-and-swap is checked against an index in memory, in this file; the way of a write to disk is
`sqlite_commit`, the writing thread `sqlite_writer`, reading `sqlite_reader`, the file itself `sqlite_file`,
subscriptions `sqlite_feed`, lease times `sqlite_lease`, keys whose rows are damaged `sqlite_damage`.
"""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Coroutine, Mapping

from navarch.store import sqlite_writer as statements
from navarch.store.base import (
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
from navarch.store.sqlite_commit import CREATED, SHIFT, GroupCommit, Write
from navarch.store.sqlite_damage import Damages
from navarch.store.sqlite_feed import Feed
from navarch.store.sqlite_lease import Leases
from navarch.store.sqlite_reader import Reader
from navarch.store.sqlite_scrub import SCRUB_SECONDS, Scrub
from navarch.store.sqlite_wal import SKIPPED

log = logging.getLogger(__name__)

#: Writes whose leftovers one compaction transaction removes.
SWEEP_ROWS = 500


class SqliteStore:
    """`store.base.Store` on one SQLite file.

    flush_interval: seconds a heartbeat stays in memory at most. history: seconds of history that the periodic
    compaction keeps (0: no periodic compaction), slack: revisions it keeps at least. scrub: seconds between
    two looks at a part of the file (0: none).
    """

    def __init__(
        self,
        path: str,
        *,
        flush_interval: float = 3.0,
        history: float = 300.0,
        slack: int = 1000,
        scrub: float = SCRUB_SECONDS,
    ) -> None:
        self._path = path
        self._flush_interval = flush_interval
        self._history = history
        self._slack = slack
        self._scrub_seconds = scrub
        self._compacted = 0
        self._swept = 0
        self._sweeping = asyncio.Lock()
        self._damages = Damages(lambda damage: self.on_damage(damage))
        #: Called for each key that is set aside.
        self.on_damage: Callable[[Damage], None] = lambda damage: None
        #: (key, revision) -> the value, from a cache that has it: a damaged row is written again with it.
        self.recall: Callable[[str, int], bytes | None] = lambda key, revision: None
        #: Never called: a store that cannot write says so with every write.
        self.on_lost: Callable[[str], None] = lambda why: None
        self.scrub = Scrub()
        self._closed = "the store is not started"
        self._tasks: set[asyncio.Task[None]] = set()

    # Life

    async def start(self) -> None:
        """Open or make the file. Raises Unavailable with what is wrong with it."""
        self._loop = asyncio.get_running_loop()
        self._writer = statements.Writer(self._path, self._loop)
        loaded = await self._writer.open()
        newest = max(loaded.revision, loaded.compacted)
        self._compacted, self._swept = loaded.compacted, loaded.swept
        reserved = loaded.reserved
        if loaded.torn:
            log.warning(
                "store: the write-ahead log of %s ends within a transaction: one never answered, if the"
                " process was killed; if the disk failed, what was answered last may be lost",
                self._path,
            )
            reserved = max(reserved, newest) + SKIPPED
        if reserved > newest:
            # No clean end, or a restored backup: what had the reserved revisions may be lost, so history has
            # a hole that no watch may cross.
            self._compacted = newest = reserved
            await self._writer.call(statements.set_meta("compacted", newest))
        self._reader = Reader(self._path)
        self._feed = Feed(self._reader)
        self._leases = Leases(self._loop, self._expire, loaded.leases, loaded.leased)
        self._commits = GroupCommit(
            self._writer,
            self._leases,
            self._feed.publish,
            index=loaded.index,
            revision=newest,
            flush_interval=self._flush_interval,
        )
        self._damages.start(self._commits, self._leases, loaded.damaged, loaded.damaged_rows)
        self._closed = ""
        if self._history:
            self._spawn(self._compact_periodically(), "store-compaction")
        if self._scrub_seconds:
            self._spawn(self.scrub.run(self._reader, self._scrub_seconds, self._row_damaged), "store-scrub")

    async def close(self) -> None:
        """Finish what was accepted, then release everything. Idempotent."""
        if self._closed:
            return
        self._closed = "the store is closed"
        self._leases.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            clean = await self._commits.close()
            if clean:
                await self._writer.call(statements.set_meta("reserved", self._commits.visible))
        except Unavailable as exc:
            log.error("store: closing without the last heartbeats: %s", exc)
        await self._feed.close()
        await self._reader.close()
        await self._writer.close()

    def _spawn(self, work: Coroutine[object, object, None], name: str) -> None:
        task = self._loop.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @property
    def revision(self) -> int:
        return self._commits.visible if not self._closed else 0

    @property
    def failure(self) -> str:
        """Why writes are refused; empty while they are taken."""
        return self._closed or self._commits.failure

    @property
    def compacted(self) -> int:
        return self._compacted

    # Reads

    async def get(self, key: str, *, revision: int = 0) -> KeyValue | None:
        self._check_readable(revision)
        if revision and revision < self._commits.visible:
            items = await self._state([key], revision, key)
            return next((item for item in items if item.key == key), None)
        while (state := self._commits.index.get(key)) is not None:
            heartbeat = self._commits.beat(key)
            if heartbeat is not None:
                return _key_value(heartbeat)
            row = (await self._reader.rows([state >> SHIFT])).get(state >> SHIFT)
            if row is not None and row.value is not None and not row.damage:
                return KeyValue(key, row.value, row.revision, row.created, row.lease)
            self._damages.unreadable(key, state >> SHIFT, row)
        self._damages.check(key)
        return None

    async def range(self, prefix: str, *, start: str = "", limit: int = 0, revision: int = 0) -> Page:
        self._check_readable(revision)
        if revision and revision < self._commits.visible:
            items = await self._state(self._keys(prefix), revision, prefix)
            items = [item for item in items if item.key >= start]
            cut = items[:limit] if limit else items
            return Page(cut, revision, len(items) - len(cut))
        while True:
            visible = self._commits.visible
            keys = self._keys(prefix, start)
            remaining = 0
            if limit and len(keys) > limit:
                remaining = len(keys) - limit
                del keys[limit:]
            heartbeats = {key: beat for key in keys if (beat := self._commits.beat(key)) is not None}
            wanted = [(key, self._commits.index[key] >> SHIFT) for key in keys]
            rows = await self._reader.rows([at for key, at in wanted if key not in heartbeats])
            items = []
            for key, at in wanted:
                if (beat := heartbeats.get(key)) is not None:
                    items.append(_key_value(beat))
                elif (row := rows.pop(at, None)) is not None and row.value is not None and not row.damage:
                    items.append(KeyValue(key, row.value, at, row.created, row.lease))
                else:
                    self._damages.unreadable(key, at, row)
            if len(items) == len(wanted):
                return Page(items, visible, remaining)
            # Compaction overtook the read, or something was set aside: look again.

    async def _state(self, keys: list[str], revision: int, prefix: str) -> list[KeyValue]:
        """As of an older revision, in key order: `keys`, which live now, and what was written since."""
        at = {key: self._commits.index[key] >> SHIFT for key in keys if key in self._commits.index}
        beats = {key: beat for key in at if (beat := self._commits.beat(key)) is not None}
        superseded = await self._reader.superseded(prefix, revision, self._commits.visible)
        for key, beat in beats.items():
            if beat.revision > revision:
                superseded.setdefault(key, beat.previous)
        at.update(superseded)
        beats = {key: beat for key, beat in beats.items() if at[key] == beat.revision}
        rows = await self._reader.rows([found for key, found in at.items() if found and key not in beats])
        if revision < self._compacted:
            raise Compacted(revision, self._compacted)
        if prefix in at and (row := rows.get(at[prefix])) is not None and row.damage:
            raise Damaged(prefix, row.revision, row.damage)
        items = [_key_value(beat) for beat in beats.values()]
        items += [
            KeyValue(r.key, r.value, r.revision, r.created, r.lease)
            for r in rows.values()
            if r.value is not None and not r.damage
        ]
        items.sort(key=lambda item: item.key)
        return items

    def _check_readable(self, revision: int) -> None:
        if self._closed:
            raise Unavailable(self._closed)
        if revision > self._commits.visible:
            raise Future(revision, self._commits.visible)
        if revision and revision < self._compacted:
            raise Compacted(revision, self._compacted)

    # Damage

    @property
    def damaged(self) -> Mapping[str, Damage]:
        return self._damages.keys

    def set_aside(self, key: str, revision: int, why: str) -> None:
        self._damages.set_aside(key, revision, why)

    async def _row_damaged(self, revision: int, why: str) -> None:
        """A row was found to be damaged: write it again from memory, or set its key aside."""
        key = self._damages.found(revision, why)
        if key is None:
            return
        value = self.recall(key, revision)
        if value is None:
            self.set_aside(key, revision, why)
            return
        try:
            await self.update(key, value, expected=revision, lease=self._leases.keys.get(key, 0))
        except (Conflict, Missing):
            return  # Another write came first, which did the same.
        self.scrub.rewritten += 1
        log.error(
            "store: the row of %s, revision %d, was damaged (%s); written again from memory",
            key, revision, why,
        )  # fmt: skip

    async def drop(self, key: str) -> int:
        self._check_writable()
        return await self._damages.drop(key)

    def _keys(self, prefix: str, start: str = "") -> list[str]:
        keys = self._commits.ordered
        if keys is None:
            keys = self._commits.ordered = sorted(self._commits.index)
        low = bisect_left(keys, max(prefix, start))
        high = bisect_left(keys, prefix + "\U0010ffff", low)
        return keys[low:high]

    # Writes

    async def create(
        self, key: str, value: bytes, *, lease: int = 0, durable: bool = True, hint: object = None
    ) -> int:
        commits = self._commits
        while True:
            self._check_writable()
            last = commits.tail.get(key)
            if last is None:
                state = commits.index.get(key)
                if state is not None:
                    raise Exists(key, state >> SHIFT)
                self._damages.check(key)
            elif not last.deleted:
                await commits.settle(last)
                continue
            if durable or commits.heartbeat_may():
                break
            await commits.reserve()
        if lease:
            self._leases.check(lease)
        return await commits.submit(
            key, value, created=0, previous=0, lease=lease, durable=durable, hint=hint
        )

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
        commits = self._commits
        while True:
            created = await self._expect(key, expected)
            if durable or commits.heartbeat_may():
                break
            await commits.reserve()
        if lease:
            self._leases.check(lease)
        previous = commits.on_disk(key)
        return await commits.submit(
            key, value, created=created, previous=previous, lease=lease, durable=durable, hint=hint
        )

    async def delete(self, key: str, *, expected: int = 0, hint: object = None) -> int:
        created = await self._expect(key, expected or None)
        commits = self._commits
        return await commits.submit(
            key, b"", created=created, previous=commits.on_disk(key), deleted=True, hint=hint
        )

    async def _expect(self, key: str, expected: int | None) -> int:
        """The revision at which the living key was created. Raises Missing, Conflict, Unavailable.

        expected None: it may be at any revision. A negative answer that rests on a write in flight waits for
        its outcome.
        """
        commits = self._commits
        while True:
            self._check_writable()
            last = commits.tail.get(key)
            if last is None:
                state = commits.index.get(key)
                if state is None:
                    self._damages.check(key)
                    raise Missing(key)
                if expected is not None and state >> SHIFT != expected:
                    raise Conflict(key, expected, state >> SHIFT)
                return state & CREATED
            if not last.deleted and (expected is None or last.revision == expected):
                return last.created
            await commits.settle(last)

    def _check_writable(self) -> None:
        if self._closed or self._commits.failure:
            raise Unavailable(self.failure)

    # Watching

    def subscribe(self, prefix: str, since: int, deliver: Deliver) -> Subscription:
        self._check_readable(0)
        if since < self._compacted:
            raise Compacted(since, self._compacted)
        commits = self._commits
        return self._feed.subscribe(prefix, since, commits.visible, commits.beats(), deliver)

    # Compaction

    async def compact(self, revision: int) -> None:
        self._check_writable()
        if revision > self._commits.visible:
            raise Future(revision, self._commits.visible)
        if revision < self._compacted:
            raise Compacted(revision, self._compacted)
        await self._commits.flush()
        async with self._sweeping:
            if revision > self._compacted:
                self._compacted = revision
                await self._writer.call(statements.set_meta("compacted", revision))
            await self._feed.caught_up()
            while self._swept < self._compacted:
                kept = self._damages.rows
                swept = await self._writer.call(
                    statements.sweep(self._swept, self._compacted, SWEEP_ROWS, kept)
                )
                self._swept = swept.upto
                for row in swept.damaged:
                    await self._row_damaged(row, "wrong checksum")

    async def _compact_periodically(self) -> None:
        """Keep `history` seconds and `slack` revisions. A mark a tenth of the time is precise enough."""
        marks: deque[int] = deque()
        while True:
            await asyncio.sleep(self._history / 10)
            marks.append(self._commits.visible)
            if len(marks) <= 10:
                continue
            target = min(marks.popleft(), self._commits.visible - self._slack)
            if target <= self._compacted and self._swept >= self._compacted:
                continue
            try:
                await self.compact(max(target, self._compacted))
            except Unavailable as exc:
                log.warning("store: compaction failed, trying again later: %s", exc)

    # Leases

    async def grant(self, ttl: float) -> int:
        self._check_writable()
        lease = self._leases.new_id()
        await self._writer.call(statements.add_lease(lease, ttl))
        self._leases.add(lease, ttl)
        return lease

    async def keep_alive(self, lease: int) -> float:
        return self._leases.renew(lease)

    async def revoke(self, lease: int) -> None:
        self._leases.remove(lease)
        await self._drop([lease])

    def _expire(self, leases: list[int]) -> None:
        self._spawn(self._drop_expired(leases), "store-lease-expiry")

    async def _drop_expired(self, leases: list[int]) -> None:
        try:
            await self._drop(leases)
        except Unavailable as exc:
            log.warning("store: expired leases are dropped later: %s", exc)
            for lease in leases:
                self._leases.add(lease, self._leases.RETRY)

    async def _drop(self, leases: list[int]) -> None:
        """Delete the keys of leases that take no new ones any more, then the leases."""
        await self._commits.settle_lease(leases)
        keys = [key for lease in leases for key in self._leases.keys_of(lease)]
        results = await asyncio.gather(
            *(self._delete_leased(key, leases) for key in keys), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result
        await self._writer.call(statements.drop_leases(leases))

    async def _delete_leased(self, key: str, leases: list[int]) -> None:
        while self._leases.keys.get(key) in leases:
            state = self._commits.index.get(key)
            if state is None:
                return
            try:
                await self.delete(key, expected=state >> SHIFT)
            except (Conflict, Missing):
                continue

    # Backup

    async def backup(self, path: str) -> None:
        """Write a consistent copy. A store started from it goes on with much higher revisions and older
        watches get Compacted.
        """
        if self._closed:
            raise Unavailable(self._closed)
        if not self._commits.failure:
            await self._commits.flush()
        await self._reader.backup(path)


def _key_value(write: Write) -> KeyValue:
    return KeyValue(write.key, write.value, write.revision, write.created, write.lease)
