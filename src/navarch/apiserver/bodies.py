# SPDX-License-Identifier: GPL-3.0-or-later
"""Types that are only sent through subresources and never stored: Binding, Eviction, Scale."""

from __future__ import annotations

from typing import Annotated

from navarch.api.fields import Struct, field, wire
from navarch.api.meta import DeleteOptions, Object


class Target(Struct):
    """Where a pod goes: as much of an ObjectReference as matters here."""

    kind: Annotated[str | None, wire(1, "Node.")] = field("kind", None)
    name: Annotated[str | None, wire(3, "Name of the node.")] = field("name", None)
    api_version: Annotated[str | None, wire(5, "v1.")] = field("apiVersion", None)


class Binding(Object):
    target: Annotated[Target, wire(2, "The node the pod is bound to.", required=True)] = field(
        "target", Target()
    )


class Eviction(Object):
    delete_options: Annotated[DeleteOptions | None, wire(2, "How the pod is deleted.")] = field(
        "deleteOptions", None
    )


class ScaleSpec(Struct):
    replicas: Annotated[int | None, wire(1, "Wanted number of replicas.", format="int32")] = field(
        "replicas", None
    )


class ScaleStatus(Struct):
    replicas: Annotated[int, wire(1, "Number of replicas there are.", format="int32", required=True)] = field(
        "replicas", 0
    )
    selector: Annotated[str | None, wire(2, "Label selector of the replicas, as a string.")] = field(
        "selector", None
    )


class Scale(Object):
    spec: Annotated[ScaleSpec | None, wire(2, "What is wanted.")] = field("spec", None)
    status: Annotated[ScaleStatus | None, wire(3, "What there is.")] = field("status", None)
