# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables (meta.k8s.io/v1 Table): what `kubectl get` shows, made from a kind's columns; and objects cut down
to their metadata.

Here objects are decoded, which plain answers never do; long lists are done in portions, with the loop free in
between.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any

import msgspec

from navarch.api.machinery import decoders
from navarch.api.machinery.columns import AGE, NAME
from navarch.api.machinery.durations import age
from navarch.api.machinery.scheme import Column, Kind

#: Objects made into rows before others get the loop.
PORTION = 200
#: Bytes of rows likewise.
PORTION_BYTES = 128 * 1024

_encode = msgspec.json.encode


class _MetaOnly(msgspec.Struct):
    metadata: msgspec.Raw = msgspec.Raw(b"{}")


_meta_only = decoders.of(_MetaOnly)


def columns(kind: Kind[Any]) -> tuple[Column, ...]:
    return kind.columns if kind.cells is not None else (NAME, AGE)


def cells(kind: Kind[Any], obj: Any, now: float) -> list[Any]:
    if kind.cells is not None:
        return kind.cells(obj, now)
    return [obj.metadata.name, age(obj.metadata.creation_timestamp, now)]


def partial(kind: Kind[Any], value: bytes) -> bytes:
    """An object's bytes as PartialObjectMetadata."""
    metadata = bytes(_meta_only.decode(value).metadata)
    return b'{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":%b}' % metadata


def _row(kind: Kind[Any], value: bytes, include: str, now: float) -> bytes:
    obj = kind.decode(value)
    shown = _encode(cells(kind, obj, now))
    if include == "None":
        return b'{"cells":%b}' % shown
    return b'{"cells":%b,"object":%b}' % (shown, value if include == "Object" else partial(kind, value))


def _head(kind: Kind[Any], revision: int, more: bytes) -> bytes:
    definitions = [
        {
            "name": c.name,
            "type": c.type,
            "format": c.format,
            "description": c.description,
            "priority": c.priority,
        }
        for c in columns(kind)
    ]
    return (
        b'{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"%d"%b},"columnDefinitions":%b,"rows":['
        % (
            revision,
            more,
            _encode(definitions),
        )
    )


async def table(
    kind: Kind[Any], values: Iterable[bytes], revision: int, include: str, more: bytes = b""
) -> AsyncIterator[bytes]:
    """The parts of a Table of objects. include: None, Metadata or Object; more: further members of its
    ListMeta, each begun by a comma.
    """
    now = time.time()
    yield _head(kind, revision, more)
    rows: list[bytes] = []
    size = 0
    comma = b""
    for value in values:
        row = _row(kind, value, include, now)
        rows.append(row)
        size += len(row)
        if len(rows) == PORTION or size > PORTION_BYTES:
            yield comma + b",".join(rows)
            rows, size, comma = [], 0, b","
            await asyncio.sleep(0)
    yield (comma if rows else b"") + b",".join(rows) + b"]}"


async def partials(kind: Kind[Any], values: Iterable[bytes], head: bytes) -> AsyncIterator[bytes]:
    """The parts of a list of PartialObjectMetadata, behind its head."""
    yield head
    comma = b""
    for at, value in enumerate(values, 1):
        yield comma + partial(kind, value)
        comma = b","
        if at % PORTION == 0:
            await asyncio.sleep(0)
    yield b"]}"


def event_row(kind: Kind[Any], value: bytes, revision: int, include: str, *, first: bool) -> bytes:
    """One object of a watch as a Table of one row. Only the first needs the column definitions."""
    row = _row(kind, value, include, time.time())
    if first:
        return b"%b%b]}" % (_head(kind, revision, b""), row)
    return (
        b'{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"%d"},"columnDefinitions":null,"rows":[%b]}'
        % (revision, row)
    )
