# SPDX-License-Identifier: GPL-3.0-or-later
"""From the bytes of a body to a typed object: JSON, YAML and protobuf.

What is wrong is a StatusError 400 that names the field.

Rules about values (formats, ranges, combinations) are validation and stand with the kinds.
"""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Any, TypeVar

import msgspec

from navarch.api.machinery import decoders, protobuf, shapes, times
from navarch.api.machinery.errors import StatusError, bad_request, cut, too_large, unsupported_media_type
from navarch.api.machinery.meta import Object
from navarch.api.machinery.scheme import Kind

T = TypeVar("T", bound=Object)
S = TypeVar("S", bound=msgspec.Struct)

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = protobuf.MEDIA_TYPE

#: Media types of YAML, and the one patch in it.
YAMLS = frozenset({YAML, "application/x-yaml", "text/yaml", "application/apply-patch+yaml"})
#: Bytes of a YAML body, which costs a hundred times what the same JSON does, where nothing else is said.
YAML_LIMIT = 256 * 1024
#: Collections within collections. More could be read, but not by everything that comes after.
MAX_DEPTH = 128

_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = [1 if byte in b"[{" else -1 for byte in range(256)]
_SPACE = b" \t\r\n"

#: All digits as one, and all opening brackets.
_FLAT = bytes.maketrans(b"123456789[", b"0" * 9 + b"{")
_LONG = b"0" * 10
_WORDS = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
    bytes: "bytes",
}
_WANTED: dict[str, tuple[str, tuple[type, ...]]] = {
    "string": ("string", (str,)),
    "integer": ("integer", (int,)),
    "number": ("number", (int, float)),
    "boolean": ("boolean", (bool,)),
    "bytes": ("base64 string", (str, bytes)),
    "quantity": ("string or number", (str, int, float)),
    "int-or-string": ("integer or string", (int, str)),
    "struct": ("object", (dict,)),
    "list": ("array", (list,)),
    "map": ("object", (dict,)),
}


_encode = msgspec.json.Encoder().encode


def media_type(content_type: str) -> str:
    """`application/json; charset=utf-8` -> `application/json`; nothing is JSON."""
    return content_type.partition(";")[0].strip().lower() or JSON


def document(body: bytes, content_type: str = JSON, yaml_limit: int = YAML_LIMIT) -> Any:
    """The generic document of a JSON or YAML body. Raises StatusError 400, 413, 415."""
    kind = media_type(content_type)
    if kind == JSON:
        return _json(body)
    if kind in YAMLS:
        # JSON is YAML, and clients' libraries send it under that name: no reason for YAML's cost and limit.
        if body.lstrip(_SPACE)[:1] == b"{":
            try:
                return _json(body)
            except StatusError:
                pass
        if len(body) > yaml_limit:
            raise too_large(yaml_limit, "YAML, which may be sent as JSON instead")
        from navarch.api.machinery import yamlbody  # PyYAML is heavy, and nearly all bodies are JSON

        return yamlbody.load(body, MAX_DEPTH)
    raise unsupported_media_type(
        "the body of the request was in an unknown format - accepted media types include: "
        f"{JSON}, {YAML}, {PROTOBUF}"
    )


def _json(body: bytes) -> Any:
    check_depth(body)
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError) as e:
        raise _malformed(e) from None


def check_depth(body: bytes) -> None:
    """Refuse JSON that is nested deeper than what comes after could walk. Raises StatusError 400."""
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return
    brackets = _STRINGS.sub(b"", body).translate(None, _NOT_BRACKETS)
    if max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > MAX_DEPTH:
        raise bad_request("the body of the request is nested too deeply")


def _malformed(error: Exception) -> StatusError:
    if isinstance(error, RecursionError):
        return bad_request("the body of the request is nested too deeply")
    text = str(error).removeprefix("JSON is malformed: ")
    return bad_request(f"the body of the request is not valid JSON: {text}")


def drop_nulls(value: Any) -> Any:
    """The document without the keys whose value is null: null means absent."""
    if type(value) is dict:
        return {k: drop_nulls(v) for k, v in value.items() if v is not None}
    if type(value) is list:
        return [drop_nulls(v) for v in value]
    return value


def _unfolded(shape: shapes.Shape, value: Any) -> Any:
    """The document with base64 on one line.

    People paste what the `base64` tool folded, and the reference takes it.
    """
    if shape.form == "bytes":
        return value.replace("\n", "").replace("\r", "") if type(value) is str else value
    if type(value) is dict:
        if shape.struct is not None:
            known = shapes.fields(shape.struct)
            return {k: _unfolded(known[k].shape, v) if k in known else v for k, v in value.items()}
        if shape.element is not None:
            return {k: _unfolded(shape.element, v) for k, v in value.items()}
    if type(value) is list and shape.element is not None:
        return [_unfolded(shape.element, v) for v in value]
    return value


def convert(struct: type[S], value: Any, what: str = "") -> S:
    """A generic document as a struct. what: its name in errors.

    Raises StatusError 400 with the field's path.
    """
    try:
        quick = _quick(struct, _encode(value))
    except (TypeError, ValueError, RecursionError):
        quick = None
    return _slow(struct, value, what) if quick is None else quick


def _quick(struct: type[S], body: bytes) -> S | None:
    """The one pass that nearly all bodies need. Raises StatusError 400 for one that is nested too deeply.

    None: look closer, for what is wrong or for what may be forgiven.
    """
    flat = body.translate(_FLAT)
    if flat.count(b"{") > MAX_DEPTH:
        check_depth(body)
    if _LONG in flat:
        return None  # A number that long may be out of range of its field.
    try:
        made: S = decoders.of(struct).decode(body)
    except (ValueError, RecursionError):
        return None
    return made


def _slow(struct: type[S], value: Any, what: str) -> S:
    shape = shapes.shape(struct)
    try:
        cleaned = _unfolded(shape, drop_nulls(value))
        wrong = _range_error(shape, cleaned, "", "")
        if wrong is None:
            made: S = decoders.convert(cleaned, struct)
            return made
    except RecursionError as e:
        raise _malformed(e) from None
    except msgspec.ValidationError as e:
        wrong = _mismatch(shape, cleaned, "") or _plain(e)
    prefix = f"{what} cannot be handled: " if what else ""
    raise bad_request(prefix + wrong)


def _plain(error: Exception) -> str:
    text, _, path = str(error).partition(" - at `$.")
    return f"{path.rstrip('`')}: {text}" if path else text


def _mismatch(shape: shapes.Shape, value: Any, path: str) -> str | None:
    """The first value of a wrong type: `spec.containers[0].image: expected string, got integer`."""
    if shape.form == "any":
        return None
    word, wanted = _WANTED[shape.form]
    if type(value) not in wanted:
        return f"{path or 'body'}: expected {word}, got {_WORDS.get(type(value), type(value).__name__)}"
    if shape.struct is not None:
        known = shapes.fields(shape.struct)
        inner = ((known[k].shape, v, f"{path}.{k}" if path else k) for k, v in value.items() if k in known)
    elif shape.element is not None:
        element = shape.element
        if type(value) is dict:
            inner = ((element, v, f"{path}.{cut(k)}") for k, v in value.items())
        else:
            inner = ((element, v, f"{path}[{i}]") for i, v in enumerate(value))
    elif shape.form == "bytes":
        return None if _base64(value) else f"{path}: is not valid base64"
    else:
        return None
    for found in inner:
        wrong = _mismatch(*found)
        if wrong is not None:
            return wrong
    return None


def _base64(value: str | bytes) -> bool:
    try:
        msgspec.convert(value, bytes)
    except msgspec.ValidationError:
        return False
    return True


def _range_error(shape: shapes.Shape, value: Any, path: str, format: str) -> str | None:
    """The first integer outside its format (int64 where none is said)."""
    if type(value) is int:
        if shape.form not in ("integer", "int-or-string"):
            return None
        bits = 31 if format == "int32" or shape.form == "int-or-string" else 63
        return None if -(2**bits) <= value < 2**bits else f"{path}: {value} is out of range of int{bits + 1}"
    if type(value) is dict and shape.struct is not None:
        known = shapes.fields(shape.struct)
        for name, inner in value.items():
            field = known.get(name)
            if field is not None and (
                wrong := _range_error(field.shape, inner, f"{path}.{name}" if path else name, field.format)
            ):
                return wrong
    elif type(value) is dict and shape.element is not None:
        for name, inner in value.items():
            if wrong := _range_error(shape.element, inner, f"{path}.{cut(name)}", format):
                return wrong
    elif type(value) is list and shape.element is not None:
        for i, inner in enumerate(value):
            if wrong := _range_error(shape.element, inner, f"{path}[{i}]", format):
                return wrong
    return None


def decode_struct(
    struct: type[S], body: bytes, content_type: str = JSON, what: str = "", yaml_limit: int = YAML_LIMIT
) -> S:
    """A body as any struct (DeleteOptions, say). Raises StatusError 400, 413, 415."""
    kind = media_type(content_type)
    if kind == JSON:
        quick = _quick(struct, body)
        if quick is not None:
            return quick
        return _slow(struct, document(body), what)
    if kind == PROTOBUF:
        return convert(struct, protobuf.document(struct, body), what)
    return convert(struct, document(body, content_type, yaml_limit), what)


def decode(kind: Kind[T], body: bytes, content_type: str = JSON) -> T:
    """The body of a create or an update. Missing kind and apiVersion are filled.

    Raises StatusError 400, 413, 415.
    """
    return _whole(kind, decode_struct(kind.type, body, content_type, kind.title))


def from_document(kind: Kind[T], value: Any) -> T:
    """The same for a generic document (what a patch made)."""
    return _whole(kind, convert(kind.type, value, kind.title))


def _whole(kind: Kind[T], obj: T) -> T:
    return times.canonical(checked(kind, obj))


def checked(kind: Kind[T], obj: T) -> T:
    """The object with kind and apiVersion filled in.

    Raises StatusError 400 when it says that it is something else.
    """
    if obj.kind == kind.kind and obj.api_version == kind.api_version:
        return obj
    if obj.kind and obj.kind != kind.kind:
        raise bad_request(
            f'{cut(obj.kind)} in version "{cut(obj.api_version or kind.version)}" '
            f"cannot be handled as a {kind.kind}"
        )
    if obj.api_version and obj.api_version != kind.api_version:
        raise bad_request(
            f"the API version in the data ({cut(obj.api_version)}) does not match "
            f"the expected API version ({kind.api_version})"
        )
    return msgspec.structs.replace(obj, kind=kind.kind, api_version=kind.api_version)
