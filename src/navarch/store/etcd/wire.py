# SPDX-License-Identifier: GPL-3.0-or-later
"""Protobuf's wire format, as far as etcd's messages need it: varints and length-delimited fields.

Belongs here: bytes of fields. Not here: what a field means (`messages`).
Source: protobuf.dev, "Encoding".
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WRAP = 1 << 64


def _varint(value: int) -> bytes:
    if 0 <= value < 0x80:
        return bytes((value,))
    value %= _WRAP  # int64: negative numbers are sent as two's complement
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    """An int64, enum or bool field; nothing for 0, which is the default."""
    return _varint(field << 3 | _VARINT) + _varint(value) if value else b""


def chosen_number(field: int, value: int) -> bytes:
    """An int64 field of a oneof, which is sent also when it is 0."""
    return _varint(field << 3 | _VARINT) + _varint(value)


def blob(field: int, value: bytes) -> bytes:
    """A bytes, string or message field, also when it is empty."""
    return _varint(field << 3 | _BYTES) + _varint(len(value)) + value


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) in the order sent: int for varints (unsigned), bytes for the rest.

    Raises ValueError for bytes that are no message.
    """
    at, end = 0, len(data)
    while at < end:
        tag, at = _read_varint(data, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _read_varint(data, at)
            yield tag >> 3, value
            continue
        if kind == _BYTES:
            size, at = _read_varint(data, at)
        elif kind == _FIXED64:
            size = 8
        elif kind == _FIXED32:
            size = 4
        else:
            raise ValueError(f"wire type {kind} at byte {at}")
        if at + size > end:
            raise ValueError(f"field {tag >> 3} of {size} bytes ends behind the message")
        yield tag >> 3, data[at : at + size]
        at += size


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        if at >= len(data):
            raise ValueError("the message ends inside a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("a number of more than ten bytes")


def signed(value: int) -> int:
    """A varint as the int64 it stands for."""
    return value - _WRAP if value >> 63 else value
