# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents of any size for every list and map of every kind, and how time grows with their size."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from navarch.api.builtin import scheme
from navarch.api.machinery import shapes
from navarch.api.machinery.scheme import Kind

#: What an answer may cost whatever its growth; seconds of processor time.
_CHEAP = 0.4


class Place(NamedTuple):
    """A list or map somewhere in a kind."""

    kind: Kind[Any]
    #: Wire names from the root on; every list or map on the way has one element.
    path: tuple[str, ...]
    field: shapes.Field

    def __str__(self) -> str:
        return f"{self.kind.resource}:{'.'.join(self.path)}"


def places() -> list[Place]:
    """Every list and map that the types of the kinds declare, each in the first kind that has it."""
    found: dict[tuple[Any, str], Place] = {}
    for kind in scheme():
        for owner, path, field in _walk(shapes.shape(kind.type), (), ()):
            if owner.__name__ != "Object" or path[0] != "metadata":
                found.setdefault((owner, field.name), Place(kind, path, field))
    return list(found.values())


def _walk(
    shape: shapes.Shape, path: tuple[str, ...], above: tuple[Any, ...]
) -> Iterator[tuple[Any, tuple[str, ...], shapes.Field]]:
    if shape.struct is None or shape.struct in above:
        return
    for name, field in shapes.fields(shape.struct).items():
        inner = field.shape
        if inner.form in ("list", "map"):
            yield shape.struct, (*path, name), field
        while inner.element is not None:
            inner = inner.element
        yield from _walk(inner, (*path, name), (*above, shape.struct))


def value(field: shapes.Field, i: int, *, same: bool = False) -> Any:
    """An element: distinct by its number, or (same) as bare as it may be."""
    return _value(field.shape.element or shapes.Shape("any"), i, field.format, same)


_SCALARS: dict[str, Callable[[int], Any]] = {
    "string": lambda i: f"a{i}",
    "integer": lambda i: i + 1,
    "number": lambda i: i + 1,
    "boolean": lambda i: bool(i % 2),
    "bytes": lambda i: "YQ==",
    "quantity": lambda i: str(i + 1),
    "int-or-string": lambda i: i + 1,
    "any": lambda i: {"a": i},
}


def _value(shape: shapes.Shape, i: int, format: str, same: bool) -> Any:
    if shape.form == "list":
        return [_value(shape.element or shapes.Shape("any"), i, format, same)]
    if shape.form == "map":
        return {f"a{i}": _value(shape.element or shapes.Shape("any"), i, format, same)}
    if shape.struct is None:
        if format in ("date-time", "micro-time"):
            return "2026-01-31T12:00:00Z"
        return _SCALARS[shape.form](0 if same else i)
    if same:
        return {}
    known = shapes.fields(shape.struct)
    wanted = [f for f in known.values() if f.required or f.name in ("name", "type", "key", "ip", "port")]
    return {
        f.name: _value(f.shape, i, f.format, False)
        for f in wanted or list(known.values())[:1]
        if f.shape.struct is None and f.shape.form not in ("list", "map")
    }


def document(place: Place, inner: Any) -> dict[str, Any]:
    """A document of the kind that has `inner` at the place, and a little around it."""
    kind = place.kind
    made: dict[str, Any] = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": "a"}}
    at: Any = made
    shape = shapes.shape(kind.type)
    for name in place.path[:-1]:
        field = shapes.fields(shape.struct)[name] if shape.struct else shapes.Field(name, shape)
        shape = field.shape
        step: Any = at.setdefault(name, {}) if shape.form == "struct" else None
        if step is None:
            step = value(field, 0)
            step = step if type(step) is dict else {}
            at[name] = [step] if shape.form == "list" else {"a": step}
        while shape.element is not None:
            shape = shape.element
        at = step
    at[place.path[-1]] = inner
    return made


def sized(place: Place, n: int, *, same: bool = False, first: int = 0) -> bytes:
    """The encoded document with n elements, numbered from `first` on."""
    elements = _elements(place.field.shape, place.field.format, n, same, first)
    return msgspec.json.encode(document(place, msgspec.Raw(elements)))


@lru_cache(maxsize=48)
def _elements(shape: shapes.Shape, format: str, n: int, same: bool, first: int) -> bytes:
    """Elements in JSON. Most places share their elements' type with others: they are made once."""
    element = shape.element or shapes.Shape("any")
    made = [_value(element, i, format, same) for i in range(first, first + n)]
    if shape.form == "map":
        return msgspec.json.encode({f"a{i}": item for i, item in enumerate(made, first)})
    return msgspec.json.encode(made)


def most(place: Place, limit: int, body: int, *, same: bool = False) -> int:
    """How many elements fit into a body, `limit` at most."""
    one = value(place.field, limit, same=same)
    if place.field.shape.form == "map":
        one = {f"a{limit}": one}
    return min(limit, body // (len(msgspec.json.encode(one)) + 1))


def seconds(run: Callable[[], object], times: int = 1) -> float:
    """Processor time, the least of several runs. Without the collector, whose rounds go over all that the
    tests' process holds, and come when they come.
    """
    best = float("inf")
    gc.disable()
    try:
        for _ in range(times):
            start = time.process_time()
            run()
            best = min(best, time.process_time() - start)
    finally:
        gc.enable()
    return best


def growth(prepare: Callable[[int], Callable[[], object]], n: int, ratio: float) -> str:
    """What is wrong with how the time of `prepare(n)()` grows; empty when nothing is.

    First a sixteenth of it, so that what is quadratic is found before it takes minutes.
    """
    for size in (n // 16, n):
        took = seconds(prepare(size))
        if took <= _CHEAP:
            continue
        half = seconds(prepare(size // 2))
        if took > ratio * half:
            took, half = seconds(prepare(size), 3), seconds(prepare(size // 2), 3)
        if took > ratio * half:
            return f"{size // 2} elements: {half:.2f} s, {size} elements: {took:.2f} s"
    return ""


def rules(place: Place) -> tuple[Any, ...]:
    """What merging and applying look at: places that agree in it are one to them."""
    field = place.field
    element = field.shape.element
    return (
        field.shape.form, field.list_type, len(field.merge_key), field.strategy,
        element.form if element is not None else "",
    )  # fmt: skip
