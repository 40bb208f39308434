# SPDX-License-Identifier: GPL-3.0-or-later
"""Group commit of the SQLite store: the state of the keys in memory, and the way of a write to disk and back.

What waits is handed to the writer thread as one transaction. Only after its commit is on disk do the writes
become visible: index, subscribers, answers, in this order. Writes that wait or are being committed form the
tail; when a commit fails the tail is thrown away, and the index was never wrong.

Heartbeats (not durable writes) are visible at once, live in memory and are written together now and then.

Not here: whether a write is allowed (`sqlite`), the statements (`sqlite_writer`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from navarch.store import sqlite_writer as statements
from navarch.store.base import Event, Unavailable
from navarch.store.sqlite_file import error_name
from navarch.store.sqlite_lease import Leases
from navarch.store.sqlite_rows import checksum
from navarch.store.sqlite_writer import Writer

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

#: After one of these it is unknown what is on disk until it is read again.
_FATAL = ("SQLITE_IOERR_FSYNC", "SQLITE_IOERR_DIR_FSYNC", "SQLITE_CORRUPT")


class Write:
    """A write on its way to disk, or a heartbeat that is visible and not on disk yet."""

    __slots__ = (
        "created",
        "deleted",
        "durable",
        "future",
        "hint",
        "key",
        "lease",
        "previous",
        "revision",
        "settled",
        "value",
    )

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
        #: Made by a caller that must know the outcome of this write before it can answer.
        self.settled: asyncio.Future[None] | None = None


def _cells(write: Write, value: bytes | None) -> tuple[Any, ...]:
    """In the order of `sqlite_rows.COLUMNS`."""
    key, revision, created, previous, lease = (
        write.key, write.revision, write.created, write.previous, write.lease,
    )  # fmt: skip
    # A key that SQLite will refuse must not fail here, on the loop.
    sum = checksum(revision, key.encode("utf-8", "surrogatepass"), created, previous, lease, value)
    return revision, key, created, previous, lease, sum, value


class GroupCommit:
    def __init__(
        self,
        writer: Writer,
        leases: Leases,
        publish: Callable[[Sequence[Event]], None],
        *,
        index: dict[str, int],
        revision: int,
        flush_interval: float,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._writer = writer
        self._leases = leases
        self._publish = publish
        self._flush_interval = flush_interval
        #: Visible living keys.
        self.index = index
        #: Their keys in order; None when somebody must sort them first.
        self.ordered: list[str] | None = None
        #: Newest visible revision, newest given out, newest that heartbeats may take.
        self.visible = self._last = self._reserved = revision
        #: The last write of each key that is not visible yet.
        self.tail: dict[str, Write] = {}
        #: Why no write is taken any more.
        self.failure = ""
        self._pending: list[Write] = []
        self._inflight: list[Write] | None = None
        self._scheduled = False
        #: Visible heartbeats that are not on disk, and those of them that the writer has.
        self._beats: dict[str, Write] = {}
        self._flushing: dict[str, Write] = {}
        self._flush_due = False
        self._flush_timer: asyncio.TimerHandle | None = None
        self._turn: asyncio.Future[None] | None = None
        self._failures = 0
        self._reserving: asyncio.Future[None] | None = None

    def beat(self, key: str) -> Write | None:
        """The key's visible state when that is not on disk yet."""
        found = self._beats.get(key)
        return found if found is not None else self._flushing.get(key)

    def beats(self) -> list[Write]:
        """Visible heartbeats that may not be on disk yet, in revision order."""
        return sorted([*self._beats.values(), *self._flushing.values()], key=lambda beat: beat.revision)

    def on_disk(self, key: str) -> int:
        """The revision of the key's newest row that is, or will be by then, on disk; 0 for none."""
        found = self.tail.get(key)
        if found is not None:
            return found.revision if found.durable else found.previous
        if self._beats and (found := self._beats.get(key)) is not None:
            return found.previous
        if self._flushing and (found := self._flushing.get(key)) is not None:
            return found.revision
        state = self.index.get(key)
        return 0 if state is None else state >> SHIFT

    async def submit(
        self,
        key: str,
        value: bytes,
        *,
        created: int,
        previous: int,
        lease: int = 0,
        durable: bool = True,
        deleted: bool = False,
        hint: object = None,
    ) -> int:
        """Number an allowed write and return its revision when it is visible. Raises Unavailable.

        created 0: now. The caller must not have awaited since it looked, nor send a heartbeat unless
        `heartbeat_may`.
        """
        self._last = revision = self._last + 1
        write = Write(key, value, revision, created or revision, previous, lease, durable, deleted, hint)
        if not durable and self._inflight is None and not self._pending:
            self._apply([write])
            return revision
        self.tail[key] = write
        self._pending.append(write)
        self._kick()
        future: asyncio.Future[int] = self._loop.create_future()
        write.future = future
        return await future

    async def settle(self, write: Write) -> None:
        """Wait until a write of the tail is visible or has failed."""
        if write.settled is None:
            write.settled = self._loop.create_future()
        await asyncio.shield(write.settled)

    async def settle_lease(self, leases: Sequence[int]) -> None:
        """Wait until no write with one of these leases is on its way."""
        while any(write.lease in leases for write in (*(self._inflight or ()), *self._pending)):
            await self._next_turn()

    def heartbeat_may(self) -> bool:
        """Whether the next revision is reserved on disk, so that no crash can give it out again."""
        return self._last < self._reserved

    async def reserve(self) -> None:
        """Reserve the next block of revisions. Raises Unavailable."""
        if self._reserving is None:
            self._reserving = self._loop.create_task(self._reserve_block(), name="store-reserve")
        await asyncio.shield(self._reserving)

    async def _reserve_block(self) -> None:
        # Done means taken note of: who waits looks again at once, and waiting for what is over does not let
        # anybody else run.
        ceiling = max(self._last, self._reserved) + BLOCK
        try:
            await self._writer.call(statements.set_meta("reserved", ceiling))
            self._reserved = ceiling
        finally:
            self._reserving = None

    # The way of a batch

    def _kick(self) -> None:
        if self._inflight is None and not self._scheduled:
            # Not at once: whatever else this turn of the loop writes goes into the same transaction.
            self._scheduled = True
            self._loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._scheduled = False
        if self._inflight is not None:
            return
        self._apply(self._send())
        if self._inflight is None:
            self._end_turn()

    def _send(self) -> list[Write]:
        """Hand what waits to the writer. Returns the writes instead when none of them needs the disk."""
        writes = self._pending
        params: list[Any] = []
        rows = size = taken = 0
        for write in writes:
            if rows >= statements.MAX_ROWS - MAX_FLUSH or size > MAX_BYTES:
                break
            taken += 1
            if write.durable:
                rows += 1
                size += len(write.value) + len(write.key)
                value = None if write.deleted else write.value
                params += _cells(write, value)
        self._pending = writes[taken:]
        del writes[taken:]
        if self._flush_due:
            for beat in self._take_beats():
                rows += 1
                size += len(beat.value) + len(beat.key)
                params += _cells(beat, beat.value)
        if not rows:
            return writes
        self._inflight = writes
        self._writer.commit(params, rows, size, self._done)
        return []

    def _done(self, error: Exception | None) -> None:
        """The writer is through with a transaction."""
        writes = self._inflight or []
        self._inflight = None
        if error is not None:
            self._fail(error, writes)
        else:
            self._flushing.clear()
            # First the next batch, so that the disk works while the loop tells of this one.
            more = self._send() if self._pending or self._flush_due else []
            self._apply(writes)
            self._apply(more)
        if self._beats:
            self._arm_flush()
        self._end_turn()

    def _apply(self, writes: list[Write]) -> None:
        """Make writes visible: index, subscribers, answers."""
        if not writes:
            return
        index, tail, leases = self.index, self.tail, self._leases
        events = []
        for write in writes:
            key = write.key
            if write.deleted:
                index.pop(key, None)  # a damaged key that is dropped is not there
                self.ordered = None
            else:
                index[key] = write.revision << SHIFT | write.created
                if write.created == write.revision:
                    self.ordered = None
            if tail.get(key) is write:
                del tail[key]
            if not write.durable:
                self._beats[key] = write
            elif self._beats:
                self._beats.pop(key, None)
            if write.lease or leases.keys:
                leases.attach(key, write.lease)
            events.append(
                Event(key, write.value, write.revision, write.created, write.deleted, write.hint),
            )
            write.hint = None
        self.visible = writes[-1].revision
        if self._beats:
            self._arm_flush()
        self._publish(events)
        for write in writes:
            if write.future is not None and not write.future.done():
                write.future.set_result(write.revision)
            if write.settled is not None:
                write.settled.set_result(None)

    def _fail(self, error: Exception, writes: list[Write]) -> None:
        """A transaction was rolled back: nothing of it, and nothing that may rest on it, was written."""
        self._failures += 1
        message = f"cannot write to the store: {error}"
        log.error(message)
        if error_name(error) in _FATAL:
            self.failure = f"{message}; no writes until the master is restarted"
        for key, beat in self._flushing.items():
            self._beats.setdefault(key, beat)
        self._flushing.clear()
        self._flush_due = False
        lost = writes + self._pending
        self._pending = []
        self.tail.clear()
        for write in lost:
            if write.future is not None and not write.future.done():
                write.future.set_exception(Unavailable(message))
            if write.settled is not None:
                write.settled.set_result(None)

    async def _next_turn(self) -> None:
        if self._turn is None:
            self._turn = self._loop.create_future()
        await asyncio.shield(self._turn)

    def _end_turn(self) -> None:
        if self._turn is not None:
            turn, self._turn = self._turn, None
            turn.set_result(None)

    # Heartbeats

    def _take_beats(self) -> list[Write]:
        beats: list[Write] = []
        for key, beat in self._beats.items():
            if len(beats) == MAX_FLUSH:
                break
            if key not in self.tail:  # else a newer write is on its way, which supersedes the same row
                beats.append(beat)
        for beat in beats:
            del self._beats[beat.key]
            self._flushing[beat.key] = beat
        self._flush_due = len(beats) == MAX_FLUSH
        return beats

    def _arm_flush(self) -> None:
        if self._flush_timer is None and not self.failure:
            self._flush_timer = self._loop.call_later(self._flush_interval, self._flush_now)

    def _flush_now(self) -> None:
        self._flush_timer = None
        self._flush_due = True
        self._kick()

    async def flush(self) -> None:
        """Return when all heartbeats that are visible now are on disk. Raises Unavailable."""
        upto = self.visible
        while self._flushing or any(beat.revision <= upto for beat in self._beats.values()):
            await self._push()

    async def close(self) -> bool:
        """Bring everything that was accepted to disk; new writes are refused. Raises Unavailable.

        False when an earlier failure leaves unknown what is there.
        """
        healthy = not self.failure
        self.failure = self.failure or "the store is closed"
        if self._flush_timer is not None:
            self._flush_timer.cancel()
        while healthy and (self._inflight is not None or self._pending or self._beats):
            await self._push()
        return healthy

    async def _push(self) -> None:
        failures = self._failures
        self._flush_due = bool(self._beats)
        self._kick()
        await self._next_turn()
        if self._failures != failures:
            raise Unavailable("cannot write the last heartbeats to the store")
