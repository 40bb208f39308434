# SPDX-License-Identifier: GPL-3.0-or-later
"""The database file of the SQLite store: who may open it, its schema, its migrations, its backup.

Not here: what is written into it (`sqlite_writer`) or read from it (`sqlite_reader`).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Sequence

from navarch.store import sqlite_rows
from navarch.store.base import Unavailable

#: `PRAGMA application_id` of our files: "Nava".
APPLICATION = 0x4E617661

#: A restored backup continues this many revisions later: what was given out after the backup is never given
#: out again.
BACKUP_BUMP = 1_000_000_000

_LOG = (
    # One row a write, appended in revision order, and no other index: the living keys are indexed in memory,
    # older states follow from `previous` (the revision on disk that this row supersedes, 0 for none). A
    # deletion has a NULL value. The value comes last, so that a scan of the small columns skips the overflow
    # pages of large values. sum: see `sqlite_rows`.
    "CREATE TABLE log (revision INTEGER PRIMARY KEY, key TEXT NOT NULL, created INTEGER NOT NULL,"
    " previous INTEGER NOT NULL, lease INTEGER NOT NULL, sum INTEGER NOT NULL, value BLOB)"
)
_LEASE = "CREATE TABLE lease (id INTEGER PRIMARY KEY, ttl REAL NOT NULL, sum INTEGER NOT NULL)"
# reserved: no revision up to it is given out again after a crash. compacted: the compaction point. swept: how
# far superseded rows have been removed.
_META = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL, sum INTEGER NOT NULL) WITHOUT ROWID"
)
META = ("reserved", "compacted", "swept")

#: SQLite's names of errors that say that the file is not what was written.
DAMAGE = frozenset({"SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_CORRUPT_INDEX", "SQLITE_CORRUPT_SEQUENCE"})

Migration = Callable[[sqlite3.Connection], None]


def _add_checksums(conn: sqlite3.Connection) -> None:
    """What is there counts as whole from now on. The tables are written again, since the sum must stand
    before the value.
    """
    conn.create_function("row_sum", 6, sqlite_rows.checksum, deterministic=True)
    conn.create_function("small_sum", 2, sqlite_rows.small, deterministic=True)
    for statement in (
        "ALTER TABLE log RENAME TO old_log",
        _LOG,
        "INSERT INTO log SELECT revision, key, created, previous, lease,"
        " row_sum(revision, CAST(key AS BLOB), created, previous, lease, value), value FROM old_log",
        "DROP TABLE old_log",
        "ALTER TABLE lease RENAME TO old_lease",
        _LEASE,
        "INSERT INTO lease SELECT id, ttl, small_sum(id, ttl) FROM old_lease",
        "DROP TABLE old_lease",
        "ALTER TABLE meta RENAME TO old_meta",
        _META,
        "INSERT INTO meta SELECT name, value, small_sum(name, value) FROM old_meta",
        "DROP TABLE old_meta",
    ):
        conn.execute(statement)


#: MIGRATIONS[n] takes a file from schema n + 1 to n + 2, inside a transaction that also counts `user_version`
#: up.
MIGRATIONS: Sequence[Migration] = (_add_checksums,)


class Lock:
    """An advisory lock on `PATH.lock`: one master a data directory. The kernel drops it when the process
    dies.
    """

    def __init__(self, path: str) -> None:
        try:
            self._fd = os.open(path + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise Unavailable(f"cannot open {path}: {exc.strerror}") from exc
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip()
            os.close(self._fd)
            raise Unavailable(
                f"{path} is in use by another process{f' (pid {holder})' if holder else ''}; "
                "one master a data directory"
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def connect(path: str) -> sqlite3.Connection:
    """A connection without implicit transactions; opened, used and closed in one thread, except where joined
    in between.
    """
    return sqlite3.connect(
        path, isolation_level=None, timeout=10.0, check_same_thread=False, cached_statements=64
    )


def error_name(error: Exception) -> str:
    """SQLite's name of an error, such as SQLITE_FULL; empty for those of the Python module itself."""
    return getattr(error, "sqlite_errorname", "")


def explain(path: str, error: Exception) -> str:
    """What an error of SQLite means for the file at `path`, and what to do."""
    kind = error_name(error)
    if kind == "SQLITE_NOTADB":
        return (
            f"{path} is not a SQLite database; refusing to touch it. If it was one, its beginning is damaged:"
            f" {_REMEDY.format(folder=os.path.dirname(os.path.abspath(path)))}"
        )
    if kind in DAMAGE:
        return f"{path} is damaged ({error}): {_REMEDY.format(folder=os.path.dirname(os.path.abspath(path)))}"
    return f"cannot use {path}: {error}"


_REMEDY = (
    "check the disk, then see what is left with `navarch store check --data-dir {folder}` and bring back the"
    " rest with `navarch store repair --data-dir {folder} --archive BACKUP`, or all of a backup with"
    " `navarch restore`"
)


def open_for_writing(path: str) -> sqlite3.Connection:
    """Open or make the file, bring its schema up to date. Raises Unavailable with what to do. The caller
    holds the `Lock`.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as exc:
        raise Unavailable(f"cannot open {path}: {exc.strerror}") from exc
    conn = connect(path)
    try:
        _prepare(conn, path)
    except sqlite3.DatabaseError as exc:
        conn.close()
        raise Unavailable(explain(path, exc)) from exc
    except BaseException:
        conn.close()
        raise
    return conn


def _pragma(conn: sqlite3.Connection, statement: str) -> int:
    return int(conn.execute(f"PRAGMA {statement}").fetchone()[0])


def _prepare(conn: sqlite3.Connection, path: str) -> None:
    application = _pragma(conn, "application_id")
    version = _pragma(conn, "user_version")
    empty = conn.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    if application != APPLICATION and not (empty and application == 0 and version == 0):
        raise Unavailable(f"{path} is a SQLite database of another program; refusing to touch it")
    newest = len(MIGRATIONS) + 1
    if version > newest:
        raise Unavailable(
            f"{path} has schema {version}, this version knows up to {newest}: "
            "start a newer version, or restore a backup"
        )
    # WAL: a commit is one append and one fdatasync. FULL: that sync happens before COMMIT returns.
    conn.execute("PRAGMA journal_mode = WAL")
    conn.execute("PRAGMA synchronous = FULL")
    conn.execute("PRAGMA wal_autocheckpoint = 0")
    conn.execute(f"PRAGMA journal_size_limit = {64 << 20}")
    conn.execute("PRAGMA cache_size = -8192")
    if empty:
        make_schema(conn)
        return
    if version < newest:
        backup(conn, f"{path}.schema{version}.bak", bump=0)
    for step in range(version, newest):
        conn.execute("BEGIN IMMEDIATE")
        try:
            MIGRATIONS[step - 1](conn)
            conn.execute(f"PRAGMA user_version = {step + 1}")
            conn.execute("COMMIT")
        except BaseException:
            conn.execute("ROLLBACK")
            raise


def make_schema(conn: sqlite3.Connection) -> None:
    """The tables of an empty file."""
    conn.execute("BEGIN IMMEDIATE")
    try:
        for statement in (_LOG, _LEASE, _META):
            conn.execute(statement)
        conn.executemany(
            "INSERT INTO meta VALUES (?, 0, ?)", [(name, sqlite_rows.small(name, 0)) for name in META]
        )
        conn.execute(f"PRAGMA application_id = {APPLICATION}")
        conn.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
        conn.execute("COMMIT")
    except BaseException:
        conn.execute("ROLLBACK")
        raise


def write_meta(conn: sqlite3.Connection, name: str, value: int) -> None:
    conn.execute(
        "INSERT OR REPLACE INTO meta (name, value, sum) VALUES (?, ?, ?)",
        (name, value, sqlite_rows.small(name, value)),
    )


def reserve(conn: sqlite3.Connection, least: int) -> None:
    """Have a store go on above `least` and above what it gave out, also a backup of the first schema."""
    newest = max(least, newest_revision(conn))
    if _pragma(conn, "user_version") > 1:
        write_meta(conn, "reserved", newest)
    else:
        conn.execute("UPDATE meta SET value = ? WHERE name = 'reserved'", (newest,))


def newest_revision(conn: sqlite3.Connection) -> int:
    """The highest revision that the store may have given out."""
    return int(
        conn.execute(
            "SELECT max(coalesce((SELECT value FROM meta WHERE name = 'reserved'), 0),"
            " (SELECT coalesce(max(revision), 0) FROM log))"
        ).fetchone()[0]
    )


def backup(conn: sqlite3.Connection, path: str, *, bump: int = BACKUP_BUMP) -> None:
    """Write a consistent copy to `path`, atomically and durably, readable by the owner alone.

    With `bump` a store started from the copy continues that many revisions later and takes no watch from
    before.
    """
    part = f"{path}.part"
    for leftover in (part, f"{part}-wal", f"{part}-shm"):
        if os.path.exists(leftover):
            os.unlink(leftover)
    os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        conn.execute("VACUUM INTO ?", (part,))
        if bump:
            copy = sqlite3.connect(part, isolation_level=None)
            try:
                copy.execute("PRAGMA journal_mode = DELETE")
                reserve(copy, newest_revision(copy) + bump)
            finally:
                copy.close()
        fd = os.open(part, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(part, path)
    except BaseException:
        if os.path.exists(part):
            os.unlink(part)
        raise
    sync_directory(os.path.dirname(os.path.abspath(path)))


def restore(copy: str, path: str) -> None:
    """Put a backup, at `copy` in the same folder, in the place of the store at `path`, whose `Lock` the
    caller holds. What was there stays as PATH.before-restore. Raises Unavailable when the copy is none of
    ours.

    Revisions go on far above what either ever gave out.
    """
    newest = 0
    if os.path.exists(path):
        try:
            newest = _newest(path)
        except sqlite3.DatabaseError:
            # It is broken, which may be why it is replaced; the copy's own distance has to do.
            newest = 0
    try:
        conn = connect(copy)
        try:
            if _pragma(conn, "application_id") != APPLICATION:
                raise Unavailable(f"{copy} is no backup of a store")
            broken = conn.execute("PRAGMA quick_check(1)").fetchone()[0]
            if broken != "ok":
                raise Unavailable(f"the store in the backup is damaged: {broken}")
            reserve(conn, newest + BACKUP_BUMP)
        finally:
            conn.close()
    except sqlite3.DatabaseError as exc:
        raise Unavailable(f"{copy} is no backup of a store: {exc}") from exc
    for part in ("-wal", "-shm"):
        if os.path.exists(path + part):
            os.unlink(path + part)
    if os.path.exists(path):
        before = f"{path}.before-restore"
        if os.path.exists(before):
            os.unlink(before)
        os.link(path, before)
    os.replace(copy, path)
    sync_directory(os.path.dirname(os.path.abspath(path)))


def _newest(path: str) -> int:
    """The highest revision that a store may have given out; its write-ahead log is taken in."""
    conn = connect(path)
    try:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return newest_revision(conn)
    finally:
        conn.close()


def sync_directory(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
