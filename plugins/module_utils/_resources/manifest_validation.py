# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a document must be like to be sent: objects, complete enough to be named, of what JSON has."""

from __future__ import annotations

import datetime
import math
import typing as t

from .._api.errors import OptionError
from .redaction import in_base64

Object = t.Dict[str, t.Any]


def objects_in(document: t.Any, where: str) -> list[Object]:
    if isinstance(document, (list, tuple)):
        return [item for part in document for item in objects_in(part, where)]
    if not isinstance(document, dict):
        raise OptionError(where, "not an object of the API but %s" % _called(document))
    if isinstance(document.get("items"), list) and str(document.get("kind", "")).endswith("List"):
        return [item for part in document["items"] for item in objects_in(part, where)]
    for key in ("apiVersion", "kind"):
        if not isinstance(document.get(key), str) or not document[key]:
            raise OptionError(where, "an object needs %s" % key)
    metadata = document.get("metadata")
    named = isinstance(metadata, dict) and metadata.get("name") not in (None, "")
    if not named and not (isinstance(metadata, dict) and metadata.get("generateName")):
        raise OptionError(where, "%s needs metadata.name" % document["kind"])
    title = "%s: %s %s" % (where, document["kind"], called(metadata))
    _check(document, title)
    try:
        made: Object = _json(_with_base64(document))
    except _Unsendable as problem:
        stray = problem.part
        at = _path_to(document, lambda part: part is stray)
        raise OptionError(title, "%s is %s, which no object can hold" % (at, _called(stray))) from None
    except RecursionError:
        at = _path_to(document, lambda part: False)
        raise OptionError(title, "%s is nested too deeply, or refers to what it is in" % at) from None
    if named:
        made["metadata"]["name"] = str(metadata["name"])
    return [made]


def called(metadata: t.Mapping[str, t.Any]) -> str:
    """The name of an object for a person, also where the cluster is to make it."""
    return str(metadata.get("name") or "%s*" % metadata.get("generateName"))


def _check(item: Object, title: str) -> None:
    """That an object has the shape of which the rest of this collection makes use; the rest is the API's."""
    metadata = item["metadata"]
    _must(title, "metadata.name", metadata.get("name"), str, int)
    _must(title, "metadata.generateName", metadata.get("generateName"), str)
    _must(title, "metadata.namespace", metadata.get("namespace"), str)
    for key in ("labels", "annotations"):
        _must(title, "metadata." + key, metadata.get(key), dict)
    if item["kind"] == "Secret":
        for key in ("data", "stringData"):
            _must(title, key, item.get(key), dict)
            for name, value in (item.get(key) or {}).items():
                _must(title, "%s.%s" % (key, name), value, str, bytes)
    if item["kind"] == "CustomResourceDefinition":
        _must(title, "spec", item.get("spec"), dict)
        _must(title, "spec.names", (item.get("spec") or {}).get("names"), dict)


def _must(title: str, path: str, value: t.Any, *types: type) -> None:
    if value is None or (isinstance(value, types) and not isinstance(value, bool)):
        return
    wanted = "a mapping" if types[0] is dict else "text"
    hint = " (quote it)" if wanted == "text" and isinstance(value, (bool, int, float, datetime.date)) else ""
    raise OptionError(title, "%s must be %s, not %s%s" % (path, wanted, _called(value), hint))


def _called(value: t.Any) -> str:
    """What kind of thing a value is; the value itself may be a secret."""
    for kind, name in _CALLED:
        if isinstance(value, kind):
            return name
    return "nothing" if value is None else "of type %s" % type(value).__name__


_CALLED: tuple[tuple[t.Any, str], ...] = (
    (bool, "a boolean"),
    ((int, float), "a number"),
    (str, "text"),
    (bytes, "binary data"),
    (dict, "a mapping"),
    ((list, tuple), "a list"),
    ((set, frozenset), "a set"),
    (datetime.date, "a time"),
)


class _Unsendable(Exception):
    """Holds what JSON does not have."""

    def __init__(self, part: t.Any) -> None:
        super().__init__()
        self.part = part


def _path_to(value: t.Any, wrong: t.Callable[[t.Any], bool], above: tuple[int, ...] = ()) -> str | None:
    """Where in a value something wrong is, or something that it is itself in, or too deep to look at."""
    pairs: t.Iterable[tuple[t.Any, t.Any]] = ()
    if isinstance(value, dict):
        pairs = ((".%s" % key, part) for key, part in value.items())
    elif isinstance(value, (list, tuple)):
        pairs = (("[%d]" % number, part) for number, part in enumerate(value))
    above = (*above, id(value))
    for step, part in pairs:
        if wrong(part) or id(part) in above or len(above) > 100:
            return step.lstrip(".") if len(above) == 1 else step
        found = _path_to(part, wrong, above)
        if found is not None:
            return (step.lstrip(".") if len(above) == 1 else step) + found
    return None


def encoded_secret(item: Object) -> Object:
    """A Secret as the API will keep it: ``stringData`` is only a way to write ``data``."""
    if item.get("kind") != "Secret" or not isinstance(item.get("stringData"), dict):
        return item
    data = dict(item.get("data") or {})
    for key, value in item["stringData"].items():
        data[key] = None if value is None else in_base64(value)
    return dict({key: value for key, value in item.items() if key != "stringData"}, data=data)


def _with_base64(item: Object) -> Object:
    """An object whose binary data, which YAML can hold, is where the API wants it in base64."""
    field = {"Secret": "data", "ConfigMap": "binaryData"}.get(item["kind"], "")
    given = item.get(field)
    if not isinstance(given, dict):
        return encoded_secret(item)
    data = {key: in_base64(part) if isinstance(part, bytes) else part for key, part in given.items()}
    return encoded_secret(dict(item, **{field: data}))


def _json(value: t.Any) -> t.Any:
    """What YAML reads as more than JSON has, as JSON would have it. Raises _Unsendable."""
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, dict):
        return {_json_key(key): _json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(item) for item in value]
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, datetime.datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, datetime.date):
        return value.isoformat()
    raise _Unsendable(value)


def _json_key(key: t.Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)
