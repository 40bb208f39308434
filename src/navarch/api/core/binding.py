# SPDX-License-Identifier: GPL-3.0-or-later
"""The Binding kind: puts a pod on a node. Posted to pods/binding (or bindings); nothing of it is stored."""

from typing import Annotated

from navarch.api.core.reference import ObjectReference
from navarch.api.machinery.errors import (
    ErrorList,
    FieldError,
    not_supported,
    required,
)
from navarch.api.machinery.fields import field, wire
from navarch.api.machinery.meta import Object
from navarch.api.machinery.scheme import Kind, Rules


class Binding(Object):
    """Puts the pod of the same name on a node."""

    target: Annotated[ObjectReference, wire(2, "The node that the pod goes to.", required=True)] = field(
        "target", ObjectReference()
    )


class BindingRules(Rules[Binding]):
    def validate(self, obj: Binding) -> list[FieldError]:
        found = ErrorList()
        if obj.target.kind not in (None, "", "Node"):
            found.append(not_supported("target.kind", obj.target.kind, ["Node", "<empty>"]))
        if not obj.target.name:
            found.append(required("target.name"))
        return found


BINDING = Kind(Binding, resource="bindings", verbs=("create",), rules=BindingRules(), stored=False)
