# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sets of objects that belong together, so that objects which a manifest no longer names can be deleted.

They are ApplySets as kubectl has them (KEP-3659): members have the label ``applyset.kubernetes.io/part-of``,
and a parent has that ID, the tool, the kinds and the namespaces. The parent is a config map. Its data say in
which kinds and namespaces members are, more exactly than the specification wants.

Belongs here: IDs, labels and the parent. Not here: applying and deleting (``apply``).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import typing as t

from .._api.client import CONFIG_MAP, Client, Kind
from .._api.discovery import UnknownKind, kind_of
from .._api.errors import ClusterError, OptionError, StatusError
from .present import definition, everything_mutable, present

Object = t.Dict[str, t.Any]
Place = t.Tuple[str, str, t.Optional[str]]  # apiVersion, kind, namespace
Identity = t.Tuple[str, str, t.Optional[str], str]  # group, kind, namespace, name
PART_OF = "applyset.kubernetes.io/part-of"
ID = "applyset.kubernetes.io/id"
TOOLING = "applyset.kubernetes.io/tooling"
GROUP_KINDS = "applyset.kubernetes.io/contains-group-kinds"
NAMESPACES = "applyset.kubernetes.io/additional-namespaces"
TOOL = "navarch.cluster/v1"
#: The label of members before sets were ApplySets.
OLD_LABEL = "navarch.io/set"
PREFIX = "navarch-set-"
_NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]{0,45}[a-z0-9])?$")
#: Deleting one of these deletes more than itself, so no set ever prunes it.
KEPT = frozenset(("CustomResourceDefinition", "Namespace", "PersistentVolume", "PersistentVolumeClaim"))


def applyset_id(name: str, namespace: str, kind: str, group: str) -> str:
    """The ID of the set with this parent (KEP-3659, "ApplySet Identification", in the form of kubectl)."""
    digest = hashlib.sha256(".".join((name, namespace, kind, group)).encode("utf-8")).digest()
    return "applyset-%s-v1" % base64.urlsafe_b64encode(digest).decode("ascii").rstrip("=")


def old_value(namespace: str, name: str) -> str:
    """The old label of a set's members. No set's name has a ``_``, so no other set has this value."""
    whole = "%s_%s" % (namespace, name)
    if len(whole) <= 63:
        return whole
    digest = hashlib.sha256(whole.encode("utf-8")).hexdigest()[:20]
    return "%s__%s" % (whole[:41].rstrip("-._"), digest)


def identity(kind: Kind, item: Object) -> Identity:
    metadata = item["metadata"]
    return (kind.api_version.rpartition("/")[0], kind.kind, metadata.get("namespace"), metadata["name"])


class ApplySet:
    """One set in one cluster. Its parent lies in the namespace of the task.

    Earlier versions had another label: first the set's name alone, which sets of several namespaces may
    share, then the namespace and the name. ``old`` is where members may have that label, ``shared`` where it
    may be the name alone. An object there with the name alone is this set's, unless the set of this name in
    another namespace had members there too. ``current``: whether the parent is as this version writes it.
    """

    def __init__(self, client: Client, name: str, namespace: str) -> None:
        if not _NAME.match(name):
            raise OptionError(
                "set", "%r is no name of a set: small letters, digits, - and ., at most 47 of them" % name
            )
        self.client = client
        self.name = name
        self.namespace = namespace
        self.parent = PREFIX + name
        self.id = applyset_id(self.parent, namespace, CONFIG_MAP.kind, "")
        self.old_value = old_value(namespace, name)
        self.warnings: list[str] = []
        found = self._found()
        try:
            self.before, self.old, self.shared = _places(found)
        except (ValueError, TypeError, AttributeError):
            raise self._wrong("is no record of a set") from None
        self._hold_parent((found or {}).get("metadata") or {})
        self.current = found is None or _has_id(found)

    def label(self, asked: Object) -> Object:
        """The object as a member of this set."""
        metadata = asked["metadata"]
        labels = metadata.get("labels") or {}
        if labels.get(PART_OF) not in (None, self.id):
            said = "%s %s has the label %s of another set" % (asked["kind"], metadata.get("name"), PART_OF)
            raise OptionError("set", said)
        return dict(asked, metadata=dict(metadata, labels=dict(labels, **{PART_OF: self.id})))

    def without_old(self, asked: Object, live: Object) -> Object:
        """What to ask for where an existing object still has the old label."""
        if OLD_LABEL not in (live["metadata"].get("labels") or {}):
            return asked
        labels = dict(asked["metadata"].get("labels") or {})
        labels.setdefault(OLD_LABEL, None)
        return dict(asked, metadata=dict(asked["metadata"], labels=labels))

    def other(self, live: Object | None) -> str | None:
        """The other set that an object is a member of, for a person."""
        labels = ((live or {}).get("metadata") or {}).get("labels") or {}
        if labels.get(PART_OF):
            return None if labels[PART_OF] == self.id else self._title(labels[PART_OF])
        found = str(labels.get(OLD_LABEL) or "")
        if found in ("", self.name, self.old_value):
            return None
        namespace, mark, name = found.partition("_")
        return "%s of namespace %s" % (name, namespace) if mark and "_" not in name else found

    def write(self, places: t.Iterable[Place]) -> bool:
        """Writes the parent. Returns whether it changed. A set without members has no parent."""
        content = _sorted(places)
        if not content:
            return self.client.delete(CONFIG_MAP, self.namespace, self.parent)
        kinds = {
            ".".join(filter(None, (kind, version.rpartition("/")[0]))) for version, kind, _place in content
        }
        beside = {place for _version, _kind, place in content if place} - {self.namespace}
        metadata = {
            "labels": {ID: self.id},
            "annotations": {
                TOOLING: TOOL,
                GROUP_KINDS: ",".join(sorted(kinds)),
                NAMESPACES: ",".join(sorted(beside)) or None,
            },
        }
        data = {
            "places": _text(content),
            "old": _text(_sorted(self.old)) if self.old else None,
            "earlier": _text(_sorted(self.shared)) if self.shared else None,
            "set": self.name,
        }
        body = definition(CONFIG_MAP, self.parent, self.namespace, metadata, None, data=data)
        outcome = present(self.client, CONFIG_MAP, body, everything_mutable)
        self.before, self.current = content, True
        return outcome.before != outcome.live

    def surplus(self, places: t.Iterable[Place], known: t.Collection[Identity]) -> list[tuple[Kind, Object]]:
        """The members that the cluster has in these places, except for the known ones.

        Known members have the new label by now. So the set claims nothing by the old label any more, and the
        last of the sets that shared a label finds the objects that no set names.
        """
        found: list[tuple[Kind, Object]] = []
        doubtful: dict[Place, list[tuple[Kind, Object]]] = {}
        for place in _sorted(places):
            try:
                kind = kind_of(self.client, place[1], place[0])
            except UnknownKind:
                continue  # the cluster no longer serves this kind, so it has no objects
            for item in self._members(kind, place):
                owners = item["metadata"].get("ownerReferences") or []
                if identity(kind, item) in known or any(owner.get("controller") for owner in owners):
                    continue
                labels = item["metadata"]["labels"]
                mine = labels.get(PART_OF) == self.id or labels[OLD_LABEL] == self.old_value
                (found if mine else doubtful.setdefault(place, [])).append((kind, item))
        self.old, self.shared = set(), set()
        others = self._others() if doubtful else set()
        for place, items in doubtful.items():
            if others is None or place in others:
                said = (len(items), place[1], " in %s" % place[2] if place[2] else "", OLD_LABEL, self.name)
                self.warnings.append(
                    "%d %s%s with %s=%s, the label of an earlier version: they may be those of the "
                    "set of this name in another namespace, and are left" % said
                )
            else:
                found += items
        return found

    def _members(self, kind: Kind, place: Place) -> list[Object]:
        """What has the label of this set there, or may be this set's by the old label."""
        found = self.client.list(kind, place[2], ["%s=%s" % (PART_OF, self.id)])[0]
        if place in self.old:
            values = [self.old_value, self.name] if place in self.shared else [self.old_value]
            selectors = ["%s in (%s)" % (OLD_LABEL, ",".join(values)), "!" + PART_OF]
            found += self.client.list(kind, place[2], selectors)[0]
        return found

    def _others(self) -> set[Place] | None:
        """Where sets of this name in other namespaces may have members with the name alone; None: unknown."""
        try:
            parents = self.client.list(CONFIG_MAP, None, fields=["metadata.name=" + self.parent])[0]
            others = [item for item in parents if item["metadata"]["namespace"] != self.namespace]
            return {place for item in others for place in _places(item)[2]}
        except StatusError as problem:
            if problem.code != 403:
                raise
        except (ValueError, TypeError, AttributeError):
            pass  # a config map of that name which is no parent of a set
        return None

    def _title(self, value: str) -> str:
        """The set of an ID, named after its parent where that is a config map that the user may see."""
        try:
            parents = self.client.list(CONFIG_MAP, None, ["%s=%s" % (ID, value)])[0]
        except ClusterError:
            parents = []
        for item in parents:
            name = str(item["metadata"]["name"])
            short = name[len(PREFIX) :] if name.startswith(PREFIX) else name
            return "%s of namespace %s" % (short, item["metadata"]["namespace"])
        return value

    def _hold_parent(self, metadata: Object) -> None:
        """Refuses a parent of another tool, or with an ID that is not its own (KEP-3659 wants both)."""
        tool = str((metadata.get("annotations") or {}).get(TOOLING) or TOOL)
        if tool.partition("/")[0] != TOOL.partition("/")[0]:
            raise self._wrong("is the parent of a set that %s manages" % tool)
        if (metadata.get("labels") or {}).get(ID, self.id) != self.id:
            raise self._wrong("has a label %s that is not its own ID (%s)" % (ID, self.id))

    def _wrong(self, said: str) -> OptionError:
        return OptionError("set", "config map %s/%s %s" % (self.namespace, self.parent, said))

    def _found(self) -> Object | None:
        try:
            return self.client.get(CONFIG_MAP, self.namespace, self.parent)
        except StatusError as problem:
            if problem.code != 404:
                raise
        return None


def _has_id(parent: Object) -> bool:
    return ID in (parent["metadata"].get("labels") or {})


def _places(parent: Object | None) -> tuple[list[Place], set[Place], set[Place]]:
    """Where a set has members, where they may have the old label, and where that may be the name alone.

    A parent without an ID was written by an earlier version: all its members have the old label.
    """
    data = (parent or {}).get("data") or {}

    def listed(key: str) -> list[Place]:
        parts = json.loads(data.get(key) or "[]")
        return [(str(version), str(kind), str(place) or None) for version, kind, place in parts]

    is_new = parent is not None and _has_id(parent)
    old = set(listed("old" if is_new else "places"))
    shared = set(listed("earlier" if is_new or "earlier" in data else "places"))
    return listed("places"), old, shared


def _sorted(places: t.Iterable[Place]) -> list[Place]:
    return sorted(set(places), key=lambda place: (place[0], place[1], place[2] or ""))


def _text(places: t.Sequence[Place]) -> str:
    return json.dumps([[part or "" for part in place] for place in places])
