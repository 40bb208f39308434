# SPDX-License-Identifier: GPL-3.0-or-later
"""Field sets: the fields of an object that a manager owns, as server-side apply keeps them.

A set is a tree of path elements: `f:name` a field, `k:{"name":"web"}` an element of a keyed list, `v:"x"` an
element of a set; a node that is itself in the set has the member `.`. On the wire (FieldsV1) a node that has
nothing but that member is written `{}`. (meta/v1 FieldsV1; KEP-555.)

Here: the sets, and how a typed document falls into such paths. Not here: merging documents (`api.apply`),
whose set is whose (`registry.managed_fields`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec

from navarch.api.machinery import shapes
from navarch.api.machinery.errors import LIMIT, cut

#: A set of paths; see above.
Tree = dict[str, Any]

_MEMBER = "."
_LEAF: Tree = {_MEMBER: {}}
#: Keys of list elements that may be left out, and what they are then.
_KEY_DEFAULTS = {"protocol": "TCP"}

_encode = msgspec.json.Encoder(order="sorted").encode


# The algebra. No function changes its input.


def union(a: Tree, b: Tree) -> Tree:
    made = dict(a)
    for key, node in b.items():
        made[key] = union(made[key], node) if key in made else node
    return made


def difference(a: Tree, b: Tree) -> Tree:
    made: Tree = {}
    for key, node in a.items():
        if key not in b:
            made[key] = node
        elif key != _MEMBER and (rest := difference(node, b[key])):
            made[key] = rest
    return made


def intersection(a: Tree, b: Tree) -> Tree:
    made: Tree = {}
    for key, node in a.items():
        if key not in b:
            continue
        if key == _MEMBER:
            made[key] = {}
        elif both := intersection(node, b[key]):
            made[key] = both
    return made


def with_ancestors(a: Tree) -> Tree:
    """The set and every node above its members."""
    return {key: {_MEMBER: {}, **with_ancestors(node)} for key, node in a.items() if key != _MEMBER}


def paths(a: Tree, above: str = "") -> Iterator[str]:
    """The members as people read them: `.spec.containers[name="web"].image`."""
    for key, node in a.items():
        if key != _MEMBER:
            place = above + _spoken(key)
            if _MEMBER in node:
                yield place
            yield from paths(node, place)


def _spoken(element: str) -> str:
    form, _, text = element.partition(":")
    if form == "f":
        return f".{text}"
    if form == "k":
        return "[" + ",".join(f"{k}={json.dumps(v)}" for k, v in json.loads(text).items()) + "]"
    return f"[={text}]"


def to_wire(a: Tree) -> Tree:
    """As FieldsV1."""
    return {key: {} if node == _LEAF else to_wire(node) for key, node in a.items()}


def from_wire(value: Any) -> Tree:
    """A FieldsV1 document as a set. Raises ValueError for what is none."""
    if type(value) is not dict:
        raise ValueError("a field set is an object")
    made: Tree = {}
    for key, node in value.items():
        if key == _MEMBER:
            made[key] = {}
        elif key[:2] in ("f:", "k:", "v:", "i:"):
            made[key] = from_wire(node) or _LEAF
        else:
            raise ValueError(f"{key!r} is no path element")
    return made


# Typed documents.


def granular(field: shapes.Field) -> bool:
    """Whether the parts of a field's value have owners of their own."""
    shape = field.shape
    if shape.form == "list":
        return field.list_type in ("set", "map")
    if field.list_type == "atomic":
        return False
    if shape.form == "struct":
        return not getattr(shape.struct, "atomic", False)
    return shape.form == "map"


def member(shape: shapes.Shape, name: str) -> shapes.Field:
    """What stands under a key of an object of this shape."""
    if shape.struct is not None:
        return shapes.fields(shape.struct).get(name) or shapes.Field(name, shapes.Shape("any"))
    return shapes.Field(name, shape.element or shapes.Shape("any"))


def element(field: shapes.Field) -> shapes.Field:
    """What a keyed list holds."""
    return shapes.Field(field.name, field.shape.element or shapes.Shape("any"))


def path_element(field: shapes.Field, item: Any) -> str:
    """Where an element of a set or a keyed list stands."""
    if field.list_type == "set" or type(item) is not dict:
        return "v:" + _encode(item).decode()
    keys = {k: item.get(k, _KEY_DEFAULTS.get(k)) for k in field.merge_key}
    return "k:" + _encode({k: v for k, v in keys.items() if v is not None}).decode()


def elements(field: shapes.Field, items: list[Any]) -> dict[str, Any]:
    """A set's or a keyed list's elements by path element; of elements with one key the first."""
    made: dict[str, Any] = {}
    for item in items:
        made.setdefault(path_element(field, item), item)
    return made


def untyped(shape: shapes.Shape, document: dict[str, Any]) -> list[str]:
    """What of a document has no place in a set: fields that its shape has not, elements of keyed lists that
    cannot be told apart. In structured-merge-diff's words, which clients show.
    """
    found = _untyped(shapes.Field("", shape), document, "")
    return [f"{path}: {why}" for path, why in islice(found, LIMIT)]


def _untyped(field: shapes.Field, value: Any, path: str) -> Iterator[tuple[str, str]]:
    shape = field.shape
    if type(value) is dict:
        known = shapes.fields(shape.struct) if shape.struct is not None else None
        for name, inner in value.items():
            if known is not None and name not in known:
                yield f"{path}.{cut(name)}", "field not declared in schema"
            else:
                yield from _untyped(member(shape, name), inner, f"{path}.{cut(name)}")
    elif type(value) is list and shape.form == "list":
        inner_field, seen = element(field), set()
        for i, item in enumerate(value):
            place = f"[{i}]"
            if granular(field):
                if missing := _missing_key(field, item):
                    yield path, f"element {i}: associative list with keys has an element that {missing}"
                    continue
                key = path_element(field, item)
                place = cut(_spoken(key))
                if key in seen:
                    yield path, f"duplicate entries for key {place}"
                    continue
                seen.add(key)
            yield from _untyped(inner_field, item, path + place)


def _missing_key(field: shapes.Field, item: Any) -> str:
    """Why an element has no unique key. Keys that the reference does not require have a default."""
    struct = element(field).shape.struct
    if struct is None or type(item) is not dict:
        return ""
    known = shapes.fields(struct)
    for key in field.merge_key:
        if key not in item and key not in _KEY_DEFAULTS and known[key].required:
            return f"omits key field {json.dumps(key)} (and doesn't have default value)"
    return ""


def of_value(field: shapes.Field, value: Any) -> Tree:
    """What of a field's value can be owned; the field itself, where its value has no parts."""
    if not value or not granular(field):
        return _LEAF
    if type(value) is list:
        made: Tree = {}
        for name, item in elements(field, value).items():
            inner = of_value(element(field), item) if field.list_type == "map" else {}
            made[name] = {_MEMBER: {}, **inner}
        return made
    if type(value) is dict:
        return of_document(field.shape, value)
    return _LEAF


def of_document(shape: shapes.Shape, document: dict[str, Any]) -> Tree:
    """All that a document of this shape says."""
    made: Tree = {}
    for name, value in document.items():
        if value is None:
            continue
        node = of_value(member(shape, name), value)
        made[f"f:{name}"] = node if shape.struct is not None else {_MEMBER: {}, **node}
    return made


def compare(shape: shapes.Shape, old: dict[str, Any], new: dict[str, Any]) -> tuple[Tree, Tree]:
    """(what was set or changed, what went) from one document to the other."""
    changed: Tree = {}
    gone: Tree = {}
    for name in old.keys() | new.keys():
        field = member(shape, name)
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        key = f"f:{name}"
        if before is None:
            made = of_value(field, after)
            changed[key] = made if shape.struct is not None else {_MEMBER: {}, **made}
        elif after is None:
            made = of_value(field, before)
            gone[key] = made if shape.struct is not None else {_MEMBER: {}, **made}
        else:
            more, less = _compare_values(field, before, after)
            if more:
                changed[key] = more
            if less:
                gone[key] = less
    return changed, gone


def _compare_values(field: shapes.Field, old: Any, new: Any) -> tuple[Tree, Tree]:
    if not granular(field) or type(old) is not type(new):
        return _LEAF, {}
    if type(old) is dict:
        return compare(field.shape, old, new)
    if type(old) is not list:
        return _LEAF, {}
    changed: Tree = {}
    gone: Tree = {}
    was, is_ = elements(field, old), elements(field, new)
    inner = element(field)
    for name in was.keys() | is_.keys():
        if name not in was:
            changed[name] = {_MEMBER: {}, **(of_value(inner, is_[name]) if field.list_type == "map" else {})}
        elif name not in is_:
            gone[name] = {_MEMBER: {}, **(of_value(inner, was[name]) if field.list_type == "map" else {})}
        elif was[name] != is_[name]:
            more, less = _compare_values(inner, was[name], is_[name])
            if more:
                changed[name] = more
            if less:
                gone[name] = less
    return changed, gone
