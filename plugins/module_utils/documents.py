# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manifests: from text, files and folders to objects that can be sent, in the order in which they are needed.

Belongs here: reading and checking documents. Not here: any talk with the cluster (``apply``).
"""

from __future__ import annotations

import base64
import binascii
import datetime
import glob
import math
import os
import typing as t

from . import yamltext
from .errors import ClusterError, OptionError
from .kubeconfig import read_file
from .lastapplied import ANNOTATION
from .transport import HAS_REQUESTS, innermost

if HAS_REQUESTS:
    import requests

Object = t.Dict[str, t.Any]
SUFFIXES = (".json", ".yaml", ".yml")
FETCH_SECONDS = 30
HIDDEN = "hidden"
CHANGED_HIDDEN = "hidden (other than before)"
#: What is no secret of a Secret, beside its metadata.
_OPEN = frozenset(("apiVersion", "kind", "type", "immutable"))
#: What others need comes first. A kind that is not named is in the fifth group, the last but one.
_ORDER: tuple[frozenset[str], ...] = (
    frozenset(("Namespace",)),
    frozenset(("CustomResourceDefinition",)),
    frozenset(
        (
            "ClusterRole",
            "ClusterRoleBinding",
            "ConfigMap",
            "LimitRange",
            "PersistentVolume",
            "PersistentVolumeClaim",
            "PriorityClass",
            "ResourceQuota",
            "Role",
            "RoleBinding",
            "RuntimeClass",
            "Secret",
            "ServiceAccount",
            "StorageClass",
        )
    ),
    frozenset(("Service",)),
    frozenset(),
    frozenset(("APIService", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")),
)


def gather(params: t.Mapping[str, t.Any]) -> list[Object]:
    """All objects that the options ``definition`` and ``src`` hold, each one complete enough to be named."""
    if params.get("template"):
        raise OptionError(
            "template", "templates are rendered on the controller, by this collection's action plugin"
        )
    found = from_definition(params.get("definition"))
    for path in params.get("src") or []:
        found += from_source(path, bool(params.get("recurse")))
    seen: set[tuple[str, ...]] = set()
    for item in found:
        metadata = item["metadata"]
        namespace = metadata.get("namespace") or params.get("namespace") or ""
        key = (item["apiVersion"].rpartition("/")[0], item["kind"], namespace, metadata["name"])
        if key in seen:
            raise OptionError("definition", "%s %s comes twice" % (item["kind"], metadata["name"]))
        seen.add(key)
    return found


def from_source(source: str, recurse: bool, read: t.Callable[[str], str] | None = None) -> list[Object]:
    """The objects in a file, in files of a folder or of a pattern, or at an address. ``read`` (path) gives
    the text of a file where that is more than its content.
    """
    if source.startswith(("http://", "https://")):
        return from_text(_fetched(source), "src %s" % source)
    found: list[Object] = []
    for file in _files(os.path.expanduser(source), recurse):
        text = read(file) if read else read_file(file, "src")
        found += from_text(text, "src %s" % file)
    return found


def from_definition(value: t.Any) -> list[Object]:
    """The objects in one value: a text of documents, an object, or a list of such things."""
    if value is None:
        return []
    if isinstance(value, str):
        return from_text(value, "definition")
    if isinstance(value, (list, tuple)):
        return [item for part in value for item in from_definition(part)]
    return _objects(value, "definition")


def in_order(items: t.Sequence[Object], backwards: bool = False) -> list[list[Object]]:
    """Groups of objects, none of which needs a later one."""
    groups = [[item for item in items if rank(item) == number] for number in range(len(_ORDER))]
    return [group for group in (reversed(groups) if backwards else groups) if group]


def secret_values(params: t.Mapping[str, t.Any]) -> set[str]:
    """What is secret in the task's own options, so that it is not shown, also where they are wrong.

    Not what is part of the names of its objects too: those are told, and without them a result says nothing.
    """
    given = params.get("definition")
    try:
        found = _secrets_in(given)
        names = "\n".join(_identities(given)) if found else ""
    except RecursionError:
        return set()  # it is refused before anything of it is said
    return {text for text in found if text not in names}


def shown_definition(value: t.Any) -> t.Any:
    """The option ``definition`` as it may be shown: of Secrets only the keys, of texts nothing.

    A secret may be written in a text in many ways, of which only the parser of YAML knows all.
    """
    if isinstance(value, str):
        return "a text of %d lines" % len(value.splitlines())
    if isinstance(value, (list, tuple)):
        return [shown_definition(part) for part in value]
    if not isinstance(value, dict):
        return value
    if is_secret(value):
        return {key: _shown_part(key, part) for key, part in value.items()}
    members = _members(value)
    return dict(value, items=shown_definition(members)) if members else value


def _shown_part(key: str, part: t.Any) -> t.Any:
    if key in _OPEN and isinstance(part, (str, bool)):
        return part
    if not isinstance(part, dict):
        return HIDDEN
    if key == "metadata":
        return {name: text if name != "annotations" else _shown_part("", text) for name, text in part.items()}
    return dict.fromkeys(part, HIDDEN)


def is_secret(item: Object) -> bool:
    """Whether an object is a Secret, or was meant to be one: what it holds is not shown then either."""
    kind = str(item.get("kind")).lower()
    return kind in ("secret", "secrets") or any(str(key).lower() == "stringdata" for key in item)


def _secrets_in(value: t.Any) -> set[str]:
    if isinstance(value, str):
        plain = value.lower()
        if "secret" not in plain and "stringdata" not in plain and "\\" not in plain:
            return set()
        try:
            return _secrets_in(yamltext.manifests(value, "definition"))
        except ClusterError:
            return {value}  # nobody knows what in it is secret
    if isinstance(value, (list, tuple)):
        return {text for part in value for text in _secrets_in(part)}
    if not isinstance(value, dict):
        return set()
    if is_secret(value):
        return texts_of_secret(value)
    return _secrets_in(_members(value))


def _identities(value: t.Any) -> t.Iterator[str]:
    """What the objects of a task are called."""
    if isinstance(value, str):
        try:
            value = yamltext.manifests(value, "definition")
        except ClusterError:
            return
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from _identities(part)
    elif isinstance(value, dict):
        metadata = value.get("metadata")
        named = metadata if isinstance(metadata, dict) else {}
        parts = (value.get("apiVersion"), value.get("kind"), named.get("name"), named.get("namespace"))
        yield from (str(part) for part in parts if part)
        yield from _identities(_members(value))


def _members(value: Object) -> list[t.Any]:
    """What is in a list of the API. Members of one of Secrets may not say what they are."""
    items = value.get("items")
    if not isinstance(items, (list, tuple)):
        return []
    if str(value.get("kind")).lower() != "secretlist":
        return list(items)
    return [dict({"kind": "Secret"}, **item) if isinstance(item, dict) else item for item in items]


def texts_of_secret(item: Object) -> set[str]:
    """All values of a Secret, as they are and in base64, and what kubectl has kept of it."""
    found: set[str] = set()
    for key, part in item.items():
        if key == "metadata" or (key in _OPEN and not isinstance(part, (dict, list))):
            continue
        for text in leaves(part):
            found |= {text, text.strip(), _base64(text)}
            try:
                found.add(base64.b64decode(text).decode("utf-8"))
            except (binascii.Error, ValueError):
                pass
    metadata = item.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    if isinstance(annotations, dict) and annotations.get(ANNOTATION):
        text = str(annotations[ANNOTATION])
        found |= {text} | _secrets_in(text)
    return {text for text in found if text}


def leaves(value: t.Any) -> t.Iterator[str]:
    """The texts and numbers in a value, however deep."""
    if isinstance(value, dict):
        for part in value.values():
            yield from leaves(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from leaves(part)
    elif isinstance(value, bytes):
        yield value.decode("utf-8", "surrogateescape")
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _base64(value: str | bytes) -> str:
    raw = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    return base64.b64encode(raw).decode("ascii")


def encoded_secret(item: Object) -> Object:
    """A Secret as the API will keep it: ``stringData`` is only a way to write ``data``."""
    if item.get("kind") != "Secret" or not isinstance(item.get("stringData"), dict):
        return item
    data = dict(item.get("data") or {})
    for key, value in item["stringData"].items():
        data[key] = None if value is None else _base64(value)
    return dict({key: value for key, value in item.items() if key != "stringData"}, data=data)


def without_secrets(item: Object | None, before: Object | None = None) -> Object | None:
    """An object as it may be shown: the values of a Secret are not, only whether they are others."""
    if not item or item.get("kind") != "Secret":
        return item
    was = (before or {}).get("data") or {}
    annotations = item["metadata"].get("annotations") or {}
    if ANNOTATION in annotations:  # kubectl keeps all of a Secret there
        kept = {key: value for key, value in annotations.items() if key != ANNOTATION}
        item = dict(item, metadata=dict(item["metadata"], annotations=kept))

    def shown(key: str, value: t.Any) -> str:
        return CHANGED_HIDDEN if key in was and was[key] != value else HIDDEN

    return dict(item, data={key: shown(key, value) for key, value in (item.get("data") or {}).items()})


def rank(item: Object) -> int:
    """The number of an object's group in ``in_order``: what has a smaller one is needed first."""
    return next((rank for rank, kinds in enumerate(_ORDER) if item["kind"] in kinds), 4)


def _files(path: str, recurse: bool) -> list[str]:
    if not os.path.isdir(path):
        if os.path.exists(path) or not any(mark in path for mark in "*?["):
            return [path]
        found = sorted(name for name in glob.glob(path, recursive=recurse) if os.path.isfile(name))
        if not found:
            raise OptionError("src", "no file matches %s" % path)
        return found
    found = []
    for folder, below, names in os.walk(path):
        below[:] = sorted(name for name in below if recurse and not name.startswith("."))
        found += [os.path.join(folder, name) for name in sorted(names) if name.endswith(SUFFIXES)]
    if not found:
        raise OptionError("src", "there is no file *.yml, *.yaml or *.json in %s" % path)
    return found


def _fetched(address: str) -> str:
    if not HAS_REQUESTS:
        raise ClusterError("requests is missing on this host", missing="requests")
    try:
        answer = requests.get(address, timeout=FETCH_SECONDS)
    except requests.exceptions.RequestException as problem:
        raise OptionError("src", "cannot fetch %s: %s" % (address, innermost(problem))) from None
    if not answer.ok:
        raise OptionError("src", "cannot fetch %s: %d %s" % (address, answer.status_code, answer.reason))
    return str(answer.text)


def from_text(text: str, where: str) -> list[Object]:
    """The objects in a text of YAML documents."""
    return [
        item
        for number, document in enumerate(yamltext.manifests(text, where), 1)
        if document is not None
        for item in _objects(document, "%s, document %d" % (where, number))
    ]


def _objects(document: t.Any, where: str) -> list[Object]:
    if isinstance(document, (list, tuple)):
        return [item for part in document for item in _objects(part, where)]
    if not isinstance(document, dict):
        raise OptionError(where, "not an object of the API but %s" % _called(document))
    if isinstance(document.get("items"), list) and str(document.get("kind", "")).endswith("List"):
        return [item for part in document["items"] for item in _objects(part, where)]
    for key in ("apiVersion", "kind"):
        if not isinstance(document.get(key), str) or not document[key]:
            raise OptionError(where, "an object needs %s" % key)
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or metadata.get("name") in (None, ""):
        raise OptionError(where, "%s needs metadata.name" % document["kind"])
    title = "%s: %s %s" % (where, document["kind"], metadata["name"])
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
    made["metadata"]["name"] = str(metadata["name"])
    return [made]


def _check(item: Object, title: str) -> None:
    """That an object has the shape of which the rest of this collection makes use; the rest is the API's."""
    metadata = item["metadata"]
    _must(title, "metadata.name", metadata["name"], str, int)
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


def _with_base64(item: Object) -> Object:
    """An object whose binary data, which YAML can hold, is where the API wants it in base64."""
    field = {"Secret": "data", "ConfigMap": "binaryData"}.get(item["kind"], "")
    given = item.get(field)
    if not isinstance(given, dict):
        return encoded_secret(item)
    data = {key: _base64(part) if isinstance(part, bytes) else part for key, part in given.items()}
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
