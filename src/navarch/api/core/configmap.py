# SPDX-License-Identifier: GPL-3.0-or-later
"""The ConfigMap kind: configuration that pods read, as text or bytes by key."""

from collections.abc import Mapping
from typing import Annotated, Any

from navarch.api.machinery import names
from navarch.api.machinery.durations import age
from navarch.api.machinery.errors import (
    ErrorList,
    FieldError,
    cut,
    forbidden,
    invalid,
)
from navarch.api.machinery.fields import field, wire
from navarch.api.machinery.meta import Object
from navarch.api.machinery.scheme import Column, Kind, Rules

#: Bytes of all values together.
MAX_SIZE = 1024 * 1024


class ConfigMap(Object):
    """Configuration for pods: values by key."""

    data: Annotated[dict[str, str] | None, wire(2, "Text by key.")] = field("data", None)
    binary_data: Annotated[
        dict[str, bytes] | None, wire(3, "Bytes by key, for what is not text.", format="byte")
    ] = field("binaryData", None)
    immutable: Annotated[bool | None, wire(4, "Whether data may never change again.", optional=True)] = field(
        "immutable", None
    )


def key_errors(path: str, data: Mapping[str, Any] | None) -> list[FieldError]:
    """What is wrong with the keys of a map that pods see as files or variables."""
    found = ErrorList()
    found += (invalid(f"{path}[{cut(key)}]", key, why) for key in data or () if (why := names.data_key(key)))
    return found


def size_errors(path: str, *maps: Mapping[str, str | bytes] | None) -> list[FieldError]:
    size = 0
    for data in maps:
        for value in (data or {}).values():
            size += len(value.encode()) if isinstance(value, str) else len(value)
    if size <= MAX_SIZE:
        return []
    return [FieldError(path, "FieldValueTooLong", f"may not be more than {MAX_SIZE} bytes")]


class ConfigMapRules(Rules[ConfigMap]):
    def validate(self, obj: ConfigMap) -> list[FieldError]:
        found = ErrorList()
        found += key_errors("data", obj.data) + key_errors("binaryData", obj.binary_data)
        found += (
            invalid(f"binaryData[{cut(key)}]", key, f"duplicate of key present in data[{cut(key)}]")
            for key in obj.binary_data or ()
            if key in (obj.data or ())
        )
        return found + size_errors("data", obj.data, obj.binary_data)

    def validate_update(self, new: ConfigMap, old: ConfigMap) -> list[FieldError]:
        if not old.immutable:
            return []
        why = "field is immutable when `immutable` is set"
        found = [] if new.immutable else [forbidden("immutable", why)]
        if (new.data or {}) != (old.data or {}):
            found.append(forbidden("data", why))
        if (new.binary_data or {}) != (old.binary_data or {}):
            found.append(forbidden("binaryData", why))
        return found


def _cells(obj: ConfigMap, now: float) -> list[Any]:
    count = len(obj.data or ()) + len(obj.binary_data or ())
    return [obj.metadata.name, count, age(obj.metadata.creation_timestamp, now)]


CONFIG_MAP = Kind(
    ConfigMap,
    resource="configmaps",
    short_names=("cm",),
    columns=(
        Column("Name", format="name", description="Name of the object."),
        Column("Data", type="integer", description="How many keys it has."),
        Column("Age", description="Time since it was created."),
    ),
    cells=_cells,
    rules=ConfigMapRules(),
)
