# SPDX-License-Identifier: GPL-3.0-or-later
"""managedFields: the manager of each field of an object, and server-side apply with them (KEP-555).

Kept from an object's first apply on: until then no client uses them, and plain writes do not pay
for the answer. What was there before that belongs to a manager of its own, `before-first-apply`.

Not here: the sets (`machinery.fieldset`), the merging of documents (`machinery.apply`), storing (`writing`).
"""

from __future__ import annotations

import json
from itertools import islice
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from navarch.api.machinery import apply, decode, fieldset, shapes
from navarch.api.machinery.errors import LIMIT, StatusError, bad_request, conflict_of_fields
from navarch.api.machinery.fieldset import Tree
from navarch.api.machinery.meta import ManagedFieldsEntry, ObjectMeta
from navarch.api.machinery.scheme import Kind
from navarch.registry import stamps

APPLY = "Apply"
UPDATE = "Update"
_BEFORE = "before-first-apply"
#: Where client-side apply keeps what was applied, the manager that it is, and who may take that over: the
#: server-side apply of the same program.
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_CLIENT_SIDE = "kubectl-client-side-apply"
_KUBECTL = "kubectl"
#: Half of what all annotations together may have, in bytes: what it may grow to on the server's side.
_LONGEST = 128 * 1024
#: The annotation's own place. kubectl migrates every manager of plain writes that has it.
_ANNOTATION: Tree = {"f:metadata": {"f:annotations": {f"f:{_LAST_APPLIED}": {".": {}}}}}

#: The server's own fields, and those that name the object: no manager owns them.
_NOBODYS = ("apiVersion", "kind")
_NOBODYS_META = (
    "name", "namespace", "generateName", "creationTimestamp", "deletionTimestamp",
    "deletionGracePeriodSeconds", "selfLink", "uid", "generation", "managedFields", "resourceVersion",
)  # fmt: skip


class Manager(NamedTuple):
    """One entry's identity."""

    name: str
    operation: str
    version: str
    subresource: str = ""

    def __str__(self) -> str:
        by = f" with subresource {json.dumps(self.subresource)}" if self.subresource else ""
        return f"{json.dumps(self.name)}{by} using {self.version}"


def apply_to(
    kind: Kind[Any],
    live: Any,
    body: dict[str, Any],
    manager: str,
    *,
    force: bool = False,
    subresource: str = "",
) -> Any:
    """The object that applying a manager's whole intent leads to; its metadata says who manages what. `live`
    is None where there is none yet.

    Raises StatusError 400, and 409 with a cause for each field that another manager owns and that would
    change.
    """
    struct: type[msgspec.Struct] = kind.type
    shape = shapes.shape(struct)
    intent = decode.drop_nulls(body)
    if not isinstance(intent.get("metadata", {}), dict):
        raise bad_request("metadata: expected object")
    if (intent.get("metadata") or {}).get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")
    if wrong := fieldset.untyped(shape, intent):
        raise _untypable(kind, intent, wrong)
    if not subresource:
        # Nothing that a write of the main resource may touch: a manifest from `kubectl get` has it, stale.
        intent = _without_status(kind, intent)
    me = Manager(manager, APPLY, kind.api_version, subresource)
    wants = _part(intent, subresource)
    mine = fieldset.of_document(shape, wants)
    if live is None:
        return stamped(decode.from_document(kind, intent), [_entry(me, mine)])
    document: dict[str, Any] = msgspec.to_builtins(live)
    others = _sets(live.metadata)
    if not others:
        others = _before(kind, shape, document)
    before = others.pop(me, {})
    if manager == _KUBECTL and not subresource:
        # What it applied on the client's side it applied.
        theirs = others.pop(Manager(_CLIENT_SIDE, UPDATE, kind.api_version), {})
        before = fieldset.union(before, fieldset.difference(theirs, _ANNOTATION))
    wanted = apply.merged(shape, document, wants)
    # As they will be stored: 1000m is no change of 1.
    typed = kind.rules.default(decode.from_document(kind, wanted))
    changed, _ = fieldset.compare(shape, _ownable(document), _ownable(msgspec.to_builtins(typed)))
    found = ((who, fieldset.intersection(theirs, changed)) for who, theirs in others.items())
    clashes = {who: both for who, both in found if both}
    if clashes and not force:
        raise _conflict(clashes)
    for who, both in clashes.items():
        others[who] = fieldset.difference(others[who], both)
    kept = fieldset.with_ancestors(mine)
    for theirs in others.values():
        kept = fieldset.union(kept, fieldset.with_ancestors(theirs))
    gone = fieldset.difference(fieldset.with_ancestors(before), kept)
    if "f:metadata" in gone:
        # The server's own part of it stays.
        gone = {**gone, "f:metadata": {k: v for k, v in gone["f:metadata"].items() if k != "."}}
    wanted = apply.without(shape, wanted, _without_keys(gone))
    given = intent.get("metadata") or {}
    requested = {name: given.get(name) for name in ("resourceVersion", "uid")}
    wanted["metadata"] = {**wanted["metadata"], "managedFields": None, **requested}
    if manager == _KUBECTL and not subresource:
        _keep_last_applied(wanted["metadata"], intent)
    obj = decode.from_document(kind, wanted)
    # Applying the same once more changes nothing, not even the time.
    same = before == mine and not changed
    entries = [_entry(who, theirs, _time(live.metadata, who)) for who, theirs in others.items() if theirs]
    if mine:
        entries.append(_entry(me, mine, _time(live.metadata, me) if same else None))
    return stamped(obj, entries)


def after_update(
    kind: Kind[Any], old: Any, new: Any, manager: str, subresource: str = ""
) -> list[ManagedFieldsEntry] | None:
    """The entries after a plain write: the writer owns what it changed; what it removed has no owner."""
    struct: type[msgspec.Struct] = kind.type
    shape = shapes.shape(struct)
    changed, gone = fieldset.compare(
        shape, _ownable(msgspec.to_builtins(old)), _ownable(msgspec.to_builtins(new))
    )
    entries: list[ManagedFieldsEntry] | None = new.metadata.managed_fields
    if not changed and not gone:
        return entries
    me = Manager(manager, UPDATE, kind.api_version, subresource)
    sets = _sets(new.metadata)
    mine = fieldset.union(fieldset.difference(sets.pop(me, {}), gone), changed)
    lost = fieldset.union(changed, gone)
    made = [
        _entry(who, rest, _time(new.metadata, who))
        for who, theirs in sets.items()
        if (rest := fieldset.difference(theirs, lost))
    ]
    return [*made, _entry(me, mine)] if mine else made


def carried(new: ObjectMeta, old: ObjectMeta) -> list[ManagedFieldsEntry] | None:
    """The entries a plain write starts from: the stored ones, unless the writer sent some. Empty ones end it.

    Raises StatusError 400.
    """
    sent = new.managed_fields
    if sent is None:
        return old.managed_fields
    if sent != old.managed_fields:
        _sets(new)
    return [entry for entry in sent if entry != ManagedFieldsEntry()] or None


def _ownable(document: dict[str, Any]) -> dict[str, Any]:
    """The document without the fields that no manager owns."""
    made = {k: v for k, v in document.items() if k not in _NOBODYS}
    meta = {k: v for k, v in (made.pop("metadata", None) or {}).items() if k not in _NOBODYS_META}
    return {"metadata": meta, **made} if meta else made


def _part(document: dict[str, Any], subresource: str) -> dict[str, Any]:
    """What a writer of the object, or of its status, can change."""
    made = _ownable(document)
    if subresource:
        return {k: v for k, v in made.items() if k == "status"}
    return made


def _without_status(kind: Kind[Any], document: dict[str, Any]) -> dict[str, Any]:
    """The document without the status that has a subresource of its own."""
    if "status" not in kind.subresources:
        return document
    return {k: v for k, v in document.items() if k != "status"}


def _before(kind: Kind[Any], shape: shapes.Shape, document: dict[str, Any]) -> dict[Manager, Tree]:
    """Who owned what before anybody asked: what client-side apply says it applied is that one's, with the
    defaults that came of it, and so is its annotation. kubectl >= 1.26 takes the whole of the annotation's
    manager for its own, and drops what is no longer applied.
    """
    live = _ownable(document)
    made = fieldset.difference(fieldset.of_document(shape, live), _ANNOTATION)
    before = Manager(_BEFORE, UPDATE, kind.api_version)
    applied = _last_applied(document)
    try:
        typed = kind.rules.default(decode.from_document(kind, applied))
    except StatusError:
        # None, or none that could have been applied: the annotation is anybody's to write.
        return {before: made}
    full = _without_status(kind, _ownable(msgspec.to_builtins(typed)))
    # A default that is not there any more somebody else has replaced.
    changed, _ = fieldset.compare(shape, full, live)
    theirs = fieldset.union(
        fieldset.of_document(shape, _without_status(kind, _ownable(decode.drop_nulls(applied)))),
        fieldset.difference(fieldset.of_document(shape, full), changed),
    )
    theirs = fieldset.intersection(made, theirs)
    return {
        before: fieldset.difference(made, theirs),
        Manager(_CLIENT_SIDE, UPDATE, kind.api_version): fieldset.union(theirs, _ANNOTATION),
    }


def _last_applied(document: dict[str, Any]) -> Any:
    """What client-side apply left in its annotation, if anything."""
    last = ((document.get("metadata") or {}).get("annotations") or {}).get(_LAST_APPLIED)
    try:
        return decode.document((last or "null").encode())
    except (StatusError, ValueError):
        return None


def _keep_last_applied(meta: dict[str, Any], intent: dict[str, Any]) -> None:
    """Keep the annotation of an object that once was applied on the client's side up to date, for the way
    back; one that would be too long goes.
    """
    annotations = meta.get("annotations") or {}
    if _LAST_APPLIED not in annotations or _LAST_APPLIED in (
        (intent.get("metadata") or {}).get("annotations") or {}
    ):
        return
    last = json.dumps(intent, ensure_ascii=False, separators=(",", ":"), sort_keys=True) + "\n"
    annotations = {**annotations, _LAST_APPLIED: last}
    if len(last.encode()) > _LONGEST:
        del annotations[_LAST_APPLIED]
    meta["annotations"] = annotations


def _without_keys(gone: Tree) -> Tree:
    """What goes, without the keys of list elements that stay for their other parts."""
    made: Tree = {}
    for name, node in gone.items():
        if name.startswith("k:") and "." not in node:
            keys = {f"f:{key}" for key in json.loads(name[2:])}
            node = {k: v for k, v in node.items() if k not in keys}
        if name == ".":
            made[name] = node
        elif rest := _without_keys(node):
            made[name] = rest
    return made


def _sets(meta: ObjectMeta) -> dict[Manager, Tree]:
    made: dict[Manager, Tree] = {}
    for entry in meta.managed_fields or ():
        who = _identity(entry)
        if entry == ManagedFieldsEntry():
            continue
        try:
            tree = fieldset.from_wire(entry.fields_v1 or {})
        except ValueError as error:
            raise bad_request(f"metadata.managedFields of {who.name!r}: {error}") from None
        made[who] = fieldset.union(made.get(who, {}), tree)
    return made


def _identity(entry: ManagedFieldsEntry) -> Manager:
    return Manager(
        entry.manager or "", entry.operation or UPDATE, entry.api_version or "", entry.subresource or ""
    )


def _time(meta: ObjectMeta, who: Manager) -> str | None:
    return next((entry.time for entry in meta.managed_fields or () if _identity(entry) == who), None)


def _entry(who: Manager, tree: Tree, time: str | None = None) -> ManagedFieldsEntry:
    return ManagedFieldsEntry(
        manager=who.name,
        operation=who.operation,
        api_version=who.version,
        time=time or stamps.second(),
        fields_type="FieldsV1",
        fields_v1=fieldset.to_wire(tree),
        subresource=who.subresource or None,
    )


def _untypable(kind: Kind[Any], intent: dict[str, Any], wrong: list[str]) -> StatusError:
    """In the reference's words. It answers 500, which clients take for a reason to try again; the fault is
    the manifest's (kubernetes/kubernetes#139253).
    """
    meta = intent.get("metadata") or {}
    what = (
        f"{meta.get('namespace', '')}/{meta.get('name', '')}; {kind.group}/{kind.version}, Kind={kind.kind}"
    )
    found = wrong[0] if len(wrong) == 1 else "\n  ".join(["errors:", *wrong[:LIMIT]])
    return bad_request(f"failed to create typed patch object ({what}): {found}")


def _conflict(clashes: dict[Manager, Tree]) -> StatusError:
    found = ((str(who), path) for who, tree in sorted(clashes.items()) for path in fieldset.paths(tree))
    return conflict_of_fields([*islice(found, LIMIT + 1)])


def stamped(obj: Any, entries: list[ManagedFieldsEntry] | None) -> Any:
    """The object with these entries."""
    return replace(obj, metadata=replace(obj.metadata, managed_fields=entries))
