# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Laying one manifest over another by the rules of a strategic merge patch, without a cluster.

Belongs here: merging. Not here: what is different from what (``diff``, whose merge keys are used here).
"""

from __future__ import annotations

import typing as t

from .._api.errors import OptionError
from .diff import members_by_key

Object = t.Dict[str, t.Any]
DIRECTIVE = "$patch"
_KNOWN = ("delete", "merge", "replace")
#: What else a strategic merge patch may say beside the fields, and is not followed here.
_UNFOLLOWED = ("$deleteFromPrimitiveList/", "$retainKeys", "$setElementOrder/")


def merge_objects(layers: t.Sequence[t.Sequence[Object]]) -> list[Object]:
    """The objects of all layers, those of later ones laid over the same ones of earlier ones. Raises
    OptionError for what is not followed, lest it do nothing."""
    found: dict[tuple[str, ...], Object] = {}
    for layer in layers:
        for item in layer:
            key = _identity(item)
            _check(item, "%s %s" % (item["kind"], key[-1]))
            if item.get(DIRECTIVE) == "delete":
                found.pop(key, None)
            else:
                found[key] = merged(found[key], item) if key in found else without_directives(item)
    return list(found.values())


def merged(base: t.Any, over: t.Any, name: str = "") -> t.Any:
    """``base`` with ``over`` laid over it. Neither is changed."""
    if isinstance(base, dict) and isinstance(over, dict):
        if over.get(DIRECTIVE) == "delete":
            return {}  # as the API does: what takes the key away too is null
        if over.get(DIRECTIVE) == "replace":
            return without_directives(over)
        made = dict(base)
        for key, value in over.items():
            if value is None:
                made.pop(key, None)
            elif key in made:
                made[key] = merged(made[key], value, key)
            elif key != DIRECTIVE and not _deletes(value):
                made[key] = without_directives(value)
        return made
    if isinstance(base, list) and isinstance(over, list):
        return _merged_list(base, over, name)
    return without_directives(over)


def without_directives(value: t.Any) -> t.Any:
    """A value that is laid over nothing: what would only take away has nothing to do."""
    if isinstance(value, dict):
        return {
            key: without_directives(item)
            for key, item in value.items()
            if key != DIRECTIVE and item is not None and not _deletes(item)
        }
    if isinstance(value, list):
        kept = [item for item in value if not _deletes(item)]
        return [without_directives(item) for item in kept if not _only_directive(item)]
    return value


def _merged_list(base: list[t.Any], over: list[t.Any], name: str) -> list[t.Any]:
    if any(_only_directive(item) and item[DIRECTIVE] == "replace" for item in over):
        return t.cast("list[t.Any]", without_directives(over))
    there, new = members_by_key(name, base), members_by_key(name, over)
    if not new and any(map(_deletes, over)):
        raise OptionError(name, "its members are not told apart by a key: none of them can be deleted")
    if not there or not new:
        return t.cast("list[t.Any]", without_directives(over))
    for key, item in new.items():
        if _deletes(item):
            there.pop(key, None)
        else:
            there[key] = merged(there[key], item) if key in there else without_directives(item)
    return list(there.values())


def _check(value: t.Any, where: str) -> None:
    if isinstance(value, list):
        for at, item in enumerate(value):
            _check(item, "%s[%d]" % (where, at))
    elif isinstance(value, dict):
        if value.get(DIRECTIVE, "merge") not in _KNOWN:
            told = "must be of %s, not %r" % (", ".join(_KNOWN), value[DIRECTIVE])
            raise OptionError("%s.%s" % (where, DIRECTIVE), told)
        for key, item in value.items():
            if str(key).startswith(_UNFOLLOWED):
                raise OptionError("%s.%s" % (where, key), "is not supported")
            _check(item, "%s.%s" % (where, key))


def _deletes(item: t.Any) -> bool:
    return isinstance(item, dict) and item.get(DIRECTIVE) == "delete"


def _only_directive(item: t.Any) -> bool:
    return isinstance(item, dict) and set(item) == {DIRECTIVE}


def _identity(item: Object) -> tuple[str, ...]:
    metadata = item["metadata"]
    group = item["apiVersion"].rpartition("/")[0]
    return (group, item["kind"], str(metadata.get("namespace") or ""), str(metadata["name"]))
