# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sets of objects that belong together, so that what a manifest names no more can be found and deleted.

Belongs here: the label of a set's members, and the config map that says in which kinds and namespaces they
are. Not here: applying and deleting (``apply``).
"""

from __future__ import annotations

import json
import re
import typing as t

from .client import CONFIG_MAP, Client, Kind
from .discovery import UnknownKind, kind_of
from .errors import OptionError, StatusError
from .resource import definition, everything_mutable, present

Object = t.Dict[str, t.Any]
Place = t.Tuple[str, str, t.Optional[str]]  # apiVersion, kind, namespace
LABEL = "navarch.io/set"
_NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]{0,45}[a-z0-9])?$")
#: Deleting one of these takes more along than itself, so no set ever prunes it.
KEPT = frozenset(("CustomResourceDefinition", "Namespace", "PersistentVolume", "PersistentVolumeClaim"))


class ObjectSet:
    """One set in one cluster. Its record lies in the namespace of the task."""

    def __init__(self, client: Client, name: str, namespace: str) -> None:
        if not _NAME.match(name):
            raise OptionError(
                "set", "%r is no name of a set: small letters, digits, - and ., at most 47 of them" % name
            )
        self.client = client
        self.name = name
        self.namespace = namespace
        self.record = "navarch-set-" + name
        self.before = self._read()

    def label(self, asked: Object) -> Object:
        """The object as a member of this set."""
        metadata = asked["metadata"]
        labels = dict(metadata.get("labels") or {}, **{LABEL: self.name})
        return dict(asked, metadata=dict(metadata, labels=labels))

    def stranger(self, live: Object | None) -> str | None:
        """The other set that an object is a member of."""
        if live is None:
            return None
        found = (live["metadata"].get("labels") or {}).get(LABEL)
        return str(found) if found and found != self.name else None

    def write(self, places: t.Iterable[Place]) -> bool:
        """Keeps where members are. Whether that was news. Nothing at all is a set that is no more."""
        content = sorted(set(places), key=lambda place: (place[0], place[1], place[2] or ""))
        if not content:
            return self.client.delete(CONFIG_MAP, self.namespace, self.record)
        text = json.dumps([[part or "" for part in place] for place in content])
        metadata = {"annotations": {"navarch.io/about": "Where the members of the set %s are." % self.name}}
        body = definition(
            CONFIG_MAP, self.record, self.namespace, metadata, None, data={"places": text, "set": self.name}
        )
        outcome = present(self.client, CONFIG_MAP, body, everything_mutable)
        self.before = content
        return outcome.before != outcome.live

    def members(self, places: t.Iterable[Place]) -> t.Iterator[tuple[Kind, Object]]:
        """The objects of this set that the cluster has in these places."""
        for api_version, name, namespace in sorted(set(places), key=lambda place: tuple(map(str, place))):
            try:
                kind = kind_of(self.client, name, api_version)
            except UnknownKind:
                continue  # a kind that is no more has no objects
            for item in self.client.list(kind, namespace, ["%s=%s" % (LABEL, self.name)])[0]:
                owners = item["metadata"].get("ownerReferences") or []
                if not any(owner.get("controller") for owner in owners):
                    yield kind, item

    def _read(self) -> list[Place]:
        try:
            found = self.client.get(CONFIG_MAP, self.namespace, self.record)
        except StatusError as problem:
            if problem.code != 404:
                raise
            found = None
        try:
            listed = json.loads(((found or {}).get("data") or {}).get("places") or "[]")
            return [(str(version), str(kind), str(place) or None) for version, kind, place in listed]
        except (ValueError, TypeError):
            raise OptionError(
                "set", "config map %s/%s is no record of a set" % (self.namespace, self.record)
            ) from None
