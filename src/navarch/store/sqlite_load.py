# SPDX-License-Identifier: GPL-3.0-or-later
"""What a SQLite store knows after opening its file: the index of living keys, leases, marks.

Damaged rows are set aside here by what the rest of the log says of them: an older state of a key must
never pass for its newest. Values are not read here; a read verifies them.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from typing import Any

import msgspec

from navarch.store import sqlite_rows
from navarch.store.base import Damage
from navarch.store.sqlite_file import BACKUP_BUMP, META

log = logging.getLogger(__name__)

#: Seconds that a lease lasts whose own time is damaged.
_LEASE_SECONDS = 3600.0


class Loaded(msgspec.Struct):
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
    #: Keys that live and cannot be read.
    damaged: dict[str, Damage]
    #: Revisions of all rows that are damaged.
    damaged_rows: set[int]
    #: Whether the write-ahead log had lost something.
    torn: bool = False


def load(conn: sqlite3.Connection) -> Loaded:
    """Raises sqlite3.Error."""
    conn.text_factory = bytes
    try:
        return _load(conn)
    finally:
        conn.text_factory = str


def _load(conn: sqlite3.Connection) -> Loaded:
    index: dict[str, int] = {}
    leased: dict[str, int] = {}
    revision = 0
    bad: list[tuple[Any, ...]] = []
    read_head = sqlite_rows.read_head
    for cells in conn.execute(f"{sqlite_rows.SELECT_HEAD} ORDER BY revision"):
        head = read_head(cells)
        if head is None:
            bad.append(cells)
            revision = cells[0]
            continue
        revision, key, created, _, lease, dead = head
        if dead:
            index.pop(key, None)
            leased.pop(key, None)
            continue
        index[key] = revision << 48 | created
        if lease:
            leased[key] = lease
        elif leased:
            leased.pop(key, None)
    damaged = _set_aside(conn, index, bad) if bad else {}
    for key in damaged:
        index.pop(key, None)
        leased.pop(key, None)
    meta = read_meta(conn)
    leases = read_leases(conn, set(leased.values()))
    rows = {cells[0] for cells in bad}
    return Loaded(
        index, leased, leases, revision, meta["reserved"], meta["compacted"], meta["swept"], damaged, rows
    )


def _set_aside(
    conn: sqlite3.Connection, index: dict[str, int], bad: list[tuple[Any, ...]]
) -> dict[str, Damage]:
    """The keys that the damaged rows are the newest state of."""
    numbers = json.dumps([cells[0] for cells in bad])
    superseded = {
        head.previous
        for cells in conn.execute(
            f"{sqlite_rows.SELECT_HEAD} WHERE previous IN (SELECT value FROM json_each(?))", (numbers,)
        )
        if (head := sqlite_rows.read_head(cells)) is not None
    }
    found: dict[str, Damage] = {}
    for cells in bad:
        revision = cells[0]
        if revision in superseded:
            log.warning("store: the row of revision %d is damaged; a newer one replaced it", revision)
            continue
        for key in _keys(conn, index, cells):
            if index.get(key, 0) >> 48 < revision:
                found[key] = Damage(key, revision, "wrong checksum")
    return found


def _keys(conn: sqlite3.Connection, index: dict[str, int], cells: tuple[Any, ...]) -> set[str]:
    """The key of a damaged row: what its checksum says, or else what the row it replaced has, or else what it
    claims itself, unless that is another one's.
    """
    head = sqlite_rows.corrected(cells)
    if head is not None:
        return {head.key}
    claimed = sqlite_rows.name(cells[1])
    previous = cells[3]
    if type(previous) is int and 0 < previous < cells[0]:
        before = conn.execute(f"{sqlite_rows.SELECT_HEAD} WHERE revision = ?", (previous,)).fetchone()
        earlier = sqlite_rows.read_head(before) if before is not None else None
        if earlier is not None:
            return {earlier.key, claimed} if claimed not in index else {earlier.key}
    return set() if claimed in index else {claimed}


def read_meta(conn: sqlite3.Connection) -> dict[str, int]:
    """The marks, from a connection that gives text as bytes.

    A damaged mark is replaced by one that is safe: nothing is given out twice, older watches get 410.
    """
    found: dict[str, int] = {}
    for name, value, sum in conn.execute("SELECT name, value, sum FROM meta"):
        if type(value) is int and sqlite_rows.name(name) in META and _small(name, value) == sum:
            found[name.decode()] = value
    if len(found) < len(META):
        log.error("store: the marks %s are damaged; going on far above them", set(META) - found.keys())
        top = int(conn.execute("SELECT coalesce(max(revision), 0) FROM log").fetchone()[0])
        found.setdefault("swept", 0)
        if "reserved" not in found:
            found["reserved"] = max(top, found.get("compacted", 0)) + BACKUP_BUMP
        found.setdefault("compacted", top)
    return found


def read_leases(conn: sqlite3.Connection, used: set[int]) -> dict[int, float]:
    """lease -> ttl in seconds. used: those that keys have; a damaged one of them gets another time."""
    found: dict[int, float] = {}
    for lease, ttl, sum in conn.execute("SELECT id, ttl, sum FROM lease"):
        if type(ttl) is float and _small(lease, ttl) == sum:
            found[lease] = ttl
    for lease in used - found.keys():
        log.error("store: lease %d is damaged; its keys go in %.0f seconds", lease, _LEASE_SECONDS)
        found[lease] = _LEASE_SECONDS
    return found


def _small(*cells: object) -> int:
    try:
        return sqlite_rows.small(*cells)
    except (TypeError, ValueError):
        return -1
