# SPDX-License-Identifier: GPL-3.0-or-later
"""The database file of the SQLite store: who may open it, its schema, its migrations, its backup.

Not here: what is written into it (`sqlite_writer`) or read from it (`sqlite_reader`).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Sequence

import msgspec

from navarch.store.base import Unavailable

#: `PRAGMA application_id` of our files: "Nava".
APPLICATION = 0x4E617661

#: A restored backup continues this many revisions later: what was given out after the backup is never given
#: out again.
BACKUP_BUMP = 1_000_000_000

_SCHEMA = (
    # One row a write, appended in revision order, and no other index: the living keys are indexed in memory,
    # older states follow from `previous` (the revision on disk that this row supersedes, 0 for none). A
    # deletion has a NULL value. The value comes last, so that a scan of the small columns skips the overflow
    # pages of large values.
    "CREATE TABLE log (revision INTEGER PRIMARY KEY, key TEXT NOT NULL, created INTEGER NOT NULL,"
    " previous INTEGER NOT NULL, lease INTEGER NOT NULL, value BLOB)",
    "CREATE TABLE lease (id INTEGER PRIMARY KEY, ttl REAL NOT NULL)",
    # reserved: no revision up to it is given out again after a crash. compacted: the compaction point.
    # swept: how far superseded rows have been removed.
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    "INSERT INTO meta VALUES ('reserved', 0), ('compacted', 0), ('swept', 0)",
)

Migration = Callable[[sqlite3.Connection], None]

#: MIGRATIONS[n] takes a file from schema n + 1 to n + 2, inside a transaction that also counts `user_version`
#: up.
MIGRATIONS: Sequence[Migration] = ()


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
        if error_name(exc) == "SQLITE_NOTADB":
            raise Unavailable(f"{path} is not a SQLite database; refusing to touch it") from exc
        raise Unavailable(f"cannot open {path}: {exc}") from exc
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
        _transaction(
            conn, [*_SCHEMA, f"PRAGMA application_id = {APPLICATION}", f"PRAGMA user_version = {newest}"]
        )
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


def _transaction(conn: sqlite3.Connection, statements: Sequence[str]) -> None:
    conn.execute("BEGIN IMMEDIATE")
    try:
        for statement in statements:
            conn.execute(statement)
        conn.execute("COMMIT")
    except BaseException:
        conn.execute("ROLLBACK")
        raise


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
                copy.execute(
                    "UPDATE meta SET value = ? + max(value, (SELECT coalesce(max(revision), 0) FROM log))"
                    " WHERE name = 'reserved'",
                    (bump,),
                )
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
    _sync_directory(os.path.dirname(os.path.abspath(path)))


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
            conn.execute(
                "UPDATE meta SET value = max(value, ?) WHERE name = 'reserved'", (newest + BACKUP_BUMP,)
            )
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
    _sync_directory(os.path.dirname(os.path.abspath(path)))


def _newest(path: str) -> int:
    """The highest revision that a store may have given out; its write-ahead log is taken in."""
    conn = connect(path)
    try:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return int(
            conn.execute(
                "SELECT max(value, (SELECT coalesce(max(revision), 0) FROM log)) FROM meta"
                " WHERE name = 'reserved'"
            ).fetchone()[0]
        )
    finally:
        conn.close()


def _sync_directory(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class Loaded(msgspec.Struct):
    """What a store knows of its file after opening it."""

    #: key -> revision << 48 | created, of the living keys.
    index: dict[str, int]
    #: key -> lease, of the living keys that have one.
    leased: dict[str, int]
    #: lease -> ttl in seconds.
    leases: dict[int, float]
    #: Newest revision in the log.
    revision: int
    reserved: int
    compacted: int
    swept: int


def load(conn: sqlite3.Connection) -> Loaded:
    index: dict[str, int] = {}
    leased: dict[str, int] = {}
    revision = 0
    for revision, key, created, lease, dead in conn.execute(
        "SELECT revision, key, created, lease, value IS NULL FROM log ORDER BY revision"
    ):
        if dead:
            index.pop(key, None)
            leased.pop(key, None)
            continue
        index[key] = revision << 48 | created
        if lease:
            leased[key] = lease
        elif leased:
            leased.pop(key, None)
    meta = dict(conn.execute("SELECT name, value FROM meta").fetchall())
    leases = dict(conn.execute("SELECT id, ttl FROM lease").fetchall())
    return Loaded(index, leased, leases, revision, meta["reserved"], meta["compacted"], meta["swept"])
