# SPDX-License-Identifier: GPL-3.0-or-later
"""Field validation: all unknown and all duplicate fields of a body, with their paths.

What to do about them is the caller's.

The words are the reference's own (`unknown field "spec.foo"`), because clients show and match them.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import msgspec

from navarch.api.machinery import decoders, shapes
from navarch.api.machinery.decode import check_depth
from navarch.api.machinery.errors import LIMIT, StatusError, bad_request, cut
from navarch.api.machinery.scheme import Kind

#: A quote or a colon that is not written as itself.
_ESCAPES = (b"\\u0022", b"\\u003a", b"\\u003A")

#: Characters of a path: a document of no known shape may be as deep as it likes.
_PATH = 1024

_encode = msgspec.json.Encoder().encode


def _unsure(body: bytes) -> bool:
    """Whether a key may stand apart from its colon, or a quote or colon may not be written as itself."""
    # One byte is found by wide instructions, two are not.
    return (
        (b" " in body and b" :" in body)
        or (b"\n" in body and b"\n:" in body)
        or (b"\t" in body and b"\t:" in body)
        or (b"\r" in body and b"\r:" in body)
        or (b"\\" in body and any(escape in body for escape in _ESCAPES))
    )


def _strict_type(shape: shapes.Shape, above: frozenset[type]) -> Any:
    """The type of a twin's field. Raises RecursionError for a struct that contains itself."""
    if shape.struct is not None:
        return _build(shape.struct, above) | None
    inner = shape
    while inner.element is not None:
        inner = inner.element
    if inner.struct is None or shape.element is None:
        return Any
    element = _strict_type(shape.element, above)
    if shape.form == "list":
        return list[element] | None  # type: ignore[valid-type] # made at run time
    return dict[str, element] | None  # type: ignore[valid-type] # made at run time


#: Twins by struct.
_TWINS: dict[type, Any] = {}


def _build(struct: type[msgspec.Struct], above: frozenset[type]) -> Any:
    if struct in _TWINS:
        return _TWINS[struct]
    if struct in above:
        raise RecursionError
    fields: list[tuple[str, Any, Any]] = []
    for i, (name, field) in enumerate(shapes.fields(struct).items()):
        type_ = _strict_type(field.shape, above | {struct})
        type_ = type_ if type_ is Any else type_ | msgspec.UnsetType
        fields.append((f"f{i}", type_, msgspec.field(name=name, default=msgspec.UNSET)))
    made = msgspec.defstruct(struct.__name__, fields, forbid_unknown_fields=True, gc=False)
    _TWINS[struct] = made
    return made


@cache
def _twin(struct: type[msgspec.Struct]) -> msgspec.json.Decoder[Any] | None:
    """Decodes into a twin of the struct: refuses unknown fields, keeps all that was sent, adds nothing.

    None for a struct that contains itself.
    """
    try:
        return decoders.of(_build(struct, frozenset()))
    except RecursionError:
        return None


def _clean(struct: type[msgspec.Struct], body: bytes) -> bool:
    """Whether there is surely nothing to tell. Nearly every write needs only this."""
    twin = _twin(struct)
    if twin is None:
        return False
    try:
        again = _encode(twin.decode(body))
    except (ValueError, RecursionError):
        return False
    # Every key is written `":` once, so fewer of them in what was understood means a duplicate.
    return body.count(b'":') == again.count(b'":') and not _unsure(body)


def unknown_fields(struct: type[msgspec.Struct], document: Any) -> list[str]:
    """Paths of what the struct does not know, in document order. `document` is what a JSON decoder gives."""
    found: list[str] = []
    _descend(shapes.shape(struct), document, "", found)
    return found


def _descend(shape: shapes.Shape, value: Any, path: str, found: list[str]) -> None:
    if type(value) is dict:
        if shape.struct is not None:
            known = shapes.fields(shape.struct)
            for name, inner in value.items():
                place = f"{path}.{cut(name)}" if path else cut(name)
                if name in known:
                    _descend(known[name].shape, inner, place, found)
                elif len(found) < LIMIT:
                    found.append(place)
        elif shape.form == "map" and shape.element is not None:
            for name, inner in value.items():
                _descend(shape.element, inner, f"{path}.{cut(name)}", found)
    elif type(value) is list and shape.form == "list" and shape.element is not None:
        for i, inner in enumerate(value):
            _descend(shape.element, inner, f"{path}[{i}]", found)


class _Pairs(dict[str, Any]):
    """An object that remembers which of its keys came twice."""

    twice: list[str]


def _pairs(pairs: list[tuple[str, Any]]) -> _Pairs:
    made = _Pairs(pairs)
    made.twice = []
    if len(made) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen and key not in made.twice:
                made.twice.append(key)
            seen.add(key)
    return made


def duplicate_fields(body: bytes) -> list[str]:
    """Paths of keys that a JSON object has more than once.

    An undecodable body has none: decoding says what is wrong.
    """
    try:
        document = json.loads(body, object_pairs_hook=_pairs)
    except (ValueError, RecursionError):
        return []
    found: list[str] = []
    _duplicates(document, "", found)
    return found


def _duplicates(value: Any, path: str, found: list[str]) -> None:
    if isinstance(value, _Pairs):
        for key in value.twice:
            if len(found) < LIMIT:
                found.append(path + cut(key))
        for key, inner in value.items():
            _duplicates(inner, f"{cut(path, _PATH)}{cut(key)}.", found)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            _duplicates(inner, f"{path[:-1]}[{i}].", found)


def problems(kind: Kind[Any], body: bytes) -> list[str]:
    """All that is unknown or double in a JSON body, in the reference's words.

    Raises StatusError 400 for one that is nested too deeply to look.
    """
    struct: type[msgspec.Struct] = kind.type
    if _clean(struct, body):
        return []
    check_depth(body)
    try:
        document = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return []
    found = [f'unknown field "{p}"' for p in unknown_fields(struct, document)]
    return found + [f'duplicate field "{p}"' for p in duplicate_fields(body)]


def problems_of_document(kind: Kind[Any], document: Any) -> list[str]:
    """All that is unknown in a decoded document (YAML, or what a patch made); duplicates are gone by then."""
    return [f'unknown field "{p}"' for p in unknown_fields(kind.type, document)]


def refusal(kind: Kind[Any], found: list[str]) -> StatusError:
    """The answer to `fieldValidation=Strict` when problems were found."""
    return bad_request(
        f"{kind.title} cannot be handled as a {kind.kind}: strict decoding error: {', '.join(found)}"
    )
