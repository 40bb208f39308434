# SPDX-License-Identifier: GPL-3.0-or-later
"""The wire types as data.

A struct's fields with their wire names, numbers, forms and merge rules, read once per struct.

What walks generic documents beside the types (strict checks, protobuf, patches, OpenAPI) looks here; nothing
here looks at documents.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

import msgspec

Form = Literal[
    "string",
    "integer",
    "number",
    "boolean",
    "bytes",
    "quantity",
    "int-or-string",
    "any",
    "struct",
    "list",
    "map",
]


class Shape(msgspec.Struct, frozen=True):
    """What a value looks like. `struct` for struct, `element` for lists and maps (whose keys are strings)."""

    form: Form
    struct: type[msgspec.Struct] | None = None
    element: Shape | None = None


class Field(msgspec.Struct, frozen=True):
    """One field of a struct, with what `fields.wire` says beside it."""

    name: str
    shape: Shape
    number: int = 0
    description: str = ""
    merge_key: tuple[str, ...] = ()
    list_type: str = ""
    strategy: str = ""
    format: str = ""
    required: bool = False
    optional: bool = False


_SCALARS: dict[Any, Form] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    bytes: "bytes",
    Any: "any",
    object: "any",
    msgspec.Raw: "any",
}
_UNIONS: dict[frozenset[Any], Form] = {
    frozenset({str, int, float}): "quantity",
    frozenset({int, str}): "int-or-string",
}


def _shape(type_: Any) -> Shape:
    if hasattr(type_, "__metadata__"):
        return _shape(get_args(type_)[0])
    origin = get_origin(type_)
    if origin in (Union, types.UnionType):
        rest = [a for a in get_args(type_) if a is not type(None)]
        if len(rest) == 1:
            return _shape(rest[0])
        form = _UNIONS.get(frozenset(rest))
        return Shape(form or "any")
    if origin in (list, tuple):
        return Shape("list", element=_shape(get_args(type_)[0]))
    if origin in (dict, Mapping):
        element = _shape(get_args(type_)[1])
        return Shape("map", element=element)
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        return Shape("struct", struct=type_)
    if origin is Literal:
        return Shape("string")
    try:
        return Shape(_SCALARS[type_])
    except (KeyError, TypeError):
        raise TypeError(f"{type_!r} has no place in a wire type") from None


@cache
def shape(type_: Any) -> Shape:
    """The shape of an annotation. Raises TypeError for what cannot be on the wire."""
    return _shape(type_)


def _field(info: msgspec.structs.FieldInfo) -> Field:
    extra: dict[str, Any] = {}
    description = ""
    for meta in getattr(info.type, "__metadata__", ()):
        if isinstance(meta, msgspec.Meta):
            extra = meta.extra or {}
            description = meta.description or ""
    return Field(
        name=info.encode_name,
        shape=_shape(info.type),
        number=extra.get("number", 0),
        description=description,
        merge_key=extra.get("merge_key", ()),
        list_type=extra.get("list_type", ""),
        strategy=extra.get("strategy", ""),
        format=extra.get("format", ""),
        required=extra.get("required", False),
        optional=extra.get("optional", False),
    )


@cache
def fields(struct: type[msgspec.Struct]) -> dict[str, Field]:
    """The fields of a struct by wire name, in declared order."""
    return {f.name: f for f in map(_field, msgspec.structs.fields(struct))}
