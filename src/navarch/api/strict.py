# SPDX-License-Identifier: GPL-3.0-or-later
"""Field validation: all unknown and all duplicate fields of a body, with their paths.

What to do about them is the caller's.

The words are the reference's own (`unknown field "spec.foo"`), because clients show and match them.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import msgspec

from navarch.api import shapes
from navarch.api.errors import StatusError, bad_request
from navarch.api.scheme import Kind

#: So many are told; a body of nothing but mistakes does not make an answer of megabytes.
LIMIT = 100

_SPACED = re.compile(rb'"\s+:')


def _spaced(body: bytes) -> bool:
    """Whether a key stands apart from its colon. Compact JSON has no space after a quote at all."""
    return any(after in body for after in (b'" ', b'"\n', b'"\t', b'"\r')) and bool(_SPACED.search(body))


class _Unknown(Exception):
    """The quick pass met a field that the struct does not know."""


class _Plan:
    """What the quick pass needs of a struct: wire name -> what is below it, None for nothing."""

    __slots__ = ("below",)

    def __init__(self) -> None:
        self.below: dict[str, tuple[shapes.Shape, _Plan] | None] = {}


@cache
def _plan(struct: type[msgspec.Struct]) -> _Plan:
    made = _Plan()
    for name, field in shapes.fields(struct).items():
        shape: shapes.Shape | None = field.shape
        while shape is not None and shape.struct is None:
            shape = shape.element
        inner = shape.struct if shape is not None else None
        made.below[name] = None if inner is None else (field.shape, _plan(inner))
    return made


def _scan(plan: _Plan, document: dict[str, Any]) -> int:
    """How many keys the document has in all its objects. Raises _Unknown."""
    keys = len(document)
    below = plan.below
    for name, value in document.items():
        kind = type(value)
        if name not in below:
            raise _Unknown
        if kind is dict or kind is list:
            inner = below[name]
            keys += _count(value) if inner is None else _scan_value(inner[0], inner[1], value)
    return keys


def _scan_value(shape: shapes.Shape, plan: _Plan, value: Any) -> int:
    kind = type(value)
    if kind is dict:
        if shape.struct is not None:
            return _scan(plan, value)
        if shape.form == "map" and shape.element is not None:
            element = shape.element
            return len(value) + sum([_scan_value(element, plan, v) for v in value.values()])
        return _count(value)
    if kind is list:
        if shape.form == "list" and shape.element is not None:
            element = shape.element
            return sum([_scan_value(element, plan, v) for v in value])
        return _count(value)
    return 0


def _count(value: Any) -> int:
    """Keys of all objects in the value."""
    keys = 0
    if type(value) is dict:
        keys = len(value)
        value = value.values()
    for inner in value:
        if type(inner) is dict or type(inner) is list:
            keys += _count(inner)
    return keys


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
                place = f"{path}.{name}" if path else name
                if name in known:
                    _descend(known[name].shape, inner, place, found)
                elif len(found) < LIMIT:
                    found.append(place)
        elif shape.form == "map" and shape.element is not None:
            for name, inner in value.items():
                _descend(shape.element, inner, f"{path}.{name}", found)
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
                found.append(path + key)
        for key, inner in value.items():
            _duplicates(inner, f"{path}{key}.", found)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            _duplicates(inner, f"{path[:-1]}[{i}].", found)


def problems(kind: Kind[Any], body: bytes) -> list[str]:
    """All that is unknown or double in a JSON body, in the reference's words."""
    struct: type[msgspec.Struct] = kind.type
    try:
        document = msgspec.json.decode(body)
        # Every key is written `":` once: more of them than keys in the document means a duplicate, or text
        # with `\\":` in it. So the slow ways run only when there is something to tell.
        if (
            type(document) is dict
            and body.count(b'":') == _scan(_plan(struct), document)
            and not _spaced(body)
        ):
            return []
    except _Unknown:
        pass
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
        f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: '
        f"strict decoding error: {', '.join(found)}"
    )
