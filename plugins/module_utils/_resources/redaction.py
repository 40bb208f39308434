# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Secrets in objects and options: what is one, and how it is shown, which is not at all."""

from __future__ import annotations

import base64
import binascii
import typing as t

from .._api import yaml_text
from .._api.errors import ClusterError
from .last_applied import ANNOTATION

Object = t.Dict[str, t.Any]
HIDDEN = "hidden"
CHANGED_HIDDEN = "hidden (other than before)"
#: What is no secret of a Secret, beside its metadata.
_OPEN = frozenset(("apiVersion", "kind", "type", "immutable"))


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


def of_secrets(params: t.Mapping[str, t.Any]) -> bool:
    """Whether the task's own objects are Secrets, some of them at least."""
    try:
        return any(name.lower() in ("secret", "secretlist") for name in _identities(params.get("definition")))
    except RecursionError:
        return True


def patch_values(params: t.Mapping[str, t.Any]) -> set[str]:
    """What is secret in the option ``patches``: all that it writes, where it writes to a Secret."""
    given = params.get("patches")
    values = [one.get("value") for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    return texts_of_secret({"data": values}) if values and of_secrets(params) else set()


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
            return _secrets_in(yaml_text.manifests(value, "definition"))
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
            value = yaml_text.manifests(value, "definition")
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
            found |= {text, text.strip(), in_base64(text)}
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


def in_base64(value: str | bytes) -> str:
    raw = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    return base64.b64encode(raw).decode("ascii")


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
