# SPDX-License-Identifier: GPL-3.0-or-later
"""Timestamps in bodies of clients: every RFC 3339 spelling is accepted, one is stored.

Client libraries spell UTC in their own ways (`+00:00`, fractions); everybody who reads must find the one that
typed clients know. Which fields are times stands beside them (`format` of `fields.wire`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC
from functools import cache
from typing import Any, TypeVar

import msgspec

from navarch.api.machinery import shapes
from navarch.api.machinery.errors import bad_request
from navarch.api.machinery.meta import parse_time

S = TypeVar("S", bound=msgspec.Struct)

#: What needs no closer look. Days that not every month has do.
_SECOND = r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d"
_FORMATS = {
    "date-time": (re.compile(rf"{_SECOND}Z", re.ASCII).fullmatch, "%Y-%m-%dT%H:%M:%SZ"),
    "micro-time": (re.compile(rf"{_SECOND}\.\d{{6}}Z", re.ASCII).fullmatch, "%Y-%m-%dT%H:%M:%S.%fZ"),
}


#: Spellings that were fine: the same second comes many times over.
_known: set[str] = set()
_KNOWN = 4096

#: Attribute, wire name, form of what holds times further in, format of what is a time.
_Place = tuple[str, str, shapes.Form, str]


class _NoTime(Exception):
    """Carries the path, from the inside out, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text
        self.path = ""


@cache
def _places(struct: type[msgspec.Struct]) -> tuple[_Place, ...]:
    """Where times can be; what holds none is not walked."""
    return _found(struct, frozenset())


def _found(struct: type[msgspec.Struct], above: frozenset[type]) -> tuple[_Place, ...]:
    found: list[_Place] = []
    for info, field in zip(msgspec.structs.fields(struct), shapes.fields(struct).values(), strict=True):
        shape = field.shape
        if field.format in _FORMATS:
            found.append((info.name, field.name, shape.form, field.format))
            continue
        inner = shape.struct or (shape.element.struct if shape.element is not None else None)
        if inner is not None and inner not in above and _found(inner, above | {struct}):
            found.append((info.name, field.name, shape.form, ""))
    return tuple(found)


def canonical(obj: S) -> S:
    """The object with its times in the one spelling; itself when they are already.

    Raises StatusError 400 for what is no time, with the field's path.
    """
    try:
        return _canonical(obj)
    except _NoTime as wrong:
        what = f"{wrong.path}: {wrong.text[:100]!r}"
        raise bad_request(f"{what} is not a time such as 2026-01-31T12:00:00Z") from None


def _canonical(obj: S) -> S:
    changes: dict[str, Any] | None = None
    for attribute, name, form, format in _places(type(obj)):
        value = getattr(obj, attribute)
        if value is None or (format == "date-time" and value in _known):
            continue
        made: Any
        try:
            if format:
                made = _spelled(value, format)
            elif form == "list":
                made = _all(value, enumerate(value))
            elif form == "map":
                made = _all(value, value.items())
            else:
                made = _canonical(value)
        except _NoTime as wrong:
            dot = "." if wrong.path and wrong.path[0] != "[" else ""
            wrong.path = f"{name}{dot}{wrong.path}"
            raise
        if made is not value:
            changes = changes or {}
            changes[attribute] = made
    return obj if changes is None else msgspec.structs.replace(obj, **changes)


def _all(whole: Any, items: Iterable[tuple[Any, Any]]) -> Any:
    """A list or map of objects; the same one when nothing changed."""
    copy: Any = None
    for key, item in items:
        try:
            made = _canonical(item)
        except _NoTime as wrong:
            wrong.path = f"[{key}].{wrong.path}"
            raise
        if made is not item:
            copy = whole.copy() if copy is None else copy
            copy[key] = made
    return whole if copy is None else copy


def _spelled(text: str, format: str) -> str:
    plain, spelling = _FORMATS[format]
    if plain(text):
        if format == "date-time":
            if len(_known) >= _KNOWN:
                _known.clear()
            _known.add(text)
        return text
    try:
        moment = parse_time(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _NoTime(text) from None
    # strftime leaves the zeros of early years out.
    made = f"{moment.year:04d}-{moment.strftime(spelling).partition('-')[2]}"
    return text if made == text else made
