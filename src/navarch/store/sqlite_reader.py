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
from typing import NamedTuple, TypeVar

from navarch.store import sqlite_file
from navarch.store.base import Unavailable

T = TypeVar("T")

#: Rows read at once.
CHUNK = 1000


class Row(NamedTuple):
    revision: int
    key: str
    created: int
    previous: int
    lease: int
    #: None for a deletion.
    value: bytes | None


class Reader:
    def __init__(self, path: str) -> None:
        self._path = path
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-reader")
        self._conn: sqlite3.Connection | None = None

    async def rows(self, revisions: Sequence[int]) -> dict[int, Row]:
        """The rows of these revisions; those that are gone are left out."""
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
            raise Unavailable(f"cannot write the backup {path}: {exc}") from exc

    async def close(self) -> None:
        await self._run(self._close)
        self._pool.shutdown()

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except sqlite3.Error as exc:
            raise Unavailable(f"cannot read {self._path}: {exc}") from exc

    def _connection(self) -> sqlite3.Connection:
        if self._conn is None:
            self._conn = sqlite_file.connect(self._path)
            self._conn.execute("PRAGMA query_only = 1")
            self._conn.execute("PRAGMA cache_size = -2048")
        return self._conn

    def _close(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    def _rows(self, revisions: Sequence[int]) -> dict[int, Row]:
        cursor = self._connection().execute(
            "SELECT revision, key, created, previous, lease, value FROM log"
            " WHERE revision IN (SELECT value FROM json_each(?))",
            (json.dumps(revisions),),
        )
        return {row[0]: Row(*row) for row in cursor.fetchall()}

    def _writes(self, prefix: str, after: int, upto: int) -> list[Row]:
        cursor = self._connection().execute(
            "SELECT revision, key, created, previous, lease, value FROM log"
            " WHERE revision > ? AND revision <= ? AND substr(key, 1, ?) = ? ORDER BY revision LIMIT ?",
            (after, upto, len(prefix), prefix, CHUNK),
        )
        return [Row(*row) for row in cursor.fetchall()]

    def _superseded(self, prefix: str, after: int, upto: int) -> dict[str, int]:
        cursor = self._connection().execute(
            "SELECT key, previous FROM log WHERE revision > ? AND revision <= ? AND substr(key, 1, ?) = ?"
            " ORDER BY revision DESC",
            (after, upto, len(prefix), prefix),
        )
        return dict(cursor.fetchall())

    def _backup(self, path: str) -> None:
        conn = sqlite_file.connect(self._path)
        try:
            sqlite_file.backup(conn, path)
        finally:
            conn.close()
