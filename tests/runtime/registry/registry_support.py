# SPDX-License-Identifier: GPL-3.0-or-later
"""Small kinds of the tests' own, and short ways to call a registry.

Real kinds are used where a test is about them.
"""

from __future__ import annotations

from typing import Annotated, Any

import pytest

from navarch.api.core.namespace import NAMESPACE
from navarch.api.machinery.errors import FieldError, StatusError, invalid
from navarch.api.machinery.fields import Struct, field, wire
from navarch.api.machinery.meta import DeleteOptions, Object, ObjectMeta
from navarch.api.machinery.scheme import Kind, Rules, Scheme
from navarch.auth.user import User
from navarch.registry.context import Context, Stored
from navarch.registry.query import Query
from navarch.registry.registry import Registry

ADMIN = User("admin", ("system:masters",))


class WidgetSpec(Struct):
    size: Annotated[int | None, wire(1, "How big.")] = field("size", None)
    node: Annotated[str | None, wire(2, "Where it is.")] = field("node", None)
    parts: Annotated[
        list[Part] | None, wire(3, "Parts.", merge_key="name", list_type="map", strategy="merge")
    ] = field("parts", None)


class Part(Struct):
    name: Annotated[str, wire(1, "Name.")] = field("name", "")
    colour: Annotated[str | None, wire(2, "Colour.")] = field("colour", None)


class WidgetStatus(Struct):
    phase: Annotated[str | None, wire(1, "State.")] = field("phase", None)
    observed_generation: Annotated[int | None, wire(2, "Generation it is about.")] = field(
        "observedGeneration", None
    )


class Widget(Object):
    spec: Annotated[WidgetSpec | None, wire(2, "Wanted.")] = field("spec", None)
    status: Annotated[WidgetStatus | None, wire(3, "Seen.")] = field("status", None)


class WidgetRules(Rules[Widget]):
    """Widgets have 30 s to end, as pods have; one without a node ends at once."""

    def default(self, obj: Widget) -> Widget:
        spec = obj.spec or WidgetSpec()
        return replace(obj, spec=replace(spec, size=1)) if spec.size is None else obj

    def prepare_create(self, obj: Widget) -> Widget:
        return replace(obj, status=WidgetStatus(phase="New"))

    def prepare_update(self, new: Widget, old: Widget) -> Widget:
        return replace(new, status=old.status)

    def validate(self, obj: Widget) -> list[FieldError]:
        assert obj.spec is not None
        assert obj.spec.size is not None
        return [invalid("spec.size", obj.spec.size, "must not be negative")] if obj.spec.size < 0 else []

    def warnings(self, obj: Widget) -> list[str]:
        return ["spec.size 13 is unlucky"] if obj.spec and obj.spec.size == 13 else []

    def grace_period(self, obj: Widget, requested: int | None) -> int:
        if obj.spec is None or not obj.spec.node:
            return 0
        return 30 if requested is None else requested


WIDGET = Kind(
    Widget,
    resource="widgets",
    group="test.navarch.io",
    subresources=("status",),
    fields={
        "spec.node": lambda w: (w.spec and w.spec.node) or "",
        "status.phase": lambda w: (w.status and w.status.phase) or "",
    },
    rules=WidgetRules(),
)


class Note(Object):
    """Cluster-scoped, with nothing but data; its writes are heartbeats when it says so."""

    data: Annotated[dict[str, str] | None, wire(2, "Text.")] = field("data", None)


class NoteRules(Rules[Note]):
    create_on_update = True


NOTE = Kind(
    Note,
    resource="notes",
    group="test.navarch.io",
    namespaced=False,
    rules=NoteRules(),
    volatile=lambda n: bool(n.data and "beat" in n.data),
)


class Question(Object):
    data: Annotated[dict[str, str] | None, wire(2, "What is asked and answered.")] = field("data", None)


QUESTION = Kind(
    Question, resource="questions", group="test.navarch.io", namespaced=False, verbs=("create",), stored=False
)

SCHEME = Scheme([WIDGET, NOTE, QUESTION, NAMESPACE])


def replace(obj: Any, **changes: Any) -> Any:
    import msgspec

    return msgspec.structs.replace(obj, **changes)


def ctx(user: User = ADMIN, **options: Any) -> Context:
    return Context(user, **options)


def widget(name: str = "w", *, size: int | None = None, node: str | None = None, **meta: Any) -> Widget:
    return Widget(metadata=ObjectMeta(name=name, **meta), spec=WidgetSpec(size=size, node=node))


async def make(registry: Registry, obj: Widget | None = None, **options: Any) -> Widget:
    """A stored widget in `default`."""
    obj = obj if obj is not None else widget(**options)
    made: Widget = (await registry.create(WIDGET, "default", obj, ctx())).obj
    return made


def stored(registry: Registry, name: str = "w", namespace: str | None = "default") -> Widget:
    return WIDGET.decode(registry.get(WIDGET, namespace, name, ctx()).value)


def gone(registry: Registry, name: str = "w") -> bool:
    return not registry.list(WIDGET, Query("default"), ctx()).entries or all(
        not e.key.endswith(f"/{name}") for e in registry.list(WIDGET, Query("default"), ctx()).entries
    )


async def delete(registry: Registry, name: str = "w", **options: Any) -> Stored:
    return await registry.delete(WIDGET, "default", name, DeleteOptions(**options), ctx())


def names(entries: Any) -> list[str]:
    return [entry.key.rpartition("/")[2] for entry in entries]


class refused:
    """`with refused(409, "Conflict", "has been modified"):` the StatusError that must come."""

    def __init__(self, code: int, reason: str, message: str = "") -> None:
        self.code, self.reason, self.text = code, reason, message
        self.error: StatusError | None = None

    def __enter__(self) -> refused:
        return self

    def __exit__(self, type: Any, value: Any, traceback: Any) -> bool:
        if value is None:
            pytest.fail(f"nothing was refused; want {self.code} {self.reason}")
        if not isinstance(value, StatusError):
            return False
        self.error = value
        assert (value.code, value.reason) == (self.code, self.reason), value.message
        assert self.text in value.message
        return True
