# SPDX-License-Identifier: GPL-3.0-or-later
"""The schemas of the OpenAPI v2 document in protobuf.

What kubectl validates kinds by that have no PATCH, before it sends them.

Numbers are those of gnostic's OpenAPIv2.proto. Only definitions are encoded; clients read paths from v3.
"""

from __future__ import annotations

from typing import Any

import msgspec

from navarch.api.machinery import openapi
from navarch.api.machinery.scheme import Scheme

MEDIA_TYPE = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"


def _varint(n: int) -> bytes:
    made = bytearray()
    while n > 0x7F:
        made.append(n & 0x7F | 0x80)
        n >>= 7
    made.append(n)
    return bytes(made)


def _put(number: int, value: bytes | str) -> bytes:
    """A field that is a string or a message."""
    raw = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(raw)) + raw


def _named(name: str, value: bytes) -> bytes:
    return _put(1, name) + _put(2, value)


def _schema(schema: dict[str, Any]) -> bytes:
    made = b""
    for key, number in (("$ref", 1), ("format", 2), ("description", 4)):
        if key in schema:
            made += _put(number, schema[key])
    for name in schema.get("required", ()):
        made += _put(19, name)
    if "additionalProperties" in schema:
        made += _put(21, _put(1, _schema(schema["additionalProperties"])))
    if "type" in schema:
        made += _put(22, _put(1, schema["type"]))
    if "items" in schema:
        made += _put(23, _put(1, _schema(schema["items"])))
    if "properties" in schema:
        inner = b"".join(_put(1, _named(name, _schema(s))) for name, s in schema["properties"].items())
        made += _put(25, inner)
    for key, value in schema.items():
        if key.startswith("x-"):
            # An extension's value is YAML, of which JSON is a part.
            made += _put(31, _named(key, _put(2, msgspec.json.encode(value))))
    return made


def document_v2(scheme: Scheme) -> bytes:
    """The encoded document."""
    document = openapi.document_v2(scheme)
    info = document["info"]
    definitions = b"".join(_put(1, _named(n, _schema(s))) for n, s in document["definitions"].items())
    return (
        _put(1, document["swagger"])
        + _put(2, _put(1, info["title"]) + _put(2, info["version"]))
        + _put(8, b"")
        + _put(9, definitions)
    )
