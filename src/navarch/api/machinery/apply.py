# SPDX-License-Identifier: GPL-3.0-or-later
"""Server-side apply on generic documents: merge what a manager applies, and remove the fields that it applied
before and that no manager applies now.

Lists and maps merge as their fields declare (`fieldset.granular`). No function changes its input.
"""

from __future__ import annotations

from typing import Any

from navarch.api.machinery import fieldset, shapes
from navarch.api.machinery.fieldset import Tree


def merged(shape: shapes.Shape, live: dict[str, Any], applied: dict[str, Any]) -> dict[str, Any]:
    """The live document with every value of the applied one."""
    made = dict(live)
    for name, value in applied.items():
        if value is not None:
            made[name] = _merged(fieldset.member(shape, name), live.get(name), value)
    return made


def _merged(field: shapes.Field, live: Any, applied: Any) -> Any:
    # Only where both are empty is there nothing to merge: an empty map or list asks for nothing, and leaves
    # what others have in it (structured-merge-diff, typed/merge.go).
    if type(live) is not type(applied) or not (live or applied) or not fieldset.granular(field):
        return applied
    if type(applied) is dict:
        return merged(field.shape, live, applied)
    if type(applied) is not list:
        return applied
    # Plain writes may leave elements with equal keys. A manager that does not apply them leaves all of them.
    was: dict[str, list[Any]] = {}
    for item in live:
        was.setdefault(fieldset.path_element(field, item), []).append(item)
    is_ = fieldset.elements(field, applied)
    inner = fieldset.element(field)
    items = was | {k: [_merged(inner, was[k][0], v) if k in was else v] for k, v in is_.items()}
    # In the applied order; what only the live list has stays behind what it stood behind.
    behind: dict[str, list[str]] = {}
    before = ""
    for name in was:
        if name in is_:
            before = name
        else:
            behind.setdefault(before, []).append(name)
    order = [*behind.get("", ()), *(n for name in is_ for n in (name, *behind.get(name, ())))]
    return [item for name in order for item in items[name]]


def without(shape: shapes.Shape, document: dict[str, Any], gone: Tree) -> dict[str, Any]:
    """The document without the members of a set; a member goes with all that is in it."""
    made = {}
    for name, value in document.items():
        node = gone.get(f"f:{name}")
        if node is None:
            made[name] = value
        elif "." not in node:
            made[name] = _without(fieldset.member(shape, name), value, node)
    return made


def _without(field: shapes.Field, value: Any, gone: Tree) -> Any:
    if type(value) is dict:
        return without(field.shape, value, gone)
    if type(value) is not list:
        return value
    inner = fieldset.element(field)
    made = []
    for item in value:
        node = gone.get(fieldset.path_element(field, item))
        if node is None:
            made.append(item)
        elif "." not in node:
            made.append(_without(inner, item, node))
    return made
