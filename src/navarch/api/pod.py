# SPDX-License-Identifier: GPL-3.0-or-later
"""The Pod kind. Its parts are in podspec, podstatus, container and the files beside them."""

from __future__ import annotations

from typing import Annotated

from navarch.api.fields import field, needed, wire
from navarch.api.meta import Object
from navarch.api.podspec import PodSpec
from navarch.api.podstatus import PodStatus
from navarch.api.reference import ObjectReference
from navarch.api.scheme import Kind


class Pod(Object):
    """Containers that run together on one node."""

    spec: Annotated[PodSpec | None, wire(2, "What the pod should be.")] = field("spec", None)
    status: Annotated[PodStatus | None, wire(3, "What the pod is, as its node last said.")] = field(
        "status", None
    )


class Binding(Object):
    """Puts a pod on a node."""

    target: Annotated[ObjectReference, wire(2, "The node.", required=True)] = needed(
        "target", ObjectReference()
    )


POD = Kind(
    Pod,
    resource="pods",
    categories=("all",),
    short_names=("po",),
    namespaced=True,
    subresources=("status", "log", "exec", "attach", "portforward", "binding", "eviction"),
)
