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
    """What is secret in the task's own options, so that it is not shown, also where they are wrong."""
    return _secrets_in(params.get("definition"))


def _secrets_in(value: t.Any) -> set[str]:
    if isinstance(value, str):
        if "Secret" not in value:
            return set()
        try:
            return _secrets_in(yamltext.documents(value, "definition"))
        except ClusterError:
            return {value}  # nobody knows what in it is secret
    if isinstance(value, (list, tuple)):
        return {text for part in value for text in _secrets_in(part)}
    if not isinstance(value, dict):
        return set()
    if value.get("kind") == "Secret":
        return texts_of_secret(value)
    return _secrets_in(value.get("items"))


def texts_of_secret(item: Object) -> set[str]:
    """All values of a Secret, as they are and in base64, and what kubectl has kept of it."""
    found: set[str] = set()
    for part in (item.get("data"), item.get("stringData")):
        values = part.values() if isinstance(part, dict) else [part]
        for text in [str(value) for value in values if value is not None]:
            found |= {text, base64.b64encode(text.encode("utf-8")).decode("ascii")}
            try:
                found.add(base64.b64decode(text).decode("utf-8"))
            except (binascii.Error, ValueError):
                pass
    metadata = item.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    if isinstance(annotations, dict) and annotations.get(ANNOTATION):
        found |= {str(annotations[ANNOTATION])} | _secrets_in(str(annotations[ANNOTATION]))
    return {text for text in found if text}


def encoded_secret(item: Object) -> Object:
    """A Secret as the API will keep it: ``stringData`` is only a way to write ``data``."""
    if item.get("kind") != "Secret" or not isinstance(item.get("stringData"), dict):
        return item
    data = dict(item.get("data") or {})
    for key, value in item["stringData"].items():
        data[key] = base64.b64encode(str(value).encode("utf-8")).decode("ascii")
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
        for number, document in enumerate(yamltext.documents(text, where), 1)
        if document is not None
        for item in _objects(document, "%s, document %d" % (where, number))
    ]


def _objects(document: t.Any, where: str) -> list[Object]:
    if isinstance(document, (list, tuple)):
        return [item for part in document for item in _objects(part, where)]
    if not isinstance(document, dict):
        raise OptionError(where, "not an object of the API: %.80r" % (document,))
    if isinstance(document.get("items"), list) and str(document.get("kind", "")).endswith("List"):
        return [item for part in document["items"] for item in _objects(part, where)]
    for key in ("apiVersion", "kind"):
        if not isinstance(document.get(key), str) or not document[key]:
            raise OptionError(where, "an object needs %s" % key)
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or metadata.get("name") in (None, ""):
        raise OptionError(where, "%s needs metadata.name" % document["kind"])
    made: Object = _json(document)
    made["metadata"]["name"] = str(metadata["name"])
    return [encoded_secret(made)]


def _json(value: t.Any) -> t.Any:
    """What YAML reads as more than JSON has, as JSON would have it."""
    if isinstance(value, dict):
        return {_json_key(key): _json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(item) for item in value]
    if isinstance(value, datetime.datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value


def _json_key(key: t.Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)
