# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Three-way merge: what an earlier manifest named and this one does not is taken away.

Belongs here: the annotation in which an object keeps what was last applied to it, and what follows from it.
It is kubectl's own annotation, so that objects may be applied by either. Not here: comparing (``diff``).
"""

from __future__ import annotations

import hashlib
import json
import typing as t

from .diff import differences, members_by_key

Object = t.Dict[str, t.Any]
ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
_OPEN = frozenset(("apiVersion", "kind", "metadata", "type", "immutable"))  # what is no secret of a Secret
LONG = 1000
LIMIT = 200_000  # all annotations of an object together may have 256 KiB


def recorded(asked: Object) -> Object:
    """``asked``, with an annotation that says what was asked. Of a Secret only the keys are kept, of what is
    large no long texts, and of what is too large nothing.
    """
    metadata = asked["metadata"]
    given = {key: value for key, value in (metadata.get("annotations") or {}).items() if key != ANNOTATION}
    if ANNOTATION in (metadata.get("annotations") or {}):  # the manifest is an export
        metadata = {key: value for key, value in metadata.items() if key != "annotations"}
        asked = dict(asked, metadata=dict(metadata, annotations=given) if given else metadata)
    kept = asked
    if asked["kind"] == "Secret":
        kept = {key: value if key in _OPEN else _emptied(value, 0) for key, value in asked.items()}
    text = _packed(kept)
    if len(text) > LIMIT:
        text = _packed(_emptied(kept, LONG))
    if len(text) > LIMIT:
        return asked
    return dict(asked, metadata=dict(metadata, annotations=dict(given, **{ANNOTATION: text})))


def is_recorded(asked: Object) -> bool:
    return bool(_text(asked))


def _packed(kept: Object) -> str:
    return json.dumps(kept, separators=(",", ":"), sort_keys=True)


def _emptied(value: t.Any, longest: int) -> t.Any:
    """A value without what in it is longer than that: which fields there are is enough to merge."""
    if isinstance(value, dict):
        return {key: _emptied(item, longest) for key, item in value.items()}
    if isinstance(value, list):
        return [_emptied(item, longest) for item in value]
    return value if value is None or isinstance(value, bool) or len(str(value)) <= longest else ""


def wanted(asked: Object, live: Object) -> Object:
    """What to compare ``live`` with: ``asked`` (as ``recorded`` made it), and None for what it names no more.

    The record alone is not written anew for other values, only for other fields: those are what it is for.
    """
    before, now = _record(live), _record(asked)
    if before is None:
        return asked
    made: Object = _with_removed(_ours(before), asked, live, "")
    if now is not None and _fields(before) == _fields(now):
        annotations = dict(made["metadata"]["annotations"], **{ANNOTATION: _text(live)})
        alike = dict(made, metadata=dict(made["metadata"], annotations=annotations))
        if not differences(alike, live):
            return alike
    return made


def shown(metadata: Object) -> Object:
    """Metadata for a diff: the record is only told from another one."""
    annotations = metadata.get("annotations") or {}
    if ANNOTATION not in annotations:
        return metadata
    digest = hashlib.sha256(_normal(annotations[ANNOTATION]).encode("utf-8")).hexdigest()[:12]
    return dict(metadata, annotations=dict(annotations, **{ANNOTATION: "(record %s)" % digest}))


def _text(item: Object) -> str:
    return str((item["metadata"].get("annotations") or {}).get(ANNOTATION) or "")


def _record(item: Object) -> Object | None:
    try:
        found = json.loads(_text(item))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _ours(record: Object) -> Object:
    """The part of a record that a manifest rules: not what the cluster writes, which others may have kept."""
    metadata = record.get("metadata")
    kept = {key: value for key, value in record.items() if key not in ("status", "metadata")}
    if isinstance(metadata, dict):
        named = ("labels", "annotations", "finalizers")
        kept["metadata"] = {key: metadata[key] for key in named if metadata.get(key)}
    return kept


def _normal(text: str) -> str:
    """The record without the values of a Secret, which kubectl leaves in it."""
    try:
        return json.dumps(_fields(json.loads(text)), sort_keys=True)
    except ValueError:
        return ""


def _fields(value: t.Any) -> t.Any:
    """The shape of an object: its fields without their values."""
    if isinstance(value, dict):
        return {key: _fields(item) for key, item in value.items() if key != ANNOTATION}
    if isinstance(value, list):
        return [_fields(item) for item in value]
    return None


def _with_removed(before: t.Any, asked: t.Any, live: t.Any, name: str) -> t.Any:
    if isinstance(before, dict) and isinstance(asked, dict) and isinstance(live, dict):
        made = {
            key: _with_removed(before[key], value, live.get(key), key) if key in before else value
            for key, value in asked.items()
        }
        return dict(made, **{key: None for key in before if key not in asked and live.get(key) is not None})
    if isinstance(asked, list):
        then, there = members_by_key(name, before), members_by_key(name, live)
        keyed = members_by_key(name, asked)
        if then and there and keyed:
            return [
                _with_removed(then.get(key), item, there.get(key), "") if key in then else item
                for key, item in keyed.items()
            ]
    return asked
