# SPDX-License-Identifier: GPL-3.0-or-later
"""A row of the log and its checksum: how a flipped byte is noticed.

The checksum is one integer of two CRC-32 (zlib): over the small columns, so that opening the file can verify
them without reading values, and over the value, begun with the first one, so that a value of another row does
not pass. It finds damage, not forgery.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple
from zlib import crc32

#: SQLite's integers are signed.
_BIAS = 1 << 63

#: The columns in the order of `Row`'s cells. The value comes last: what is before it is read without it.
COLUMNS = ("revision", "key", "created", "previous", "lease", "sum", "value")
SELECT = f"SELECT {', '.join(COLUMNS)} FROM log"
#: The same without values: `read_head` takes it.
SELECT_HEAD = "SELECT revision, key, created, previous, lease, sum, value IS NULL FROM log"


class Row(NamedTuple):
    revision: int
    key: str
    created: int
    previous: int
    lease: int
    #: None for a deletion.
    value: bytes | None
    #: What is wrong with it; empty when nothing is.
    damage: str = ""


class Head(NamedTuple):
    """A row without its value, verified."""

    revision: int
    key: str
    created: int
    previous: int
    lease: int
    dead: bool


def _head(revision: int, key: bytes, created: int, previous: int, lease: int, dead: bool) -> int:
    return crc32(b"%d %d %d %d %d %b" % (revision, created, previous, lease, dead, key))


def checksum(revision: int, key: bytes, created: int, previous: int, lease: int, value: bytes | None) -> int:
    head = crc32(b"%d %d %d %d %d %b" % (revision, created, previous, lease, value is None, key))
    return (head << 32 | crc32(value or b"", head)) - _BIAS


def read(cells: tuple[Any, ...]) -> Row:
    """A row of SELECT, from a connection that gives text as bytes."""
    revision, key, created, previous, lease, sum, value = cells
    try:
        if checksum(revision, key, created, previous, lease, value) == sum:
            return Row(revision, key.decode(), created, previous, lease, value)
    except (TypeError, ValueError, OverflowError):
        pass  # a column of another type
    return Row(revision, name(key), 0, previous if type(previous) is int else 0, 0, b"", "wrong checksum")


def read_head(cells: tuple[Any, ...]) -> Head | None:
    """A row of SELECT_HEAD, from a connection that gives text as bytes. None when it is damaged."""
    revision, key, created, previous, lease, sum, dead = cells
    if not type(created) is type(previous) is type(lease) is type(sum) is int:
        return None
    try:
        if (sum + _BIAS) >> 32 == _head(revision, key, created, previous, lease, dead):
            return Head(revision, key.decode(), created, previous, lease, bool(dead))
    except (TypeError, ValueError, OverflowError):
        pass
    return None


def corrected(cells: tuple[Any, ...]) -> Head | None:
    """A damaged row of SELECT_HEAD as it was, if one byte of one of its columns explains its checksum.

    Of 4 billion wrong guesses one passes, and some 30,000 are made: good enough to name an object.
    """
    revision, key, created, previous, lease, sum, dead = cells
    if not isinstance(key, bytes) or any(type(cell) is not int for cell in (created, previous, lease, sum)):
        return None
    want = (sum + _BIAS) >> 32
    before = b"%d %d %d %d %d " % (revision, created, previous, lease, dead)
    begun = crc32(before)
    for at, old in enumerate(key):
        left = crc32(key[:at], begun)
        right = key[at + 1 :]
        for new in range(256):
            if new != old and crc32(right, crc32(bytes((new,)), left)) == want:
                try:
                    found = (key[:at] + bytes((new,)) + right).decode()
                except UnicodeDecodeError:
                    continue
                return Head(revision, found, created, previous, lease, bool(dead))
    numbers = (created, previous, lease)
    for which, number in enumerate(numbers):
        for guess in _neighbours(number):
            made, replaced, leased = (guess if at == which else n for at, n in enumerate(numbers))
            if _head(revision, key, made, replaced, leased, dead) == want:
                return Head(revision, name(key), made, replaced, leased, bool(dead))
    return None


def _neighbours(number: int) -> list[int]:
    """What differs from an integer of SQLite in one byte: it is stored in 1, 2, 3, 4, 6 or 8 of them."""
    found: list[int] = []
    for width in (1, 2, 3, 4, 6, 8):
        bits = 8 * width
        if not -(1 << bits - 1) <= number < 1 << bits - 1:
            continue
        for byte in range(width):
            for other in range(1, 256):
                guess = (number & (1 << bits) - 1) ^ other << 8 * byte
                found.append(guess - (1 << bits) if guess >> bits - 1 else guess)
    return found


def name(key: object) -> str:
    """A key that may be damaged, for people."""
    return key.decode("utf-8", "backslashreplace") if isinstance(key, bytes) else repr(key)


def small(*cells: object) -> int:
    """The checksum of a row of the tables `meta` and `lease`."""
    return crc32(json.dumps([cell.decode() if isinstance(cell, bytes) else cell for cell in cells]).encode())
