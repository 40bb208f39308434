# SPDX-License-Identifier: GPL-3.0-or-later
"""Points of time in what clients send: any RFC 3339 spelling is taken, one is kept.

Client libraries spell UTC in their own ways (`+00:00`, fractions); everybody who reads must find the one that
typed clients know. Which fields are times stands beside them (`format` of `fields.wire`).
"""

from __future__ import annotations

import re
from datetime import UTC
from functools import cache
from typing import Any, TypeVar

import msgspec

from navarch.api import shapes
from navarch.api.errors import bad_request
from navarch.api.meta import parse_time

S = TypeVar("S", bound=msgspec.Struct)

#: What needs no closer look. Days that not every month has do.
_SECOND = r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d"
_FORMATS = {
    "date-time": (re.compile(rf"{_SECOND}Z", re.ASCII).fullmatch, "%Y-%m-%dT%H:%M:%SZ"),
    "micro-time": (re.compile(rf"{_SECOND}\.\d{{6}}Z", re.ASCII).fullmatch, "%Y-%m-%dT%H:%M:%S.%fZ"),
}


class _Place(msgspec.Struct, frozen=True):
    """A field that is a time (`format`), or that may hold times further in (`form`: struct, list, map)."""

    attribute: str
    name: str
    form: shapes.Form
    format: str = ""


@cache
def _places(struct: type[msgspec.Struct], above: frozenset[type] = frozenset()) -> tuple[_Place, ...]:
    """Where times can be; a type without any is not walked."""
    found = []
    for info, field in zip(msgspec.structs.fields(struct), shapes.fields(struct).values(), strict=True):
        shape = field.shape
        if field.format in _FORMATS:
            found.append(_Place(info.name, field.name, shape.form, field.format))
            continue
        inner = shape.struct or (shape.element.struct if shape.element is not None else None)
        if inner is not None and inner not in above and _places(inner, above | {struct}):
            found.append(_Place(info.name, field.name, shape.form))
    return tuple(found)


def canonical(obj: S, path: str = "") -> S:
    """The object with its times in the one spelling; itself when they are already.

    Raises StatusError 400 for what is no time, with the field's path.
    """
    changes: dict[str, Any] = {}
    for place in _places(type(obj)):
        value = getattr(obj, place.attribute)
        if value is None:
            continue
        inner = f"{path}{place.name}"
        made: Any
        if place.format:
            made = _spelled(value, place.format, inner)
        elif place.form == "list":
            made = [canonical(item, f"{inner}[{i}].") for i, item in enumerate(value)]
            if all(new is old for new, old in zip(made, value, strict=True)):
                continue
        elif place.form == "map":
            made = {key: canonical(item, f"{inner}.{key}.") for key, item in value.items()}
            if all(made[key] is value[key] for key in value):
                continue
        else:
            made = canonical(value, f"{inner}.")
        if made is not value:
            changes[place.attribute] = made
    return msgspec.structs.replace(obj, **changes) if changes else obj


def _spelled(text: str, format: str, path: str) -> str:
    plain, spelling = _FORMATS[format]
    if plain(text):
        return text
    try:
        moment = parse_time(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise bad_request(f"{path}: {text[:100]!r} is not a time such as 2026-01-31T12:00:00Z") from None
    # strftime leaves the zeros of early years out.
    made = f"{moment.year:04d}-{moment.strftime(spelling).partition('-')[2]}"
    return text if made == text else made
