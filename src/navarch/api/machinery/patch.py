# SPDX-License-Identifier: GPL-3.0-or-later
"""The three patches on generic documents.

JSON merge patch (RFC 7386), JSON patch (RFC 6902), strategic merge patch.

Strategic merge patch follows the merge keys and strategies that stand beside the fields. No function changes
its input; what is wrong with a patch is a StatusError 400 or 422. Whether the result is a valid object is the
caller's question.
"""

from __future__ import annotations

import copy
from typing import Any, Literal

import msgspec

from navarch.api.machinery import keyedlist, shapes
from navarch.api.machinery.errors import StatusError, bad_request, cut

#: Operations of one JSON patch, and bytes that its copies may add: bounds against small patches that make
#: huge documents.
MAX_OPERATIONS = 10_000
MAX_COPIED = 3 * 1024 * 1024
#: How often a strategic merge patch may name one element: each time the element is copied.
MAX_REPEATED = 8

#: Characters of a path in an error.
_PATH = 1024

PatchType = Literal["merge", "json", "strategic"]

_DIRECTIVE = "$patch"
_RETAIN = "$retainKeys"
_ORDER = "$setElementOrder/"
_DELETE = "$deleteFromPrimitiveList/"


def _unprocessable(why: str) -> StatusError:
    return StatusError(422, "Invalid", f"the patch cannot be applied: {why}")


def apply(struct: type[msgspec.Struct], document: Any, patch: Any, type: PatchType) -> Any:
    """The document with the patch applied. Raises StatusError 400, 413, 422."""
    match type:
        case "merge":
            return merge_patch(document, patch)
        case "json":
            return json_patch(document, patch)
        case "strategic":
            return strategic_merge_patch(struct, document, patch)


def merge_patch(document: Any, patch: Any) -> Any:
    """RFC 7386. Raises StatusError 400 for absurd nesting."""
    try:
        return _merge(document, patch)
    except RecursionError:
        raise bad_request("the patch is nested too deeply") from None


def _merge(document: Any, patch: Any) -> Any:
    if type(patch) is not dict:
        return patch
    made = dict(document) if type(document) is dict else {}
    for key, value in patch.items():
        if value is None:
            made.pop(key, None)
        else:
            made[key] = _merge(made.get(key), value)
    return made


def json_patch(document: Any, operations: Any) -> Any:
    """RFC 6902.

    Raises StatusError 400 for what is no patch, 422 for one that does not fit the document, 413 for too many.
    """
    import jsonpatch  # rarely needed
    import jsonpointer

    if type(operations) is not list:
        raise bad_request("a JSON patch is an array of operations")
    if len(operations) > MAX_OPERATIONS:
        raise StatusError(
            413,
            "RequestEntityTooLarge",
            f"a JSON patch may have {MAX_OPERATIONS} operations at most, this one has {len(operations)}",
        )
    copied = 0
    try:
        made = copy.deepcopy(document)
    except RecursionError:
        raise bad_request("the object is nested too deeply") from None
    for at, operation in enumerate(operations):
        try:
            if type(operation) is dict and operation.get("op") == "copy":
                source = jsonpointer.resolve_pointer(made, operation.get("from", ""))
                copied += len(msgspec.json.encode(source))
                if copied > MAX_COPIED:
                    raise _unprocessable(f"its copy operations add more than {MAX_COPIED} bytes")
            made = jsonpatch.JsonPatch([operation]).apply(made, in_place=True)
        except jsonpatch.InvalidJsonPatch as e:
            raise bad_request(f"the body is not a JSON patch: {e}") from None
        except jsonpatch.JsonPatchTestFailed:
            raise _unprocessable(f"{_operation(at, operation)}: the tested value is not there") from None
        except RecursionError:
            raise bad_request("the patch is nested too deeply") from None
        except (
            jsonpatch.JsonPatchException,
            jsonpointer.JsonPointerException,
            # The library trusts the types of an operation's members and of what it walks through.
            TypeError,
            AttributeError,
            KeyError,
            IndexError,
            ValueError,
        ):
            raise _unprocessable(f"{_operation(at, operation)}: no such place in the object") from None
    return made


def _operation(at: int, operation: Any) -> str:
    """Which operation, in the patch's own words alone: who may patch an object need not be allowed to read
    it, and the library's messages quote it.
    """
    if type(operation) is not dict:
        return f"operation {at}"
    parts = [str(operation.get("op"))]
    parts += [str(operation[name]) for name in ("from", "path") if name in operation]
    return f"operation {at} ({' '.join(parts)[:200]})"


def strategic_merge_patch(struct: type[msgspec.Struct], document: Any, patch: Any) -> Any:
    """Kubernetes' own merge: lists with a merge key are merged element by element.

    Raises StatusError 400, 422.
    """
    if type(patch) is not dict:
        raise bad_request("a strategic merge patch is an object")
    try:
        return _object(shapes.shape(struct), document if type(document) is dict else {}, patch, "")
    except RecursionError:
        raise bad_request("the patch is nested too deeply") from None


def _field(shape: shapes.Shape, name: str) -> shapes.Field:
    """What merges under this key: a field of a struct, or the element of a map."""
    if shape.struct is not None:
        known = shapes.fields(shape.struct).get(name)
        if known is not None:
            return known
    elif shape.form == "map" and shape.element is not None:
        return shapes.Field(name, shape.element)
    return shapes.Field(name, shapes.Shape("any"))


def _directive(patch: dict[str, Any], path: str) -> str:
    found = patch.get(_DIRECTIVE, "merge")
    if found not in ("merge", "replace", "delete"):
        raise bad_request(f"{path or 'patch'}: unknown patch type {found!r}: want merge, replace or delete")
    return str(found)


def _plain(value: Any) -> Any:
    """A patch's value as a document: without nulls and directives."""
    if type(value) is dict:
        return {k: _plain(v) for k, v in value.items() if v is not None and not k.startswith("$")}
    if type(value) is list:
        return [
            _plain(v) for v in value if type(v) is not dict or v.get(_DIRECTIVE) not in ("delete", "replace")
        ]
    return value


def _list(value: Any, path: str) -> list[Any]:
    if type(value) is not list:
        raise bad_request(f"{path}: the patch directive wants a list")
    return value


def _object(
    shape: shapes.Shape, document: dict[str, Any], patch: dict[str, Any], path: str
) -> dict[str, Any]:
    directive = _directive(patch, path)
    if directive == "replace":
        replaced: dict[str, Any] = _plain(patch)
        return replaced
    if directive == "delete":
        return {}
    made = dict(document)
    if _RETAIN in patch:
        retained = {k for k in _list(patch[_RETAIN], f"{path}.{_RETAIN}") if type(k) is str}
        made = {k: v for k, v in made.items() if k in retained}
    orders: dict[str, list[Any]] = {}
    for key, value in patch.items():
        place = f"{cut(path, _PATH)}.{cut(key)}" if path else cut(key)
        if key.startswith(_ORDER):
            orders[key[len(_ORDER) :]] = _list(value, place)
        elif key.startswith(_DELETE):
            gone = set(map(keyedlist.token, _list(value, place)))
            name = key[len(_DELETE) :]
            if type(made.get(name)) is list:
                made[name] = [v for v in made[name] if keyedlist.token(v) not in gone]
        elif key in (_DIRECTIVE, _RETAIN):
            continue
        elif value is None:
            made.pop(key, None)
        else:
            made[key] = _value(_field(shape, key), made.get(key), value, place)
    for name, order in orders.items():
        if type(made.get(name)) is list:
            before = document.get(name)
            field = _field(shape, name)
            made[name] = _ordered(field, made[name], order, before if type(before) is list else [])
    return made


def _value(field: shapes.Field, old: Any, new: Any, path: str) -> Any:
    replace = "replace" in field.strategy
    if type(new) is dict:
        if replace:
            return _plain(new)
        return _object(field.shape, old if type(old) is dict else {}, new, path)
    if type(new) is list:
        if replace or "merge" not in field.strategy:
            return _plain(new)
        before = old if type(old) is list else []
        if field.merge_key:
            return _merge_objects(field, before, new, path)
        known = set(map(keyedlist.token, before))
        made = list(before)
        for item in new:
            token = keyedlist.token(item)
            if token not in known:
                known.add(token)
                made.append(item)
        return made
    return new


def _merge_objects(field: shapes.Field, old: list[Any], new: list[Any], path: str) -> list[Any]:
    """Merge two lists of objects by the merge key."""
    key = field.merge_key[0]
    element = field.shape.element or shapes.Shape("any")
    if any(type(v) is dict and v.get(_DIRECTIVE) == "replace" for v in new):
        kept = [v for v in new if not (type(v) is dict and v.get(_DIRECTIVE) == "replace")]
        return [_plain(v) for v in kept]
    made = keyedlist.KeyedList(old, field.merge_key)
    for i, item in enumerate(new):
        place = f"{path}[{i}]"
        if type(item) is not dict:
            raise bad_request(f"{place}: expected object")
        if key not in item:
            raise _unprocessable(f"{place} does not contain the declared merge key: {key}")
        if _directive(item, place) == "delete":
            made.remove(item)
            continue
        at = made.find(item)
        if at is None:
            made.append(_object(element, {}, item, place))
            continue
        if made.put(at, _object(element, made.items[at], item, place)) > MAX_REPEATED:
            raise _unprocessable(f"{place}: the patch names one element more than {MAX_REPEATED} times")
    return made.present()


def _ordered(field: shapes.Field, items: list[Any], order: list[Any], before: list[Any]) -> list[Any]:
    """Elements the patch names come in its order; the others keep their places relative to before."""
    wanted = keyedlist.Ranks(order, field.merge_key)
    earlier = keyedlist.Ranks(before, field.merge_key)
    ranked = [(wanted.of(v), v) for v in items]
    named = [v for _, v in sorted((pair for pair in ranked if pair[0] >= 0), key=lambda pair: pair[0])]
    others = [v for rank, v in ranked if rank < 0]
    made: list[Any] = []
    i = j = 0
    while i < len(others) and j < len(named):
        left, right = earlier.of(others[i]), earlier.of(named[j])
        if left >= 0 and right >= 0 and left < right:
            made.append(others[i])
            i += 1
        else:
            made.append(named[j])
            j += 1
    return made + named[j:] + others[i:]
