# SPDX-License-Identifier: GPL-3.0-or-later
"""References to other objects: by name in the same namespace, by kind and name, or in full."""

from typing import Annotated

from navarch.api.machinery.fields import Struct, field, needed, wire


class LocalObjectReference(Struct):
    """An object in the same namespace, by name."""

    atomic = True
    name: Annotated[str | None, wire(1, "Name of the object.")] = field("name", None)


class ObjectReference(Struct):
    """Any object, in as much detail as the writer knows."""

    atomic = True
    kind: Annotated[str | None, wire(1, "Kind of the object.")] = field("kind", None)
    namespace: Annotated[str | None, wire(2, "Namespace of the object.")] = field("namespace", None)
    name: Annotated[str | None, wire(3, "Name of the object.")] = field("name", None)
    uid: Annotated[str | None, wire(4, "UID of the object.")] = field("uid", None)
    api_version: Annotated[str | None, wire(5, "API version of the object.")] = field("apiVersion", None)
    resource_version: Annotated[str | None, wire(6, "Version of the object the reference was made for.")] = (
        field("resourceVersion", None)
    )
    field_path: Annotated[
        str | None, wire(7, "Part of the object that is meant, such as spec.containers{name}.")
    ] = field("fieldPath", None)


class TypedLocalObjectReference(Struct):
    """An object of a given kind in the same namespace."""

    atomic = True
    api_group: Annotated[str | None, wire(1, "Group of the kind; absent for the core group.")] = field(
        "apiGroup", None
    )
    kind: Annotated[str, wire(2, "Kind of the object.", required=True)] = needed("kind", "")
    name: Annotated[str, wire(3, "Name of the object.", required=True)] = needed("name", "")


class TypedObjectReference(Struct):
    """An object of a given kind, possibly in another namespace."""

    api_group: Annotated[str | None, wire(1, "Group of the kind; absent for the core group.")] = field(
        "apiGroup", None
    )
    kind: Annotated[str, wire(2, "Kind of the object.", required=True)] = needed("kind", "")
    name: Annotated[str, wire(3, "Name of the object.", required=True)] = needed("name", "")
    namespace: Annotated[str | None, wire(4, "Namespace of the object; absent for the referrer's own.")] = (
        field("namespace", None)
    )
