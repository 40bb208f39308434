# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manifests: from text, files and folders to objects that can be sent, in the order in which they are needed.

Belongs here: reading documents. Not here: what they must be like (``manifest_validation``), any talk with the
cluster (``apply``).
"""

from __future__ import annotations

import glob
import os
import typing as t

from .._api import yaml_text
from .._api.errors import ClusterError, OptionError
from .._api.kubeconfig import read_file
from .._api.transport import HAS_REQUESTS, innermost
from .manifest_validation import objects_in

if HAS_REQUESTS:
    import requests

Object = t.Dict[str, t.Any]
SUFFIXES = (".json", ".yaml", ".yml")
FETCH_SECONDS = 30
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
        if not metadata.get("name"):
            continue  # of those there may be several
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
    return objects_in(value, "definition")


def in_order(items: t.Sequence[Object], backwards: bool = False) -> list[list[Object]]:
    """Groups of objects, none of which needs a later one."""
    groups = [[item for item in items if rank(item) == number] for number in range(len(_ORDER))]
    return [group for group in (reversed(groups) if backwards else groups) if group]


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
        for number, document in enumerate(yaml_text.manifests(text, where), 1)
        if document is not None
        for item in objects_in(document, "%s, document %d" % (where, number))
    ]
