# SPDX-License-Identifier: GPL-3.0-or-later
"""The Namespace kind: a scope for names."""

from __future__ import annotations

from typing import Annotated

from navarch.api.fields import Struct, field, needed, wire
from navarch.api.meta import Object, Time
from navarch.api.scheme import Kind


class NamespaceSpec(Struct):
    """What a namespace should be."""

    finalizers: Annotated[
        list[str] | None, wire(1, "Must be empty before the namespace is removed.", list_type="atomic")
    ] = field("finalizers", None)


class NamespaceCondition(Struct):
    """One condition of a namespace."""

    type: Annotated[str, wire(1, "Name of the condition.", required=True)] = needed("type", "")
    status: Annotated[str, wire(2, "True, False or Unknown.", required=True)] = needed("status", "")
    last_transition_time: Annotated[
        Time | None, wire(4, "When the status last changed.", format="date-time")
    ] = field("lastTransitionTime", None)
    reason: Annotated[str | None, wire(5, "Why, as one CamelCase word.")] = field("reason", None)
    message: Annotated[str | None, wire(6, "Why, for people.")] = field("message", None)


class NamespaceStatus(Struct):
    """What a namespace is."""

    phase: Annotated[str | None, wire(1, "Active or Terminating.")] = field("phase", None)
    conditions: Annotated[
        list[NamespaceCondition] | None,
        wire(2, "What keeps the namespace from ending.", merge_key="type", list_type="map", strategy="merge"),
    ] = field("conditions", None)


class Namespace(Object):
    """A scope for names."""

    spec: Annotated[NamespaceSpec | None, wire(2, "What the namespace should be.")] = field("spec", None)
    status: Annotated[NamespaceStatus | None, wire(3, "What the namespace is.")] = field("status", None)


NAMESPACE = Kind(
    Namespace,
    resource="namespaces",
    short_names=("ns",),
    namespaced=False,
    subresources=("status", "finalize"),
)
