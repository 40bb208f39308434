# SPDX-License-Identifier: GPL-3.0-or-later
"""Bodies in `application/vnd.kubernetes.protobuf`.

The envelope, and messages read by the numbers that stand beside the fields.

Decoding only: answers are JSON, which every client accepts beside protobuf. The result is the generic
document that the same object's JSON body
would give. Malformed bytes are StatusError 400. Source: the protobuf encoding guide, and the reference's
generated.proto files.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import msgspec

from navarch.api.machinery import shapes
from navarch.api.machinery.errors import StatusError, bad_request

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"

#: Deeper than any kind; a bound for hostile bytes.
_DEPTH = 40
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: Reads the bytes [at, end) that belong to one field. Varints arrive as int.
_Read = Callable[[Any, int], Any]


class _MalformedError(Exception):
    """Bytes that are no message; becomes a StatusError at the edge."""


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
        if shift > 63:
            raise _MalformedError("a varint is too long")
    raise _MalformedError("a varint is cut off")


def _entries(data: bytes) -> list[tuple[int, int, Any]]:
    """(number, wire type, value) of every field of a message; value is int for varints, bytes otherwise."""
    found: list[tuple[int, int, Any]] = []
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at, end)
        number, wire_type = tag >> 3, tag & 7
        if number == 0:
            raise _MalformedError("a field has number 0")
        if wire_type == 0:
            value, at = _varint(data, at, end)
            found.append((number, 0, value))
            continue
        if wire_type == 2:
            size, at = _varint(data, at, end)
        elif wire_type == 1:
            size = 8
        elif wire_type == 5:
            size = 4
        else:
            raise _MalformedError(f"wire type {wire_type} is not supported")
        if size > end - at:
            raise _MalformedError("a field is cut off")
        found.append((number, wire_type, data[at : at + size]))
        at += size
    return found


def _bytes(value: Any) -> bytes:
    if type(value) is not bytes:
        raise _MalformedError("a number stands where bytes belong")
    return value


def _number(value: Any) -> int:
    if type(value) is not int:
        raise _MalformedError("bytes stand where a number belongs")
    return value


def _string(value: Any, depth: int = 0) -> str:
    try:
        return _bytes(value).decode()
    except UnicodeDecodeError:
        raise _MalformedError("a string is not UTF-8") from None


def _signed(value: int, bits: int = 64) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def _integer(value: Any, depth: int = 0) -> int:
    return _signed(_number(value))


def _integer32(value: Any, depth: int = 0) -> int:
    return _signed(_number(value), 32)


def _boolean(value: Any, depth: int = 0) -> bool:
    return bool(_number(value))


def _base64(value: Any, depth: int = 0) -> str:
    return base64.b64encode(_bytes(value)).decode()


def _quantity(value: Any, depth: int = 0) -> str:
    text = "0"
    for number, _, inner in _entries(_bytes(value)):
        if number == 1:
            text = _string(inner)
    return text


def _int_or_string(value: Any, depth: int = 0) -> int | str:
    kind, number_value, text = 0, 0, ""
    for number, _, inner in _entries(_bytes(value)):
        if number == 1:
            kind = _number(inner)
        elif number == 2:
            number_value = _integer32(inner)
        elif number == 3:
            text = _string(inner)
    return text if kind else number_value


def _moment(value: Any) -> datetime | None:
    seconds = nanos = 0
    entries = _entries(_bytes(value))
    for number, _, inner in entries:
        if number == 1:
            seconds = _integer(inner)
        elif number == 2:
            nanos = _integer32(inner)
    if not entries:
        return None
    try:
        return _EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000)
    except OverflowError:
        raise _MalformedError("a time is out of range") from None


def _time(value: Any, depth: int = 0) -> str | None:
    moment = _moment(value)
    return None if moment is None else f"{moment.year:04d}{moment:-%m-%dT%H:%M:%SZ}"


def _micro_time(value: Any, depth: int = 0) -> str | None:
    moment = _moment(value)
    return None if moment is None else f"{moment.year:04d}{moment:-%m-%dT%H:%M:%S.%fZ}"


def _raw_json(value: Any, depth: int = 0) -> Any:
    """FieldsV1 and RawExtension: a message whose field 1 is JSON."""
    raw = b""
    for number, _, inner in _entries(_bytes(value)):
        if number == 1:
            raw = _bytes(inner)
    if not raw:
        return None
    try:
        return msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        raise _MalformedError("an embedded document is not valid JSON") from None


_READERS: dict[str, _Read] = {
    "string": _string,
    "integer": _integer,
    "boolean": _boolean,
    "bytes": _base64,
    "quantity": _quantity,
    "int-or-string": _int_or_string,
    "any": _raw_json,
}


def _items(value: Any, depth: int = 0) -> list[str]:
    """ExtraValue: the list in a map of lists, which protobuf cannot have, is a message of its own."""
    return [_string(inner) for number, _, inner in _entries(_bytes(value)) if number == 1]


def _reader(shape: shapes.Shape, format: str = "") -> _Read | None:
    if shape.form == "string" and format == "micro-time":
        return _micro_time
    if shape.form == "string" and format == "date-time":
        return _time
    if shape.form == "integer" and format == "int32":
        return _integer32
    if shape.struct is not None:
        struct = shape.struct
        return lambda value, depth: _message(struct, _bytes(value), depth + 1)
    return _READERS.get(shape.form)


class _Slot(msgspec.Struct, frozen=True):
    """What to do with one number of a message."""

    name: str
    read: _Read
    repeated: bool = False
    mapped: bool = False
    #: A list of numbers, which may also come packed.
    packed: bool = False
    #: A scalar whose zero means absent.
    drop_zero: bool = False
    #: A message whose fields are the struct's own.
    merged: bool = False


@cache
def _slots(struct: type[msgspec.Struct]) -> dict[int, _Slot]:
    found: dict[int, _Slot] = {}
    inherited: tuple[str, ...] = ()
    embedded: tuple[int, type[msgspec.Struct]] | None = getattr(struct, "embedded", None)
    if embedded is not None:
        # What the struct inherits travels in a message of its own (fields.Struct.embedded).
        number, base = embedded
        inherited = base.__struct_encode_fields__
        found[number] = _Slot("", lambda value, depth: _message(base, _bytes(value), depth + 1), merged=True)
    for name, field in shapes.fields(struct).items():
        shape = field.shape
        if field.number == 0 or name in inherited:
            continue
        element = shape.element
        if element is not None and element.form == "any" and shape.form == "map":
            found[field.number] = _Slot(name, _raw_json)
        elif element is not None and element.form == "list" and shape.form == "map":
            found[field.number] = _Slot(name, _items, mapped=True)
        elif element is not None and element.form not in ("list", "map"):
            read = _reader(element, field.format)
            if read is not None:
                packed = shape.form == "list" and element.form in ("integer", "boolean")
                found[field.number] = _Slot(name, read, shape.form == "list", shape.form == "map", packed)
        elif element is None:
            read = _reader(shape, field.format)
            if read is not None:
                scalar = shape.form in ("string", "integer", "boolean", "bytes")
                found[field.number] = _Slot(name, read, drop_zero=scalar and not field.optional)
    return found


def _unpack(value: bytes) -> list[int]:
    found: list[int] = []
    at = 0
    while at < len(value):
        number, at = _varint(value, at, len(value))
        found.append(number)
    return found


def _message(struct: type[msgspec.Struct], data: bytes, depth: int) -> dict[str, Any]:
    if depth > _DEPTH:
        raise _MalformedError("messages are nested too deeply")
    slots = _slots(struct)
    made: dict[str, Any] = {}
    for number, wire_type, value in _entries(data):
        slot = slots.get(number)
        if slot is None:
            continue
        if slot.merged:
            made.update(slot.read(value, depth))
        elif slot.repeated:
            into = made.setdefault(slot.name, [])
            values = _unpack(value) if slot.packed and wire_type == 2 else (value,)
            into.extend(slot.read(v, depth) for v in values)
        elif slot.mapped:
            key, inner = "", None
            for part, _, content in _entries(_bytes(value)):
                if part == 1:
                    key = _string(content)
                elif part == 2:
                    inner = content
            made.setdefault(slot.name, {})[key] = slot.read(b"" if inner is None else inner, depth)
        else:
            read = slot.read(value, depth)
            if read is None or (slot.drop_zero and not read):
                made.pop(slot.name, None)
            else:
                made[slot.name] = read
    return made


def document(struct: type[msgspec.Struct], body: bytes) -> dict[str, Any]:
    """The generic document of an enveloped message, with kind and apiVersion. Raises StatusError 400."""
    try:
        if body[:4] != MAGIC:
            raise _MalformedError("the envelope does not begin with its magic number")
        api_version = kind = ""
        raw = b""
        for number, _, value in _entries(body[4:]):
            if number == 1:
                for part, _, text in _entries(_bytes(value)):
                    if part == 1:
                        api_version = _string(text)
                    elif part == 2:
                        kind = _string(text)
            elif number == 2:
                raw = _bytes(value)
            elif number == 3 and value:
                raise _MalformedError("the message is encoded in a way that is not supported")
        head: dict[str, Any] = {}
        if kind:
            head["kind"] = kind
        if api_version:
            head["apiVersion"] = api_version
        return head | _message(struct, raw, 0)
    except _MalformedError as e:
        raise _refusal(str(e)) from None


def _refusal(why: str) -> StatusError:
    return bad_request(f"the body of the request is not valid protobuf: {why}")
