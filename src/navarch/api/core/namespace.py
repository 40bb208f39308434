# SPDX-License-Identifier: GPL-3.0-or-later
"""The Namespace kind: a scope for names."""

from typing import Annotated, Any

from msgspec.structs import replace

from navarch.api.machinery import names
from navarch.api.machinery.columns import AGE, NAME
from navarch.api.machinery.durations import age
from navarch.api.machinery.errors import (
    ErrorList,
    FieldError,
    invalid,
)
from navarch.api.machinery.fields import Struct, field, needed, wire
from navarch.api.machinery.meta import Object, Time
from navarch.api.machinery.scheme import Column, Kind, Rules


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


#: Holds a namespace until its contents are gone.
FINALIZER = "kubernetes"
#: The label with the name, so that selectors can name a namespace (KEP-2161).
NAME_LABEL = "kubernetes.io/metadata.name"


class NamespaceRules(Rules[Namespace]):
    name_rule = staticmethod(names.label)

    def default(self, obj: Namespace) -> Namespace:
        name = obj.metadata.name
        labels = obj.metadata.labels or {}
        if not name or labels.get(NAME_LABEL) == name:
            return obj
        return replace(obj, metadata=replace(obj.metadata, labels={**labels, NAME_LABEL: name}))

    def prepare_create(self, obj: Namespace) -> Namespace:
        finalizers = list((obj.spec.finalizers if obj.spec is not None else None) or ())
        if FINALIZER not in finalizers:
            finalizers.append(FINALIZER)
        return replace(obj, spec=NamespaceSpec(finalizers=finalizers), status=NamespaceStatus(phase="Active"))

    def validate(self, obj: Namespace) -> list[FieldError]:
        errors = ErrorList()
        for i, finalizer in enumerate((obj.spec.finalizers if obj.spec is not None else None) or ()):
            path = f"spec.finalizers[{i}]"
            if wrong := names.qualified(finalizer):
                errors.append(invalid(path, finalizer, wrong))
            elif "/" not in finalizer and finalizer not in (FINALIZER, "orphan", "foregroundDeletion"):
                detail = "name is neither a standard finalizer name nor is it fully qualified"
                errors.append(invalid(path, finalizer, detail))
        return errors

    def prepare_update(self, new: Namespace, old: Namespace) -> Namespace:
        """Finalizers change through the subresource finalize alone."""
        return replace(new, spec=old.spec, status=old.status)

    def spec_changed(self, new: Namespace, old: Namespace) -> bool:
        return False

    def validate_status(self, new: Namespace, old: Namespace) -> list[FieldError]:
        phase = new.status.phase if new.status is not None else None
        if old.metadata.deletion_timestamp:
            if phase != "Terminating":
                detail = "may only be 'Terminating' if `deletionTimestamp` is not empty"
                return [invalid("status.phase", phase, detail)]
        elif phase != "Active":
            return [invalid("status.phase", phase, "may only be 'Active' if `deletionTimestamp` is empty")]
        return []


def cells(obj: Namespace, now: float) -> list[Any]:
    phase = obj.status.phase if obj.status is not None else None
    return [obj.metadata.name or "", phase or "", age(obj.metadata.creation_timestamp, now)]


NAMESPACE = Kind(
    Namespace,
    resource="namespaces",
    short_names=("ns",),
    namespaced=False,
    verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
    subresources=("status", "finalize"),
    columns=(NAME, Column("Status", description="Active or Terminating."), AGE),
    cells=cells,
    fields={"status.phase": lambda o: (o.status.phase if o.status is not None else None) or ""},
    rules=NamespaceRules(),
)
