# SPDX-License-Identifier: GPL-3.0-or-later
"""References to an object: as the controller of its dependents, and as what an event is about."""

from __future__ import annotations

from navarch.api.builtin import scheme
from navarch.api.machinery.meta import Object, OwnerReference
from navarch.client.events import Reference


def controller_reference(obj: Object) -> OwnerReference:
    """What a dependent bears: this object manages it, and a foreground deletion waits for it."""
    kind = scheme().of(type(obj))
    return OwnerReference(
        api_version=kind.api_version,
        kind=kind.kind,
        name=obj.metadata.name or "",
        uid=obj.metadata.uid or "",
        controller=True,
        block_owner_deletion=True,
    )


def event_reference(obj: Object) -> Reference:
    kind = scheme().of(type(obj))
    meta = obj.metadata
    return Reference(
        kind=kind.kind,
        api_version=kind.api_version,
        namespace=meta.namespace or "",
        name=meta.name or "",
        uid=meta.uid or "",
    )


def controller_of(obj: Object) -> OwnerReference | None:
    """The owner that manages the object."""
    return next((owner for owner in obj.metadata.owner_references or () if owner.controller), None)
