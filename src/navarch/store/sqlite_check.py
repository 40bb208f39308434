# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking through a store's file for damage, row by row and page by page, without changing it.

The file may belong to a running master: rows are read in short pieces. Not here: what a value means.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from navarch.store import sqlite_file, sqlite_rows
from navarch.store.base import Damage, Unavailable
from navarch.store.sqlite_rows import SELECT, SELECT_HEAD, Head, Row

#: Rows read at once.
_PIECE = 500
#: The schema that began to have checksums.
_CHECKSUMS = 2
#: Revisions are tried this far behind an unreadable place.
_LAST = (1 << 62) - 1

#: (key, value) -> what is wrong with the value; empty when nothing is.
Judge = Callable[[str, bytes], str]


class Report(msgspec.Struct):
    #: Rows that could be read, and living keys among them.
    rows: int = 0
    keys: int = 0
    #: Damaged newest states of keys.
    damaged: list[Damage] = []
    #: Damaged rows that a newer state replaced: of no importance.
    replaced: list[int] = []
    #: Ranges of revisions (first, last) of which nothing can be read.
    lost: list[tuple[int, int]] = []
    #: What SQLite says of the file's structure.
    structure: list[str] = []

    @property
    def whole(self) -> bool:
        return not self.damaged and not self.lost and not self.structure


def open_to_read(path: str, *, old: bool = False) -> sqlite3.Connection:
    """A connection that changes nothing. old: also to a file without checksums. Raises Unavailable with what
    to do.
    """
    if not os.path.exists(path):
        raise Unavailable(f"{path} does not exist")
    conn = sqlite3.connect(f"file:{_quoted(path)}?mode=rw", uri=True, isolation_level=None, timeout=10.0)
    try:
        conn.text_factory = bytes
        conn.execute("PRAGMA query_only = 1")
        if conn.execute("PRAGMA application_id").fetchone()[0] != sqlite_file.APPLICATION:
            raise Unavailable(f"{path} is no store of this program, or its beginning is damaged")
        version = conn.execute("PRAGMA user_version").fetchone()[0]
        newest = len(sqlite_file.MIGRATIONS) + 1
        if version < newest and not old:
            raise Unavailable(
                f"{path} has schema {version}, of a version without checksums: start the master once"
            )
        if version > newest:
            raise Unavailable(f"{path} has schema {version}, this version knows up to {newest}")
    except sqlite3.Error as exc:
        conn.close()
        raise Unavailable(sqlite_file.explain(path, exc)) from exc
    except BaseException:
        conn.close()
        raise
    return conn


def _quoted(path: str) -> str:
    return os.path.abspath(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def check(path: str, judge: Judge, *, structure: bool, old: bool = False) -> Report:
    """structure: also have SQLite check its pages, which keeps a running master's write-ahead log growing
    meanwhile. old: a file of the schema without checksums has none to check. Raises Unavailable.
    """
    conn = open_to_read(path, old=old)
    try:
        report = Report()
        if conn.execute("PRAGMA user_version").fetchone()[0] < _CHECKSUMS:
            return report
        newest: dict[str, Row] = {}
        replaced: set[int] = set()
        for row in rows(conn, report.lost):
            report.rows += 1
            if row.previous:
                replaced.add(row.previous)
            if not row.damage and row.value and (why := judge(row.key, row.value)):
                row = row._replace(damage=why)
            newest[row.key] = row._replace(value=None if row.value is None else b"")
            if row.damage:
                report.damaged.append(Damage(row.key, row.revision, row.damage))
        report.keys = sum(1 for row in newest.values() if row.value is not None and not row.damage)
        damaged, report.damaged = report.damaged, []
        for damage in damaged:
            if damage.revision in replaced or newest[damage.key].revision > damage.revision:
                report.replaced.append(damage.revision)
            else:
                report.damaged.append(damage)
        if structure:
            report.structure = _structure(conn)
        return report
    except sqlite3.Error as exc:
        raise Unavailable(sqlite_file.explain(path, exc)) from exc
    finally:
        conn.close()


def _structure(conn: sqlite3.Connection) -> list[str]:
    try:
        found = [sqlite_rows.name(line) for (line,) in conn.execute("PRAGMA quick_check(20)")]
    except sqlite3.DatabaseError as exc:
        if sqlite_file.error_name(exc) not in sqlite_file.DAMAGE:
            raise
        return [str(exc)]
    return [line for line in found if line != "ok"]


def rows(conn: sqlite3.Connection, lost: list[tuple[int, int]]) -> Iterator[Row]:
    """All rows that can be read, in order, also behind damaged pages; `lost` takes what lies between. A
    damaged row has the key that its checksum speaks for.
    """
    after = -1
    while True:
        piece: list[tuple[Any, ...]] = []
        broken = False
        try:
            for cells in conn.execute(
                f"{SELECT} WHERE revision > ? ORDER BY revision LIMIT {_PIECE}", (after,)
            ):
                piece.append(cells)
        except sqlite3.DatabaseError as exc:
            if sqlite_file.error_name(exc) not in sqlite_file.DAMAGE:
                raise
            broken = True
        for cells in piece:
            yield _row(cells)
        if piece:
            after = piece[-1][0]
        if broken:
            head = _next_head(conn, after)
            if head is not None:
                why = "the database is damaged where its value is"
                yield Row(head.revision, head.key, head.created, head.previous, head.lease, b"", why)
                after = head.revision
                continue
            behind = _behind(conn, after)
            first = after + 1
            if lost and lost[-1][1] == after:
                first = lost.pop()[0]
            lost.append((first, behind - 1 if behind is not None else _LAST))
            if behind is None:
                return
            after = behind - 1
        elif not piece:
            return


def _next_head(conn: sqlite3.Connection, after: int) -> Head | None:
    try:
        cells = conn.execute(
            f"{SELECT_HEAD} WHERE revision > ? ORDER BY revision LIMIT 1", (after,)
        ).fetchone()
    except sqlite3.DatabaseError:
        return None
    return None if cells is None else sqlite_rows.read_head(cells)


def _row(cells: tuple[Any, ...]) -> Row:
    row = sqlite_rows.read(cells)
    if row.damage:
        head = (*cells[:6], cells[6] is None)
        known = sqlite_rows.read_head(head) or sqlite_rows.corrected(head)
        if known is not None:
            row = row._replace(key=known.key, previous=known.previous)
    return row


def _behind(conn: sqlite3.Connection, after: int) -> int | None:
    """The first revision that can be read behind an unreadable place; None when there is none."""

    def readable(revision: int) -> list[Any] | None:
        """The first row from a revision on, in a list, empty at the end of the log; None when it breaks."""
        try:
            return conn.execute(
                f"{SELECT} WHERE revision >= ? ORDER BY revision LIMIT 1", (revision,)
            ).fetchall()
        except sqlite3.DatabaseError:
            return None

    low, step = after + 1, 1  # not readable from `low` on
    while readable(low + step) is None:
        if low + step > _LAST:
            return None
        step *= 2
    high = low + step
    while high - low > 1:
        middle = (low + high) // 2
        if readable(middle) is None:
            low = middle
        else:
            high = middle
    found = readable(high)
    return int(found[0][0]) if found else None
