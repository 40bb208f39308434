# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sets of objects that belong together, so that what a manifest names no more can be found and deleted.

Belongs here: the label of a set's members, and the config map that says in which kinds and namespaces they
are. Not here: applying and deleting (``apply``).
"""

from __future__ import annotations

import hashlib
import json
import re
import typing as t

from .._api.client import CONFIG_MAP, Client, Kind
from .._api.discovery import UnknownKind, kind_of
from .._api.errors import OptionError, StatusError
from .present import definition, everything_mutable, present

Object = t.Dict[str, t.Any]
Place = t.Tuple[str, str, t.Optional[str]]  # apiVersion, kind, namespace
Identity = t.Tuple[str, str, t.Optional[str], str]  # group, kind, namespace, name
LABEL = "navarch.io/set"
_NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]{0,45}[a-z0-9])?$")
#: Deleting one of these takes more along than itself, so no set ever prunes it.
KEPT = frozenset(("CustomResourceDefinition", "Namespace", "PersistentVolume", "PersistentVolumeClaim"))


def label_value(namespace: str, name: str) -> str:
    """The label of a set's members. No set's name has a ``_``, so it is never that of another one."""
    whole = "%s_%s" % (namespace, name)
    if len(whole) <= 63:
        return whole
    digest = hashlib.sha256(whole.encode("utf-8")).hexdigest()[:20]
    return "%s__%s" % (whole[:41].rstrip("-._"), digest)


def identity(kind: Kind, item: Object) -> Identity:
    metadata = item["metadata"]
    return (kind.api_version.rpartition("/")[0], kind.kind, metadata.get("namespace"), metadata["name"])


class ObjectSet:
    """One set in one cluster. Its record lies in the namespace of the task.

    The label was only the set's name once, which sets of several namespaces may share. ``earlier`` is where
    the record had members then: what still has that label there is this set's, unless the record of another
    namespace had members there too.
    """

    def __init__(self, client: Client, name: str, namespace: str) -> None:
        if not _NAME.match(name):
            raise OptionError(
                "set", "%r is no name of a set: small letters, digits, - and ., at most 47 of them" % name
            )
        self.client = client
        self.name = name
        self.namespace = namespace
        self.value = label_value(namespace, name)
        self.record = "navarch-set-" + name
        self.warnings: list[str] = []
        found = self._found()
        try:
            self.before, self.earlier = _places(found)
        except (ValueError, TypeError, AttributeError):
            raise OptionError(
                "set", "config map %s/%s is no record of a set" % (namespace, self.record)
            ) from None

    def label(self, asked: Object) -> Object:
        """The object as a member of this set."""
        metadata = asked["metadata"]
        labels = dict(metadata.get("labels") or {}, **{LABEL: self.value})
        return dict(asked, metadata=dict(metadata, labels=labels))

    def stranger(self, live: Object | None) -> str | None:
        """The other set that an object is a member of."""
        if live is None:
            return None
        found = str((live["metadata"].get("labels") or {}).get(LABEL) or "")
        if found in ("", self.name, self.value):
            return None
        namespace, mark, name = found.partition("_")
        return "%s of namespace %s" % (name, namespace) if mark and "_" not in name else found

    def write(self, places: t.Iterable[Place]) -> bool:
        """Keeps where members are. Whether that was news. Nothing at all is a set that is no more."""
        content = _sorted(places)
        if not content:
            return self.client.delete(CONFIG_MAP, self.namespace, self.record)
        metadata = {"annotations": {"navarch.io/about": "Where the members of the set %s are." % self.name}}
        data = {"places": _text(content), "earlier": _text(_sorted(self.earlier)), "set": self.name}
        body = definition(CONFIG_MAP, self.record, self.namespace, metadata, None, data=data)
        outcome = present(self.client, CONFIG_MAP, body, everything_mutable)
        self.before = content
        return outcome.before != outcome.live

    def surplus(self, places: t.Iterable[Place], known: t.Collection[Identity]) -> list[tuple[Kind, Object]]:
        """The objects of this set that the cluster has in these places, but for the known ones.

        What has the old label and is known has the new one by now. So the set claims nothing by the old one
        any more, and the last of the sets that shared it finds what nobody names.
        """
        found: list[tuple[Kind, Object]] = []
        doubtful: dict[Place, list[tuple[Kind, Object]]] = {}
        for place in _sorted(places):
            try:
                kind = kind_of(self.client, place[1], place[0])
            except UnknownKind:
                continue  # a kind that is no more has no objects
            values = [self.value, self.name] if place in self.earlier else [self.value]
            for item in self.client.list(kind, place[2], ["%s in (%s)" % (LABEL, ",".join(values))])[0]:
                owners = item["metadata"].get("ownerReferences") or []
                if identity(kind, item) in known or any(owner.get("controller") for owner in owners):
                    continue
                mine = item["metadata"]["labels"][LABEL] == self.value
                (found if mine else doubtful.setdefault(place, [])).append((kind, item))
        self.earlier = set()
        shared = self._shared() if doubtful else set()
        for place, items in doubtful.items():
            if shared is None or place in shared:
                said = (len(items), place[1], " in %s" % place[2] if place[2] else "", LABEL, self.name)
                self.warnings.append(
                    "%d %s%s with %s=%s, the label of an earlier version: they may be those of the "
                    "set of this name in another namespace, and are left" % said
                )
            else:
                found += items
        return found

    def _shared(self) -> set[Place] | None:
        """Where sets of this name in other namespaces had members under the old label; None: not known."""
        try:
            records = self.client.list(CONFIG_MAP, None, fields=["metadata.name=" + self.record])[0]
            others = [item for item in records if item["metadata"]["namespace"] != self.namespace]
            return {place for item in others for place in _places(item)[1]}
        except StatusError as problem:
            if problem.code != 403:
                raise
        except (ValueError, TypeError, AttributeError):
            pass  # a config map of that name which is no record
        return None

    def _found(self) -> Object | None:
        try:
            return self.client.get(CONFIG_MAP, self.namespace, self.record)
        except StatusError as problem:
            if problem.code != 404:
                raise
        return None


def _places(record: Object | None) -> tuple[list[Place], set[Place]]:
    """Where a record has members, and where it had members under the old label."""
    data = (record or {}).get("data") or {}

    def listed(key: str) -> list[Place]:
        parts = json.loads(data.get(key) or "[]")
        return [(str(version), str(kind), str(place) or None) for version, kind, place in parts]

    return listed("places"), set(listed("earlier" if "earlier" in data else "places"))


def _sorted(places: t.Iterable[Place]) -> list[Place]:
    return sorted(set(places), key=lambda place: (place[0], place[1], place[2] or ""))


def _text(places: t.Sequence[Place]) -> str:
    return json.dumps([[part or "" for part in place] for place in places])
