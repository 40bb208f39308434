# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads from the SQLite file: a second connection in a thread of its own, a bounded piece at a time.

Rows never change, they only go when compaction passes them; so a read needs no transaction to be consistent,
and none is held open (an open reader keeps the write-ahead log from being reused).
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from navarch.store import sqlite_file, sqlite_rows
from navarch.store.base import Unavailable
from navarch.store.sqlite_rows import SELECT, Row

T = TypeVar("T")

#: Rows read at once.
CHUNK = 1000


class Reader:
    def __init__(self, path: str) -> None:
        self._path = path
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-reader")
        self._conn: sqlite3.Connection | None = None

    async def rows(self, revisions: Sequence[int]) -> dict[int, Row]:
        """The rows of these revisions, damaged ones marked; those that are gone are left out."""
        found: dict[int, Row] = {}
        for at in range(0, len(revisions), CHUNK):
            found.update(await self._run(partial(self._rows, revisions[at : at + CHUNK])))
        return found

    async def writes(self, prefix: str, after: int, upto: int) -> list[Row]:
        """The first CHUNK writes of keys with the prefix in (after, upto], in order."""
        return await self._run(partial(self._writes, prefix, after, upto))

    async def superseded(self, prefix: str, after: int, upto: int) -> dict[str, int]:
        """key -> the revision on disk that the first write in (after, upto] replaced (0: the key did not
        live).
        """
        return await self._run(partial(self._superseded, prefix, after, upto))

    async def backup(self, path: str) -> None:
        # A copy takes a while; other reads go on beside it.
        try:
            await asyncio.to_thread(self._backup, path)
        except (sqlite3.Error, OSError) as exc:
            raise Unavailable(f"cannot write the backup {path}: {_why(exc, self._path)}") from exc

    async def close(self) -> None:
        await self._run(self._close)
        self._pool.shutdown()

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except sqlite3.Error as exc:
            raise Unavailable(sqlite_file.explain(self._path, exc)) from exc

    def _connection(self) -> sqlite3.Connection:
        if self._conn is None:
            self._conn = sqlite_file.connect(self._path)
            self._conn.text_factory = bytes
            self._conn.execute("PRAGMA query_only = 1")
            self._conn.execute("PRAGMA cache_size = -2048")
        return self._conn

    def _close(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    def _rows(self, revisions: Sequence[int]) -> dict[int, Row]:
        try:
            cursor = self._connection().execute(
                f"{SELECT} WHERE revision IN (SELECT value FROM json_each(?))", (json.dumps(revisions),)
            )
            return {cells[0]: sqlite_rows.read(cells) for cells in cursor.fetchall()}
        except sqlite3.DatabaseError as exc:
            if sqlite_file.error_name(exc) not in sqlite_file.DAMAGE:
                raise
        return {revision: row for revision in revisions if (row := self._row(revision)) is not None}

    def _row(self, revision: int) -> Row | None:
        """One row by itself: the others must not suffer from a damaged page of this one."""
        try:
            cells = self._connection().execute(f"{SELECT} WHERE revision = ?", (revision,)).fetchone()
        except sqlite3.DatabaseError as exc:
            if sqlite_file.error_name(exc) not in sqlite_file.DAMAGE:
                raise
            return Row(revision, "", 0, 0, 0, b"", f"the database is damaged there: {exc}")
        return None if cells is None else sqlite_rows.read(cells)

    async def scan(self, after: int, rows: int, size: int) -> list[Row]:
        """The first rows behind a revision, in order: `rows` at most, and about `size` bytes. Raises Damaged
        pages as Unavailable.
        """
        return await self._run(partial(self._scan, after, rows, size))

    def _scan(self, after: int, rows: int, size: int) -> list[Row]:
        found: list[Row] = []
        cursor = self._connection().execute(
            f"{SELECT} WHERE revision > ? ORDER BY revision LIMIT ?", (after, rows)
        )
        try:
            for cells in cursor:
                row = sqlite_rows.read(cells)
                size -= len(row.value or b"")
                found.append(row if row.damage else row._replace(value=None))
                if size <= 0:
                    break
        finally:
            cursor.close()
        return found

    def _writes(self, prefix: str, after: int, upto: int) -> list[Row]:
        cursor = self._connection().execute(
            f"{SELECT} WHERE revision > ? AND revision <= ? AND substr(key, 1, ?) = ?"
            " ORDER BY revision LIMIT ?",
            (after, upto, len(prefix), prefix, CHUNK),
        )
        return [sqlite_rows.read(cells) for cells in cursor.fetchall()]

    def _superseded(self, prefix: str, after: int, upto: int) -> dict[str, int]:
        cursor = self._connection().execute(
            "SELECT key, previous FROM log WHERE revision > ? AND revision <= ? AND substr(key, 1, ?) = ?"
            " ORDER BY revision DESC",
            (after, upto, len(prefix), prefix),
        )
        return {sqlite_rows.name(key): previous for key, previous in cursor.fetchall()}

    def _backup(self, path: str) -> None:
        conn = sqlite_file.connect(self._path)
        try:
            sqlite_file.backup(conn, path)
        finally:
            conn.close()


def _why(error: Exception, path: str) -> str:
    if sqlite_file.error_name(error) in sqlite_file.DAMAGE:
        return sqlite_file.explain(path, error)
    return str(error)
