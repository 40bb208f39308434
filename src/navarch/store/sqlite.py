# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded store: an MVCC log in one SQLite file, group commit, everything decided on the event loop.

The loop holds an index of the living keys, checks compare-and-swap against it, numbers the writes and hands
what waits to the writer thread as one transaction. Only after its commit is on disk do the writes become
visible: index, subscribers, answers, in this order. Writes that wait or are being committed form the tail:
checks look there first, and when a commit fails the tail is thrown away and the index was never wrong.

Heartbeats (`durable=False`) are visible at once, live in memory and are written together every few seconds.

Not here: the file (`sqlite_file`), the thread and its statements (`sqlite_writer`), reading
(`sqlite_reader`), leases (`sqlite_lease`).
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from bisect import bisect_left
from collections import deque
from typing import Any

from navarch.store import sqlite_writer as writer
from navarch.store.base import (
    Compacted,
    Conflict,
    Deliver,
    Event,
    Exists,
    Future,
    KeyValue,
    Missing,
    Page,
    Unavailable,
)
from navarch.store.sqlite_feed import Feed, Subscription
from navarch.store.sqlite_lease import Leases
from navarch.store.sqlite_reader import Reader

log = logging.getLogger(__name__)

#: An index value is revision << SHIFT | created: one small int a key instead of a tuple of two.
SHIFT = 48
CREATED = (1 << SHIFT) - 1

#: Bytes of one transaction, about; what waits beyond it goes into the next.
MAX_BYTES = 16 << 20
#: Heartbeats written with one transaction.
MAX_FLUSH = 1024
#: Revisions reserved at a time for heartbeats.
BLOCK = 10_000
#: Writes whose leftovers one compaction transaction removes.
SWEEP_ROWS = 500


class Write:
    """A write on its way to disk, or a heartbeat that is visible and not on disk yet."""

    __slots__ = (
        "created", "deleted", "durable", "future", "hint", "key", "lease", "previous", "revision", "settled",
        "value",
    )  # fmt: skip

    def __init__(
        self,
        key: str,
        value: bytes,
        revision: int,
        created: int,
        previous: int,
        lease: int,
        durable: bool,
        deleted: bool,
        hint: object,
    ) -> None:
        self.key = key
        self.value = value
        self.revision = revision
        self.created = created
        #: Revision of the key's row on disk that this one supersedes; 0 for none.
        self.previous = previous
        self.lease = lease
        self.durable = durable
        self.deleted = deleted
        self.hint = hint
        self.future: asyncio.Future[int] | None = None
        #: Made by whoever must know the outcome of this write before it can answer.
        self.settled: asyncio.Future[None] | None = None


class SqliteStore:
    """`store.base.Store` on one SQLite file.

    flush_interval: seconds a heartbeat stays in memory at most. history: seconds of history that the periodic
    compaction keeps (0: no periodic compaction), slack: revisions it keeps at least.
    """

    def __init__(
        self, path: str, *, flush_interval: float = 3.0, history: float = 300.0, slack: int = 1000
    ) -> None:
        self._path = path
        self._flush_interval = flush_interval
        self._history = history
        self._slack = slack
        self._index: dict[str, int] = {}
        self._sorted: list[str] | None = None
        #: The last write of each key that is not visible yet.
        self._tail: dict[str, Write] = {}
        self._pending: list[Write] = []
        self._inflight: list[Write] | None = None
        self._scheduled = False
        #: Visible heartbeats that are not on disk, and those of them that the writer has.
        self._volatile: dict[str, Write] = {}
        self._flushing: dict[str, Write] = {}
        self._flush_due = False
        self._flush_timer: asyncio.TimerHandle | None = None
        self._turn: asyncio.Future[None] | None = None
        self._last = 0
        self._visible = 0
        self._reserved = 0
        self._reserving: asyncio.Future[None] | None = None
        self._compacted = 0
        self._swept = 0
        self._sweeping = asyncio.Lock()
        self._marks: deque[int] = deque()
        self._failure = "the store is not started"
        self._tasks: set[asyncio.Task[None]] = set()

    # Life

    async def start(self) -> None:
        """Open or make the file. Raises Unavailable with what is wrong with it."""
        self._loop = asyncio.get_running_loop()
        self._writer = writer.Writer(self._path, self._loop)
        loaded = await self._writer.open()
        self._index = loaded.index
        self._compacted, self._swept = loaded.compacted, loaded.swept
        self._last = self._visible = max(loaded.revision, loaded.reserved, loaded.compacted)
        if loaded.reserved > loaded.revision:
            # No clean end (or a restored backup): heartbeats of reserved revisions may be lost, so history
            # has a hole.
            self._compacted = max(self._compacted, self._visible)
        self._reserved = self._visible
        self._reader = Reader(self._path)
        self._feed = Feed(self._reader)
        self._leases = Leases(self._loop, self._expire, loaded.leases, loaded.leased)
        self._failure = ""
        if self._history:
            self._spawn(self._compact_periodically(), "store-compaction")

    async def close(self) -> None:
        """Finish what was accepted, then release everything. Idempotent."""
        if self._failure in ("closed", "the store is not started"):
            return
        broken, self._failure = self._failure, "closed"
        self._leases.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._flush_timer is not None:
            self._flush_timer.cancel()
        if not broken:
            try:
                await self._flush(everything=True)
                await self._writer.call(writer.set_meta("reserved", self._visible))
            except (Unavailable, sqlite3.Error) as exc:
                log.error("store: the last heartbeats were not written: %s", exc)
        await self._feed.close()
        await self._reader.close()
        await self._writer.close()

    def _spawn(self, work: Any, name: str) -> None:
        task = self._loop.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @property
    def revision(self) -> int:
        return self._visible

    @property
    def compacted(self) -> int:
        return self._compacted

    # Reads

    async def get(self, key: str, *, revision: int = 0) -> KeyValue | None:
        self._check_readable(revision)
        if revision and revision < self._visible:
            items = await self._state([key], revision, key)
            return items[0] if items else None
        while (state := self._index.get(key)) is not None:
            heartbeat = self._heartbeat(key)
            if heartbeat is not None:
                return _key_value(heartbeat)
            row = (await self._reader.rows([state >> SHIFT])).get(state >> SHIFT)
            if row is not None and row.value is not None:
                return KeyValue(key, row.value, row.revision, row.created, row.lease)
        return None

    async def range(self, prefix: str, *, start: str = "", limit: int = 0, revision: int = 0) -> Page:
        self._check_readable(revision)
        if revision and revision < self._visible:
            items = await self._state(self._keys(prefix), revision, prefix)
            items = [item for item in items if item.key >= start]
            cut = items[:limit] if limit else items
            return Page(cut, revision, len(items) - len(cut))
        while True:
            visible = self._visible
            keys = self._keys(prefix, start)
            remaining = 0
            if limit and len(keys) > limit:
                remaining = len(keys) - limit
                del keys[limit:]
            heartbeats = {key: beat for key in keys if (beat := self._heartbeat(key)) is not None}
            wanted = [(key, self._index[key] >> SHIFT) for key in keys]
            rows = await self._reader.rows([at for key, at in wanted if key not in heartbeats])
            items = []
            for key, at in wanted:
                if (beat := heartbeats.get(key)) is not None:
                    items.append(_key_value(beat))
                elif (row := rows.pop(at, None)) is not None and row.value is not None:
                    items.append(KeyValue(key, row.value, at, row.created, row.lease))
            if len(items) == len(wanted):
                return Page(items, visible, remaining)
            # Compaction overtook the read: look again.

    async def _state(self, keys: list[str], revision: int, prefix: str) -> list[KeyValue]:
        """Living keys among `keys` and those deleted since, as of an older revision, in key order."""
        at = {key: self._index[key] >> SHIFT for key in keys if key in self._index}
        beats = {key: beat for key in at if (beat := self._heartbeat(key)) is not None}
        superseded = await self._reader.superseded(prefix, revision, self._visible)
        exact = len(keys) == 1 and keys[0] == prefix
        for key, beat in beats.items():
            if beat.revision > revision:
                superseded.setdefault(key, beat.previous)
        for key, previous in superseded.items():
            if not exact or key == prefix:
                at[key] = previous
        beats = {key: beat for key, beat in beats.items() if at[key] == beat.revision}
        rows = await self._reader.rows([found for key, found in at.items() if found and key not in beats])
        if revision < self._compacted:
            raise Compacted(revision, self._compacted)
        items = [_key_value(beat) for beat in beats.values()]
        items += [
            KeyValue(r.key, r.value, r.revision, r.created, r.lease)
            for r in rows.values()
            if r.value is not None
        ]
        items.sort(key=lambda item: item.key)
        return items

    def _check_readable(self, revision: int) -> None:
        if self._failure in ("closed", "the store is not started"):
            raise Unavailable(self._failure)
        if revision > self._visible:
            raise Future(revision, self._visible)
        if revision and revision < self._compacted:
            raise Compacted(revision, self._compacted)

    def _heartbeat(self, key: str) -> Write | None:
        """The key's visible state when that is not on disk yet."""
        found = self._volatile.get(key)
        return found if found is not None else self._flushing.get(key)

    def _keys(self, prefix: str, start: str = "") -> list[str]:
        keys = self._sorted
        if keys is None:
            keys = self._sorted = sorted(self._index)
        low = bisect_left(keys, max(prefix, start))
        high = bisect_left(keys, prefix + "\U0010ffff", low)
        return keys[low:high]

    # Writes

    async def create(
        self, key: str, value: bytes, *, lease: int = 0, durable: bool = True, hint: object = None
    ) -> int:
        while True:
            if self._failure:
                raise Unavailable(self._failure)
            last = self._tail.get(key)
            if last is None:
                state = self._index.get(key)
                if state is not None:
                    raise Exists(key, state >> SHIFT)
            elif not last.deleted:
                await self._settle(last)
                continue
            if durable or self._last < self._reserved:
                break
            await self._reserve()
        if lease:
            self._leases.check(lease)
        return await self._submit(
            key, value, 0, self._on_disk(key) if last is None else 0, lease, durable, False, hint
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
        while True:
            created = await self._expect(key, expected)
            if durable or self._last < self._reserved:
                break
            await self._reserve()
        if lease:
            self._leases.check(lease)
        return await self._submit(key, value, created, self._on_disk(key), lease, durable, False, hint)

    async def delete(self, key: str, *, expected: int = 0, hint: object = None) -> int:
        created = await self._expect(key, expected)
        return await self._submit(key, b"", created, self._on_disk(key), 0, True, True, hint)

    async def _expect(self, key: str, expected: int) -> int:
        """The revision at which the living key was created. Raises Missing, Conflict, Unavailable.

        A negative answer that rests on a write in flight waits for its outcome.
        """
        while True:
            if self._failure:
                raise Unavailable(self._failure)
            last = self._tail.get(key)
            if last is None:
                state = self._index.get(key)
                if state is None:
                    raise Missing(key)
                if expected and state >> SHIFT != expected:
                    raise Conflict(key, expected, state >> SHIFT)
                return int(state & CREATED)
            if not last.deleted and (not expected or last.revision == expected):
                return last.created
            await self._settle(last)

    def _on_disk(self, key: str) -> int:
        """The revision of the key's newest row that is, or will be by then, on disk; 0 for none."""
        found = self._tail.get(key)
        if found is not None:
            return found.revision if found.durable else found.previous
        if self._volatile and (found := self._volatile.get(key)) is not None:
            return found.previous
        if self._flushing and (found := self._flushing.get(key)) is not None:
            return found.revision
        state = self._index.get(key)
        return 0 if state is None else state >> SHIFT

    async def _submit(
        self,
        key: str,
        value: bytes,
        created: int,
        previous: int,
        lease: int,
        durable: bool,
        deleted: bool,
        hint: object,
    ) -> int:
        self._last = revision = self._last + 1
        write = Write(key, value, revision, created or revision, previous, lease, durable, deleted, hint)
        if not durable and self._inflight is None and not self._pending:
            self._apply([write])
            return revision
        self._tail[key] = write
        self._pending.append(write)
        self._kick()
        future: asyncio.Future[int] = self._loop.create_future()
        write.future = future
        return await future

    async def _settle(self, write: Write) -> None:
        if write.settled is None:
            write.settled = self._loop.create_future()
        await asyncio.shield(write.settled)

    async def _reserve(self) -> None:
        """Reserve the next block of revisions on disk, so that a crash cannot give out a heartbeat's revision
        again.
        """
        if self._reserving is None:
            ceiling = max(self._last, self._reserved) + BLOCK
            self._reserving = self._writer.call(writer.set_meta("reserved", ceiling))

            def done(future: asyncio.Future[None]) -> None:
                self._reserving = None
                if not future.cancelled() and future.exception() is None:
                    self._reserved = ceiling

            self._reserving.add_done_callback(done)
        try:
            await asyncio.shield(self._reserving)
        except sqlite3.Error as exc:
            raise Unavailable(f"cannot write {self._path}: {exc}") from exc

    # Group commit

    def _kick(self) -> None:
        if self._inflight is None and not self._scheduled:
            # Not at once: whatever else this turn of the loop writes goes into the same transaction.
            self._scheduled = True
            self._loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._scheduled = False
        if self._inflight is None and (writes := self._send()) is not None:
            self._apply(writes)

    def _send(self) -> list[Write] | None:
        """Hand what waits to the writer. Returns the writes instead when none of them needs the disk."""
        writes = self._pending
        params: list[Any] = []
        rows = size = taken = 0
        for write in writes:
            if rows >= writer.MAX_ROWS - MAX_FLUSH or size > MAX_BYTES:
                break
            taken += 1
            if write.durable:
                rows += 1
                size += len(write.value) + len(write.key)
                params += (
                    write.revision, write.key, write.created, write.previous, write.lease,
                    None if write.deleted else write.value,
                )  # fmt: skip
        if taken == len(writes):
            self._pending = []
        else:
            self._pending = writes[taken:]
            del writes[taken:]
        if self._flush_due:
            for beat in self._take_heartbeats():
                rows += 1
                size += len(beat.value) + len(beat.key)
                params += (beat.revision, beat.key, beat.created, beat.previous, beat.lease, beat.value)
        if rows:
            self._inflight = writes
            self._writer.commit(params, rows, size, self._done)
            return None
        return writes or None

    def _take_heartbeats(self) -> list[Write]:
        beats: list[Write] = []
        for key, beat in self._volatile.items():
            if len(beats) == MAX_FLUSH:
                break
            if key not in self._tail:  # else a newer write is on its way, which supersedes the same row
                beats.append(beat)
        for beat in beats:
            del self._volatile[beat.key]
            self._flushing[beat.key] = beat
        self._flush_due = len(beats) == MAX_FLUSH
        return beats

    def _done(self, error: sqlite3.Error | None) -> None:
        """The writer is through with a transaction."""
        writes = self._inflight or []
        self._inflight = None
        if error is not None:
            self._fail(error, writes)
        else:
            self._flushing.clear()
            # First the next batch, so that the disk works while the loop tells of this one.
            more = self._send() if self._pending or self._flush_due else None
            self._apply(writes)
            if more is not None:
                self._apply(more)
        if self._volatile:
            self._arm_flush()
        if self._turn is not None:
            turn, self._turn = self._turn, None
            turn.set_result(None)

    def _apply(self, writes: list[Write]) -> None:
        """Make writes visible: index, subscribers, answers."""
        index, tail, events = self._index, self._tail, []
        leases = self._leases
        for write in writes:
            key = write.key
            if write.deleted:
                del index[key]
                self._sorted = None
            else:
                index[key] = write.revision << SHIFT | write.created
                if write.created == write.revision:
                    self._sorted = None
            if tail.get(key) is write:
                del tail[key]
            if not write.durable:
                self._volatile[key] = write
            elif self._volatile:
                self._volatile.pop(key, None)
            if write.lease or leases.keys:
                leases.attach(key, write.lease)
            events.append(Event(key, write.value, write.revision, write.created, write.deleted, write.hint))
            write.hint = None
        if not events:
            return
        self._visible = writes[-1].revision
        if self._volatile:
            self._arm_flush()
        self._feed.publish(events)
        for write in writes:
            if write.future is not None and not write.future.done():
                write.future.set_result(write.revision)
            if write.settled is not None:
                write.settled.set_result(None)

    def _fail(self, error: sqlite3.Error, writes: list[Write]) -> None:
        """A transaction failed and was rolled back: nothing of it, and nothing that may rest on it, was
        written.
        """
        message = f"cannot write {self._path}: {error}"
        log.error("store: %s", message)
        if error.sqlite_errorname in ("SQLITE_IOERR_FSYNC", "SQLITE_IOERR_DIR_FSYNC", "SQLITE_CORRUPT"):
            # After a failed sync nobody knows what is on disk until it is read again.
            self._failure = f"{message}; no writes until the master is restarted"
        for key, beat in self._flushing.items():
            self._volatile.setdefault(key, beat)
        self._flushing.clear()
        self._flush_due = False
        writes = writes + self._pending
        self._pending = []
        self._tail.clear()
        for write in writes:
            if write.future is not None and not write.future.done():
                write.future.set_exception(Unavailable(message))
            if write.settled is not None:
                write.settled.set_result(None)

    # Heartbeats

    def _arm_flush(self) -> None:
        if self._flush_timer is None and not self._failure:
            self._flush_timer = self._loop.call_later(self._flush_interval, self._flush_now)

    def _flush_now(self) -> None:
        self._flush_timer = None
        self._flush_due = True
        self._kick()

    async def _flush(self, *, everything: bool = False) -> None:
        """Return when all heartbeats that are visible now are on disk; with everything, all writes that wait,
        too.
        """
        upto = self._visible
        while (
            any(beat.revision <= upto for beat in self._volatile.values())
            or self._flushing
            or (everything and (self._inflight is not None or self._pending or self._volatile))
        ):
            failed_before = bool(self._failure) and self._failure != "closed"
            self._flush_due = bool(self._volatile)
            self._kick()
            if self._turn is None:
                self._turn = self._loop.create_future()
            before = len(self._volatile)
            await asyncio.shield(self._turn)
            if failed_before or (
                self._volatile
                and not self._flush_due
                and len(self._volatile) >= before
                and not self._flushing
            ):
                raise Unavailable(f"cannot write {self._path}")

    # Watching

    def subscribe(self, prefix: str, since: int, deliver: Deliver) -> Subscription:
        self._check_readable(0)
        if since < self._compacted:
            raise Compacted(since, self._compacted)
        beats = [*self._volatile.values(), *self._flushing.values()]
        return self._feed.subscribe(prefix, since, self._visible, beats, deliver)

    # Compaction

    async def compact(self, revision: int) -> None:
        if self._failure:
            raise Unavailable(self._failure)
        if revision > self._visible:
            raise Future(revision, self._visible)
        if revision < self._compacted:
            raise Compacted(revision, self._compacted)
        await self._flush()
        async with self._sweeping:
            try:
                if revision > self._compacted:
                    self._compacted = revision
                    await self._writer.call(writer.set_meta("compacted", revision))
                await self._feed.caught_up()
                while self._swept < self._compacted:
                    self._swept = await self._writer.call(
                        writer.sweep(self._swept, self._compacted, SWEEP_ROWS)
                    )
            except sqlite3.Error as exc:
                raise Unavailable(f"cannot compact {self._path}: {exc}") from exc

    async def _compact_periodically(self) -> None:
        """Keep `history` seconds and `slack` revisions. A mark a tenth of the time is precise enough."""
        while True:
            await asyncio.sleep(self._history / 10)
            self._marks.append(self._visible)
            if len(self._marks) <= 10:
                continue
            target = min(self._marks.popleft(), self._visible - self._slack)
            if target <= self._compacted and self._swept >= self._compacted:
                continue
            try:
                await self.compact(max(target, self._compacted))
            except Unavailable as exc:
                log.warning("store: compaction failed, trying again later: %s", exc)

    # Leases

    async def grant(self, ttl: float) -> int:
        if self._failure:
            raise Unavailable(self._failure)
        lease = self._leases.new_id()
        try:
            await self._writer.call(writer.add_lease(lease, ttl))
        except sqlite3.Error as exc:
            raise Unavailable(f"cannot write {self._path}: {exc}") from exc
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
        while self._inflight is not None or self._pending:
            if not any(write.lease in leases for write in (*(self._inflight or ()), *self._pending)):
                break
            if self._turn is None:
                self._turn = self._loop.create_future()
            await asyncio.shield(self._turn)
        keys = [key for lease in leases for key in self._leases.keys_of(lease)]
        results = await asyncio.gather(
            *(self._delete_leased(key, leases) for key in keys), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result
        try:
            await self._writer.call(writer.drop_leases(leases))
        except sqlite3.Error as exc:
            raise Unavailable(f"cannot write {self._path}: {exc}") from exc

    async def _delete_leased(self, key: str, leases: list[int]) -> None:
        while self._leases.keys.get(key) in leases:
            state = self._index.get(key)
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
        if self._failure in ("closed", "the store is not started"):
            raise Unavailable(self._failure)
        try:
            if not self._failure:
                await self._flush()
            await self._reader.backup(path)
        except (sqlite3.Error, OSError) as exc:
            raise Unavailable(f"cannot write the backup {path}: {exc}") from exc


def _key_value(write: Write) -> KeyValue:
    return KeyValue(write.key, write.value, write.revision, write.created, write.lease)
