# SPDX-License-Identifier: GPL-3.0-or-later
"""How a wire type is declared: the base struct and what stands beside every field.

A field says its exact wire name, its protobuf number, what it is for, and how patches merge it:

    class ContainerPort(Struct):
        container_port: Annotated[int, wire(3, "Port the process listens on, 1-65535.", required=True)] =
        field("containerPort", 0)
        host_ip: Annotated[str | None, wire(5, "Node address to bind.")] = field("hostIP", None)

Rules:
* Every struct is frozen and keyword-only; a changed object is `msgspec.structs.replace(obj, ...)`.
* An absent field is None (scalars, structs) or the empty tuple/dict is *not* used: optional lists and maps
  are `None` too, so that
  what was not sent is not answered. Read them with `or ()` / `or {}`.
* Lists are `list[...]`; no code changes one in place.
* Every field has a default, also one the reference requires (`required=True`, default "" or 0): a missing
  field is the
  validation's 422 with its path, not a decoding error.
* `null` on the wire means absent.
* A required field for which "" or 0 or false is a sound value is declared with `needed`, so that it is
  always sent.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, dataclass_transform

import msgspec

ListType = Literal["atomic", "set", "map"]


# No field specifiers: to a type checker `= field(...)` is then simply the default that every field has.
@dataclass_transform(frozen_default=True, kw_only_default=True)
class Struct(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """Base of all wire types.

    A struct that inherits another one's fields (Volume: VolumeSource, Probe: ProbeHandler) is flat in JSON;
    in protobuf the
    inherited fields travel in a message of their own, whose field number `embedded` says.
    """

    embedded: ClassVar[tuple[int, type[Struct]] | None] = None
    #: Whether server-side apply takes it as one value (x-kubernetes-map-type: atomic), not field by field.
    atomic: ClassVar[bool] = False


def wire(
    number: int,
    description: str,
    *,
    merge_key: str | tuple[str, ...] | None = None,
    list_type: ListType | None = None,
    strategy: Literal["merge", "replace", "retainKeys", "merge,retainKeys"] | None = None,
    format: str | None = None,
    required: bool = False,
    optional: bool = False,
) -> msgspec.Meta:
    """What stands beside a field, as `Annotated` metadata.

    number: protobuf field number of the reference's generated.proto (0: not in protobuf).
    description: one sentence of our own for OpenAPI and `kubectl explain`.
    merge_key: wire name(s) that identify a list's elements (x-kubernetes-list-map-keys; the first is the
    patch merge key).
    list_type: x-kubernetes-list-type; "atomic" on a map is its x-kubernetes-map-type.
    strategy: x-kubernetes-patch-strategy.
    format: OpenAPI format where the type does not say it (int32, int64, byte, date-time, int-or-string,
    quantity).
    required: listed as required in the published schema although a Python default exists.
    optional: a pointer to a scalar in the reference's types. In protobuf its zero is a value, not absence.
    """
    extra: dict[str, Any] = {"number": number}
    if merge_key is not None:
        extra["merge_key"] = (merge_key,) if isinstance(merge_key, str) else merge_key
    if list_type is not None:
        extra["list_type"] = list_type
    if strategy is not None:
        extra["strategy"] = strategy
    if format is not None:
        extra["format"] = format
    if required:
        extra["required"] = True
    if optional:
        extra["optional"] = True
    return msgspec.Meta(description=description, extra=extra)


def field(name: str, default: Any) -> Any:
    """A field with its exact wire name and what it is when it was not sent."""
    return msgspec.field(name=name, default=default)


def needed(name: str, default: Any) -> Any:
    """A field that is sent also when it has its default: typed clients refuse a status without `ready` or
    `restartCount`."""
    if isinstance(default, list):
        # Not `list` itself: msgspec knows it for a default and would omit an empty one.
        return msgspec.field(name=name, default_factory=lambda: [])  # noqa: PIE807
    return msgspec.field(name=name, default_factory=lambda: default)
