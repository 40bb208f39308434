# SPDX-License-Identifier: GPL-3.0-or-later
"""Repairing a store that no master uses: what is whole is copied into a new file, and what is damaged is
taken from a backup, or dropped.

The old file stays as PATH.before-repair. A damaged object that nothing is known of stays damaged, unless it
is to be dropped. What is found damaged is `sqlite_check`'s to say.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence

import msgspec

from navarch.store import sqlite_check, sqlite_file, sqlite_load, sqlite_rows
from navarch.store.base import Unavailable
from navarch.store.sqlite_check import Judge
from navarch.store.sqlite_rows import COLUMNS, Row

_INSERT = f"INSERT OR REPLACE INTO log VALUES ({', '.join('?' * len(COLUMNS))})"
#: A key as it was, whatever its bytes.
_INSERT_RAW = "INSERT OR REPLACE INTO log VALUES (?, CAST(? AS TEXT), ?, ?, ?, ?, ?)"


class Repaired(msgspec.Struct):
    """Keys, by what became of them."""

    #: The very state that was damaged.
    restored: list[str] = []
    #: An older state: what was written between the backup and the damage is lost.
    older: list[str] = []
    dropped: list[str] = []
    #: Still damaged.
    left: list[str] = []
    #: Ranges of revisions that could not be read, and of which a backup may not have all.
    lost: list[tuple[int, int]] = []

    @property
    def changed(self) -> bool:
        return bool(self.restored or self.older or self.dropped or self.lost)


def repair(
    path: str, backup: str | None, judge: Judge, *, drop: bool = False, only: Sequence[str] = ()
) -> Repaired:
    """backup: a store's file of this schema, whole. only: the keys to repair, all when empty.

    The caller holds the `Lock` of `path`. Raises Unavailable.
    """
    report = sqlite_check.check(path, judge, structure=True)
    result = Repaired(lost=list(report.lost))
    if report.whole:
        return result
    saved = _living(backup, judge) if backup is not None else {}
    made = f"{path}.repair"
    for leftover in (made, f"{made}-journal"):
        if os.path.exists(leftover):
            os.unlink(leftover)
    os.close(os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        source = sqlite_check.open_to_read(path)
        target = sqlite3.connect(made, isolation_level=None)
        try:
            target.execute("PRAGMA synchronous = FULL")
            sqlite_file.make_schema(target)
            target.execute("BEGIN")
            wanted = {d.revision: d.key for d in report.damaged if not only or d.key in only}
            _copy(source, target, {damage.revision for damage in report.damaged}, judge)
            _marks(source, target)
            _fill(source, target, wanted, saved, result, drop=drop)
            result.left += [d.key for d in report.damaged if d.revision not in wanted]
            _keep(source, target, {d.revision for d in report.damaged if d.key in result.left})
            _lost_ranges(target, saved, result)
            # Older watches list again: some of what they saw may be gone.
            sqlite_file.reserve(target, sqlite_file.newest_revision(target) + 1)
            target.execute("COMMIT")
        finally:
            source.close()
            target.close()
        if result.changed:
            _put(made, path)
        return result
    except sqlite3.Error as exc:
        raise Unavailable(f"cannot repair {path}: {exc}") from exc
    finally:
        if os.path.exists(made):
            os.unlink(made)


def _living(path: str, judge: Judge) -> dict[str, Row]:
    """The whole living rows of a backup. Raises Unavailable."""
    conn = sqlite_check.open_to_read(path)
    try:
        found: dict[str, Row] = {}
        for row in sqlite_check.rows(conn, []):
            if row.damage or row.value is None or judge(row.key, row.value):
                found.pop(row.key, None)
            else:
                found[row.key] = row
        return found
    finally:
        conn.close()


def _insert(conn: sqlite3.Connection, row: Row) -> None:
    sum = sqlite_rows.checksum(
        row.revision, row.key.encode(), row.created, row.previous, row.lease, row.value
    )
    conn.execute(_INSERT, (row.revision, row.key, row.created, row.previous, row.lease, sum, row.value))


def _copy(source: sqlite3.Connection, target: sqlite3.Connection, without: set[int], judge: Judge) -> None:
    for row in sqlite_check.rows(source, []):
        if not row.damage and row.revision not in without:
            _insert(target, row)


def _marks(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    try:
        meta = sqlite_load.read_meta(source)
        used = {int(n) for (n,) in target.execute("SELECT DISTINCT lease FROM log WHERE lease != 0")}
        leases = sqlite_load.read_leases(source, used)
    except sqlite3.DatabaseError:
        top = sqlite_file.newest_revision(target)
        meta = {"reserved": top + sqlite_file.BACKUP_BUMP, "compacted": top, "swept": 0}
        leases = {}
    for name, value in meta.items():
        sqlite_file.write_meta(target, name, value)
    target.executemany(
        "INSERT INTO lease VALUES (?, ?, ?)",
        [(lease, ttl, sqlite_rows.small(lease, ttl)) for lease, ttl in leases.items()],
    )


def _fill(
    source: sqlite3.Connection,
    target: sqlite3.Connection,
    wanted: dict[int, str],
    saved: dict[str, Row],
    result: Repaired,
    *,
    drop: bool,
) -> None:
    by_revision = {row.revision: row for row in saved.values()}
    next_revision = max(sqlite_file.newest_revision(target), sqlite_file.newest_revision(source)) + 1
    for revision, key in wanted.items():
        exact = by_revision.get(revision)
        if exact is not None:
            _insert(target, exact)
            result.restored.append(exact.key)
        elif (earlier := saved.get(key)) is not None:
            _insert(target, earlier._replace(revision=next_revision, previous=0))
            next_revision += 1
            result.older.append(key)
        elif drop:
            result.dropped.append(key)
        else:
            result.left.append(key)


def _keep(source: sqlite3.Connection, target: sqlite3.Connection, revisions: set[int]) -> None:
    """Take over damaged rows as they are."""
    for revision in revisions:
        try:
            cells = source.execute(f"{sqlite_rows.SELECT} WHERE revision = ?", (revision,)).fetchone()
        except sqlite3.DatabaseError:
            continue  # Nothing of it can be read; the old file has it.
        if cells is not None:
            target.execute(_INSERT_RAW, cells)


def _lost_ranges(target: sqlite3.Connection, saved: dict[str, Row], result: Repaired) -> None:
    """What the backup has of the ranges that could not be read, where no newer state is known."""
    for first, last in result.lost:
        for row in saved.values():
            if first <= row.revision <= last:
                newer = target.execute(
                    "SELECT 1 FROM log WHERE key = ? AND revision > ? LIMIT 1", (row.key, row.revision)
                ).fetchone()
                if newer is None:
                    _insert(target, row)
                    result.restored.append(row.key)


def _put(made: str, path: str) -> None:
    """The new file in the place of the old one, which stays beside it with its write-ahead log."""
    fd = os.open(made, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    for part in ("", "-wal"):
        before = f"{path}.before-repair{part}"
        if os.path.exists(before):
            os.unlink(before)
        if os.path.exists(path + part):
            os.link(path + part, before)
    for part in ("-wal", "-shm"):
        if os.path.exists(path + part):
            os.unlink(path + part)
    os.replace(made, path)
    sqlite_file.sync_directory(os.path.dirname(os.path.abspath(path)))
