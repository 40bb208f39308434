# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""The option ``definition`` of the modules of one kind: an object in the API's own words, under what the
other options say.

Belongs here: reading it, and what the other options are laid over. Not here: manifests of any kind
(``manifest_loading``), and bringing an object to a state (``present``).
"""

from __future__ import annotations

import typing as t

from .._api import yaml_text
from .._api.client import Kind
from .._api.errors import ClusterError, OptionError
from .._module.args import Spec
from .manifest_loading import from_definition
from .redaction import leaves, texts_of_secret

Object = t.Dict[str, t.Any]
#: What only the server writes, as it stands in an object that was read from a cluster.
_SERVERS = frozenset(
    ("creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid", "namespace")
)
_MAPPINGS = (
    ("metadata",),
    ("metadata", "labels"),
    ("metadata", "annotations"),
    ("spec",),
    ("spec", "selector"),
    ("spec", "template"),
    ("spec", "template", "metadata"),
    ("spec", "template", "metadata", "labels"),
    ("spec", "template", "spec"),
    ("data",),
    ("stringData",),
    ("binaryData",),
)
RULES: Spec = {"required_one_of": [["name", "definition"]]}


def definition_spec(namespaced: bool = True) -> Spec:
    """Which object, and what it is: the ``definition`` doc fragment."""
    spec: Spec = {"name": {"type": "str"}, "definition": {"type": "raw"}}
    return dict(spec, namespace={"type": "str"}) if namespaced else spec


def identified(params: t.Mapping[str, t.Any], kind: Kind) -> Object:
    """The options with ``name`` and ``namespace`` as the definition has them where they were not given, and
    the definition as an object of this kind.
    """
    raw = _read(params["definition"], kind) if params["definition"] is not None else {}
    metadata = dict(raw.get("metadata") or {})
    name, namespace = params["name"] or metadata.pop("name", None), params.get("namespace")
    if name is None:
        raise OptionError("name", "neither it nor metadata.name of the definition is set")
    if kind.namespaced:
        namespace = str(namespace or metadata.get("namespace") or "default")
    kept = {key: value for key, value in raw.items() if key not in ("apiVersion", "kind", "status")}
    kept["metadata"] = {key: value for key, value in metadata.items() if key not in _SERVERS}
    return dict(params, name=str(name), namespace=namespace, definition=kept)


def over(raw: t.Any, typed: t.Any) -> t.Any:
    """What the options say, laid over the definition: mappings key by key, everything else whole."""
    if not isinstance(raw, dict) or not isinstance(typed, dict):
        return typed
    return dict(raw, **{key: over(raw.get(key), value) for key, value in typed.items()})


def secret_values(params: t.Mapping[str, t.Any]) -> set[str]:
    """What in the definition of a Secret is secret: all of it that is no name, also where it is wrong."""
    return _leaves(params.get("definition"))


def _leaves(value: t.Any) -> set[str]:
    if isinstance(value, str):
        try:
            found = [_leaves_of(one) for one in yaml_text.documents(value, "definition")]
            return {value.strip()}.union(*found)
        except ClusterError:  # nobody knows what in it is secret
            return {value.strip()} | {word for word in value.split() if len(word) > 3}
    return _leaves_of(value)


def _leaves_of(value: t.Any) -> set[str]:
    found: set[str] = set()
    parts = value.items() if isinstance(value, dict) else [("", value)]
    for key, part in parts:
        if key not in ("apiVersion", "kind", "metadata", "type", "immutable"):
            found |= texts_of_secret({"data": dict(enumerate(_texts(part)))})
    if isinstance(value, dict) and isinstance(value.get("metadata"), dict):
        found |= texts_of_secret({"metadata": value["metadata"]})
    return found


def _texts(value: t.Any) -> t.Iterator[str]:
    """Texts as they can be shown."""
    for text in leaves(value):
        yield text.encode("utf-8", "ignore").decode("utf-8")


def _read(value: t.Any, kind: Kind) -> Object:
    if isinstance(value, str):
        found = [one for one in yaml_text.documents(value, "definition") if one is not None]
        if len(found) != 1:
            raise OptionError("definition", "must hold one object, not %d" % len(found))
        value = found[0]
    if not isinstance(value, dict):
        raise OptionError("definition", "must be a mapping, or the text of one")
    for key, right in (("apiVersion", kind.api_version), ("kind", kind.kind)):
        if value.get(key) not in (None, right):
            raise OptionError(
                "definition.%s" % key, "must be %s, as this module has no other kind of objects" % right
            )
    for path in _MAPPINGS:
        _hold_mapping(value, path)
    metadata = value.get("metadata") or {}
    for key in ("name", "namespace"):
        if isinstance(metadata.get(key), (dict, list)):
            raise OptionError("definition.metadata.%s" % key, "must be a name")
        if metadata.get(key) is not None and not str(metadata[key]).strip():
            raise OptionError("definition.metadata.%s" % key, "must not be empty")
    named = dict(metadata, name="-" if metadata.get("name") is None else metadata["name"])
    whole = dict(value, apiVersion=kind.api_version, kind=kind.kind, metadata=named)
    (made,) = from_definition({key: part for key, part in whole.items() if part is not None})
    if metadata.get("name") is None:
        made["metadata"].pop("name")
    return made


def _hold_mapping(value: Object, path: tuple[str, ...]) -> None:
    part: t.Any = value
    for key in path:
        part = part.get(key)
        if part is None:
            return
    if not isinstance(part, dict):
        raise OptionError("definition.%s" % ".".join(path), "must be a mapping")
