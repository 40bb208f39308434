# SPDX-License-Identifier: GPL-3.0-or-later
"""The one thread that writes to the SQLite file, and the few statements it runs.

A batch is one INSERT: statement, commit and sync are a single call into SQLite, so that the thread asks for
the interpreter lock once a batch, however busy the event loop is. Deciding what may be written is the loop's
business (`sqlite`).
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Collection, Sequence
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

from navarch.store import sqlite_file, sqlite_load, sqlite_rows, sqlite_wal
from navarch.store.base import Unavailable
from navarch.store.sqlite_file import Lock
from navarch.store.sqlite_load import Loaded
from navarch.store.sqlite_rows import COLUMNS

log = logging.getLogger(__name__)

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], None]
Done = Callable[[Exception | None], None]

#: Rows of one statement at most; SQLite allows 32,766 parameters.
MAX_ROWS = 4096
_EMPTY = (None,) * len(COLUMNS)
_ROW = f"({','.join('?' * len(COLUMNS))})"
_inserts: dict[int, str] = {}

#: After this much was written the write-ahead log is copied into the database file.
CHECKPOINT_BYTES = 4 << 20


def _insert(rows: int, params: list[Any]) -> str:
    """An INSERT for `rows` rows. Sizes are rounded up to powers of two and filled with NULL rows, so that few
    are prepared.
    """
    size = 1 << (rows - 1).bit_length()
    params.extend(_EMPTY * (size - rows))
    sql = _inserts.get(size)
    if sql is None:
        values = ",".join([_ROW] * size)
        sql = _inserts[size] = f"INSERT INTO log SELECT * FROM (VALUES {values}) WHERE column1 IS NOT NULL"
    return sql


class Writer:
    """Owns the lock, the writing connection and its thread. All methods are called on the loop."""

    def __init__(self, path: str, loop: asyncio.AbstractEventLoop) -> None:
        self._path = path
        self._loop = loop
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._unsynced = 0
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._opened: asyncio.Future[Loaded] = loop.create_future()

    async def open(self) -> Loaded:
        """Lock and open the file, read its index. Raises Unavailable."""
        self._thread.start()
        return await self._opened

    async def close(self) -> None:
        """Do what was queued, then let go of the file."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def commit(self, params: list[Any], rows: int, size: int, done: Done) -> None:
        """Insert `rows` log rows durably; then call `done(error)` on the loop.

        params: their COLUMNS, one row after the other. size: bytes, about.
        """

        def job(conn: sqlite3.Connection) -> None:
            error: Exception | None = None
            try:
                conn.execute(_insert(rows, params), params)
            except Exception as exc:  # whatever it is, the thread lives on and its callers get an answer
                error = exc
            self._post(done, error)
            self._written(conn, size + rows * 64 + 8192)

        self._queue.put(job)

    def call(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Run something rare between two batches. Raises Unavailable; what it began is rolled back then."""
        future: asyncio.Future[T] = self._loop.create_future()

        def job(conn: sqlite3.Connection) -> None:
            try:
                result = work(conn)
            except Exception as exc:
                if conn.in_transaction:
                    conn.execute("ROLLBACK")
                self._post(_fail, future, Unavailable(f"cannot write to the store: {exc}"))
            else:
                self._post(_succeed, future, result)
            self._written(conn, 8192)

        self._queue.put(job)
        return future

    def _post(self, callback: Callable[..., None], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            log.debug("the event loop is gone; no one waits for this write")

    def _run(self) -> None:
        try:
            lock = Lock(self._path)
        except Unavailable as exc:
            self._post(_fail, self._opened, exc)
            return
        try:
            frames = sqlite_wal.logged_frames(self._path)
            conn = sqlite_file.open_for_writing(self._path)
            try:
                torn = sqlite_wal.torn(conn, frames)
                loaded = sqlite_load.load(conn)
                loaded.torn = torn
                self._serve(conn, loaded)
            finally:
                conn.close()
        except Exception as exc:
            lock.release()
            if isinstance(exc, sqlite3.Error):
                exc = Unavailable(sqlite_file.explain(self._path, exc))
            self._post(_fail, self._opened, exc)
        finally:
            lock.release()

    def _serve(self, conn: sqlite3.Connection, loaded: Loaded) -> None:
        self._post(_succeed, self._opened, loaded)
        del loaded
        while (job := self._queue.get()) is not None:
            job(conn)
            del job
        try:
            conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as exc:
            log.warning("store: last checkpoint failed, the next start does it: %s", exc)

    def _written(self, conn: sqlite3.Connection, size: int) -> None:
        self._unsynced += size
        if self._unsynced < CHECKPOINT_BYTES:
            return
        self._unsynced = 0
        try:
            # PASSIVE does not wait; a reader that is in the way now is gone by the next time.
            conn.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as exc:
            log.warning("store: checkpoint failed, trying again later: %s", exc)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


def _succeed(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


# The rare statements, run with Writer.call.


def set_meta(name: str, value: int) -> Callable[[sqlite3.Connection], None]:
    def work(conn: sqlite3.Connection) -> None:
        sqlite_file.write_meta(conn, name, value)

    return work


def add_lease(lease: int, ttl: float) -> Callable[[sqlite3.Connection], None]:
    def work(conn: sqlite3.Connection) -> None:
        conn.execute(
            "INSERT INTO lease (id, ttl, sum) VALUES (?, ?, ?)",
            (lease, ttl, sqlite_rows.small(lease, float(ttl))),
        )

    return work


def drop_leases(leases: Sequence[int]) -> Callable[[sqlite3.Connection], None]:
    def work(conn: sqlite3.Connection) -> None:
        conn.execute("BEGIN IMMEDIATE")
        conn.executemany("DELETE FROM lease WHERE id = ?", [(lease,) for lease in leases])
        conn.execute("COMMIT")

    return work


class Swept(NamedTuple):
    #: How far it came.
    upto: int
    #: Revisions of rows that are damaged.
    damaged: list[int]


def sweep(after: int, upto: int, rows: int, kept: Collection[int]) -> Callable[[sqlite3.Connection], Swept]:
    """Remove what the writes in (after, upto] superseded, and the deletions among them; at most `rows` writes
    at once.

    A damaged row removes nothing, and those of `kept` are not removed: that is what a repair needs. Nothing
    at or after `upto` reads what is removed.
    """

    def work(conn: sqlite3.Connection) -> Swept:
        conn.execute("BEGIN IMMEDIATE")
        conn.text_factory = bytes
        try:
            found = conn.execute(
                f"{sqlite_rows.SELECT_HEAD} WHERE revision > ? AND revision <= ? ORDER BY revision LIMIT ?",
                (after, upto, rows),
            ).fetchall()
        finally:
            conn.text_factory = str
        damaged: list[int] = []
        gone: list[int] = []
        for cells in found:
            head = sqlite_rows.read_head(cells)
            if head is None:
                damaged.append(cells[0])
                continue
            if head.previous and head.previous not in kept and head.previous not in damaged:
                gone.append(head.previous)
            if head.dead:
                gone.append(head.revision)
        end: int = found[-1][0] if len(found) == rows else upto
        conn.execute(
            "DELETE FROM log WHERE revision IN (SELECT value FROM json_each(?))", (json.dumps(gone),)
        )
        sqlite_file.write_meta(conn, "swept", end)
        conn.execute("COMMIT")
        return Swept(end, damaged)

    return work
