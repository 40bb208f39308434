# SPDX-License-Identifier: GPL-3.0-or-later
"""The requests and answers of etcd's v3 API that the store uses, as bytes and as values.

Field numbers: etcd's rpc.proto and kv.proto, unchanged from 3.4 to 3.6. Not here: calls (`client`).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from navarch.store.etcd.wire import blob, chosen_number, fields, number, signed

_EQUAL = 0
_MOD, _CREATE = 2, 1


class Pair(msgspec.Struct, frozen=True, gc=False):
    """mvccpb.KeyValue. Of a deleted key only `key` and `modified` are set."""

    key: bytes = b""
    value: bytes = b""
    created: int = 0
    modified: int = 0
    lease: int = 0


class Change(msgspec.Struct, frozen=True, gc=False):
    """mvccpb.Event."""

    pair: Pair
    deleted: bool


class Ranged(msgspec.Struct, frozen=True, gc=False):
    """RangeResponse. count: keys of the range, also those that the limit cut off."""

    revision: int
    pairs: list[Pair]
    count: int


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """TxnResponse. found: what each read of the branch that ran gave; deleted: how many keys it deleted."""

    revision: int
    succeeded: bool
    found: list[list[Pair]]
    deleted: int


class Watched(msgspec.Struct, frozen=True, gc=False):
    """WatchResponse. compacted: the oldest revision there is, when that is why the watch was cancelled.
    fragment: the next answer goes on with the same changes.
    """

    cancelled: bool
    compacted: int
    reason: str
    fragment: bool
    changes: list[Change]


def range_request(
    key: bytes, end: bytes = b"", *, limit: int = 0, revision: int = 0, count_only: bool = False
) -> bytes:
    """end empty: the one key. Linearizable."""
    return (
        blob(1, key)
        + (blob(2, end) if end else b"")
        + number(3, limit)
        + number(4, revision)
        + number(9, count_only)
    )


def put(key: bytes, value: bytes, lease: int) -> bytes:
    """A RequestOp that writes."""
    return blob(2, blob(1, key) + blob(2, value) + number(3, lease))


def delete(key: bytes) -> bytes:
    """A RequestOp that deletes."""
    return blob(3, blob(1, key))


def read(key: bytes) -> bytes:
    """A RequestOp that reads."""
    return blob(1, blob(1, key))


def at_revision(key: bytes, revision: int) -> bytes:
    """A Compare: the key was last written at `revision`; 0: there is no such key."""
    return number(1, _EQUAL) + number(2, _MOD) + blob(3, key) + chosen_number(6, revision)


def living(key: bytes) -> bytes:
    """A Compare: the key exists."""
    greater = 1
    return number(1, greater) + number(2, _CREATE) + blob(3, key) + chosen_number(5, 0)


def transaction(compares: Sequence[bytes], success: Sequence[bytes], failure: Sequence[bytes]) -> bytes:
    return b"".join(
        [
            *(blob(1, compare) for compare in compares),
            *(blob(2, op) for op in success),
            *(blob(3, op) for op in failure),
        ]
    )


def compaction(revision: int) -> bytes:
    return number(1, revision)


def grant(lease: int, ttl: int) -> bytes:
    return number(1, ttl) + number(2, lease)


def lease_id(lease: int) -> bytes:
    return number(1, lease)


def watch_request(key: bytes, end: bytes, start: int) -> bytes:
    """A watch of [key, end) from revision `start` on, with large answers in pieces."""
    fragment = 8
    return blob(1, blob(1, key) + blob(2, end) + number(3, start) + number(fragment, True))


def parse_range(data: bytes) -> Ranged:
    revision = count = 0
    pairs = []
    for field, value in fields(data):
        if field == 1:
            revision = _header(_bytes(value))
        elif field == 2:
            pairs.append(_pair(_bytes(value)))
        elif field == 4:
            count = _int(value)
    return Ranged(revision, pairs, count)


def parse_transaction(data: bytes) -> Outcome:
    revision, succeeded, found, deleted = 0, False, [], 0
    for field, value in fields(data):
        if field == 1:
            revision = _header(_bytes(value))
        elif field == 2:
            succeeded = bool(value)
        elif field == 3:
            for kind, answer in fields(_bytes(value)):
                if kind == 1:
                    found.append(parse_range(_bytes(answer)).pairs)
                elif kind == 3:
                    deleted += sum(_int(v) for f, v in fields(_bytes(answer)) if f == 2)
    return Outcome(revision, succeeded, found, deleted)


def parse_watch(data: bytes) -> Watched:
    compacted = 0
    cancelled = fragment = False
    reason = ""
    changes = []
    for field, value in fields(data):
        match field:
            case 4:
                cancelled = bool(value)
            case 5:
                compacted = _int(value)
            case 6:
                reason = _bytes(value).decode(errors="replace")
            case 7:
                fragment = bool(value)
            case 11:
                changes.append(_change(_bytes(value)))
    return Watched(cancelled, compacted, reason, fragment, changes)


def parse_keep_alive(data: bytes) -> int:
    """The lease's time to live in seconds; 0 when there is no such lease."""
    return next((_int(value) for field, value in fields(data) if field == 3), 0)


def parse_snapshot(data: bytes) -> bytes:
    """One piece of a snapshot; the last one is the SHA-256 of the others."""
    return next((_bytes(value) for field, value in fields(data) if field == 3), b"")


def _header(data: bytes) -> int:
    return next((_int(value) for field, value in fields(data) if field == 3), 0)


def _pair(data: bytes) -> Pair:
    key = value = b""
    created = modified = lease = 0
    for field, found in fields(data):
        match field:
            case 1:
                key = _bytes(found)
            case 2:
                created = _int(found)
            case 3:
                modified = _int(found)
            case 5:
                value = _bytes(found)
            case 6:
                lease = _int(found)
    return Pair(key, value, created, modified, lease)


def _change(data: bytes) -> Change:
    deleted, pair = False, Pair()
    for field, value in fields(data):
        if field == 1:
            deleted = value == 1
        elif field == 2:
            pair = _pair(_bytes(value))
    return Change(pair, deleted)


def _int(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise ValueError("bytes where a number was expected")
    return signed(value)


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a number where bytes were expected")
    return value
