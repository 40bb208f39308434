# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents as bytes: JSON, YAML and protobuf, sound and broken; patches; frames of WebSocket and SPDY."""

from __future__ import annotations

import json
import struct
import zlib
from random import Random
from typing import Any

import yaml
from fuzz_values import WILD, changed, places

from navarch.api.machinery import protobuf, shapes
from navarch.api.machinery.scheme import Kind
from navarch.kubelet.server import spdy

JSON = "application/json"
_OPERATORS = ["add", "remove", "replace", "move", "copy", "test", "nothing"]
_META = ("name", "namespace", "labels", "annotations")
PATCHES = [
    "application/merge-patch+json", "application/strategic-merge-patch+json",
    "application/json-patch+json", "application/apply-patch+yaml",
]  # fmt: skip


def encoded(r: Random, kind: Kind[Any] | None, document: Any) -> tuple[str, bytes]:
    """(media type, body)"""
    form = r.randrange(10)
    if form == 0 and isinstance(document, dict) and kind is not None:
        return protobuf.MEDIA_TYPE, broken(r, envelope(kind, document))
    if form in (1, 2):
        return r.choice(["application/yaml", "text/yaml"]), broken(r, yaml_text(r, document))
    return JSON, broken(r, json_text(r, document))


def json_text(r: Random, document: Any) -> bytes:
    text = json.dumps(document, ensure_ascii=r.random() < 0.7, indent=r.choice([None, None, 1]))
    return text.encode("utf-8", "surrogatepass")


def yaml_text(r: Random, document: Any) -> bytes:
    if r.random() < 0.3:
        return json_text(r, document)
    try:
        return yaml.dump(
            document, Dumper=yaml.CSafeDumper, default_flow_style=r.choice([None, False])
        ).encode()
    except (UnicodeEncodeError, yaml.YAMLError):
        return json_text(r, document)


def broken(r: Random, body: bytes) -> bytes:
    """Now and then a body with other bytes in it, or with less of them, or with many more."""
    if r.random() > 0.06 or not body:
        return body
    at, to = sorted((r.randrange(len(body)), r.randrange(len(body))))
    return [
        lambda: body[:at],
        lambda: body[:at] + r.randbytes(4) + body[at:],
        lambda: body[:at] + body[at:to] * r.randrange(2, 40) + body[to:],
        lambda: body[:at] + bytes([r.randrange(256)]) + body[at + 1 :],
        lambda: body[:at] + r.choice([b"[", b"{", b'"', b"&a ", b"*a", b"\\ud83d", b"%TAG", b"\x00"]) * 200,
        lambda: b"",
    ][r.randrange(6)]()  # fmt: skip


# Patches.


def patch(r: Random, document: Any) -> tuple[str, bytes]:
    """(media type, body) of a patch that has to do with a document."""
    media = r.choice(PATCHES)
    if media == "application/json-patch+json":
        operations = [operation(r, document) for _ in range(r.choice([0, 1, 2, 5, 60]))]
        found: Any = operations if r.random() < 0.95 else r.choice(WILD)
    else:
        found = changed(r, document, r.randrange(4))
        if isinstance(found, dict) and r.random() < 0.7:
            keep = {"metadata", "apiVersion", "kind"} if "apply" in media else set()
            found = {k: v for k, v in found.items() if k in keep or r.random() < 0.6}
        if isinstance(found, dict) and isinstance(found.get("metadata"), dict) and r.random() < 0.9:
            found["metadata"] = {
                k: v
                for k, v in found["metadata"].items()
                if k in ("name", "namespace", "labels", "annotations")
            }
    if media.endswith("yaml") and r.random() < 0.4:
        return media, broken(r, yaml_text(r, found))
    return media, broken(r, json_text(r, found))


def operation(r: Random, document: Any) -> dict[str, Any]:
    every = list(places(document))
    made: dict[str, Any] = {"op": r.choice(_OPERATORS), "path": pointer(r, r.choice(every))}
    if r.random() < 0.5:
        made["from"] = pointer(r, r.choice(every))
    if r.random() < 0.7:
        made["value"] = r.choice(WILD)
    return made


def pointer(r: Random, path: tuple[Any, ...]) -> Any:
    if r.random() < 0.05:
        return r.choice(WILD)
    text = "".join(f"/{str(key).replace('~', '~0').replace('/', '~1')}" for key in path)
    return text + r.choice(["", "", "", "/-", "/x", "/99", "~2"])


# Protobuf.


def envelope(kind: Kind[Any], document: dict[str, Any]) -> bytes:
    head = _field(1, kind.api_version.encode()) + _field(2, kind.kind.encode())
    return protobuf.MAGIC + _field(1, head) + _field(2, message(kind.type, document))


def message(struct_: Any, document: dict[str, Any]) -> bytes:
    """What of a document has a number. Values of a wrong type go as what they are."""
    known = shapes.fields(struct_)
    made = b""
    for name, value in document.items():
        field = known.get(str(name))
        if field is None or not field.number:
            continue
        shape = field.shape
        if shape.form == "map" and isinstance(value, dict):
            for key, inner in value.items():
                entry = _field(1, _text(key)) + _value(shape.element, 2, inner)
                made += _field(field.number, entry)
        elif isinstance(value, list):
            for inner in value:
                made += _value(shape.element or shape, field.number, inner)
        else:
            made += _value(shape, field.number, value)
    return made


def _value(shape: Any, number: int, value: Any) -> bytes:
    if isinstance(value, bool | int):
        return _varint(number << 3) + _varint(int(value) & (2**64 - 1))
    if isinstance(value, dict):
        return _field(number, message(shape.struct, value) if shape is not None and shape.struct else b"")
    if shape is not None and shape.form == "quantity":
        return _field(number, _field(1, _text(value)))
    return _field(number, _text(value))


def _text(value: Any) -> bytes:
    return str(value).encode("utf-8", "surrogatepass")


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    made = b""
    while value > 0x7F:
        made += bytes([value & 0x7F | 0x80])
        value >>= 7
    return made + bytes([value])


# Frames.


def websocket_frame(r: Random, payload: bytes) -> bytes:
    """A client's frame; now and then one that is none."""
    first = r.choice([0x82, 0x82, 0x82, 0x81, 0x88, 0x89, 0x02, 0x00, 0xF2, r.randrange(256)])
    mask = r.randbytes(4)
    size = len(payload)
    head = bytes([first, 0x80 | size]) if size < 126 else bytes([first, 0xFE]) + struct.pack(">H", size)
    if r.random() < 0.1:
        head = bytes([first, r.choice([0x05, 0xFF])]) + struct.pack(">Q", r.choice([5, 2**63, 2**20]))
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def spdy_frames(r: Random) -> bytes:
    """Some frames of a port-forward's tunnel, sound or broken."""
    pack = zlib.compressobj(zdict=spdy.DICTIONARY)
    made = b""
    for _ in range(r.randrange(1, 8)):
        stream = r.choice([0, 1, 3, 5, 2**31 - 1])
        what = r.randrange(6)
        if what < 2:
            headers = {"streamtype": r.choice(["data", "error", "x"]), "requestid": str(r.randrange(3)),
                       "port": r.choice(["1", "80", "0", "-1", "x", "70000", "9" * 50, "²"])}  # fmt: skip
            if r.random() < 0.3:
                headers.pop(r.choice(list(headers)))
            plain = struct.pack(">I", len(headers) if r.random() < 0.9 else r.choice([0, 9, 2**32 - 1]))
            for text in (t for pair in headers.items() for t in pair):
                plain += struct.pack(">I", len(text.encode())) + text.encode()
            block = pack.compress(plain) + pack.flush(zlib.Z_SYNC_FLUSH)
            body = struct.pack(">IIBB", stream, 0, 0, 0) + block
            made += struct.pack(">HHI", 0x8003, 1, r.choice([0, 1]) << 24 | len(body)) + body
        elif what == 2:
            data = r.randbytes(r.choice([0, 1, 100]))
            made += struct.pack(">II", stream, r.choice([0, 1]) << 24 | len(data)) + data
        else:
            body = r.randbytes(r.choice([0, 4, 8, 14]))
            kind = r.choice([2, 3, 4, 6, 7, 8, 9, 99])
            made += struct.pack(">HHI", r.choice([0x8003, 0x8002]), kind, len(body)) + body
    return broken(r, made)
