# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an inventory source says of one machine, and how what several sources say becomes one host.

Belongs here: the record, its way through the inventory's cache, and the merge. Not here: where records come
from (a source is one file, ``source_*.py``), and what Ansible makes of a host.
"""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass, field, replace

#: What two records of the same machine may have in common.
MERGE_BY = ("instance_id", "address")


@dataclass(frozen=True)
class NodeRecord:
    """A machine as one source sees it.

    ``name``: its own name; ``address``: where to connect to; ``variables``: plain JSON values. ``ids`` and
    ``addresses``: by which other sources may know the same machine. ``provider``: the cloud, where the source
    is one; two machines of one cloud with different ids are never the same.
    """

    name: str
    address: str | None = None
    variables: dict[str, t.Any] = field(default_factory=dict)
    ids: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    provider: str = ""

    def to_cache(self) -> dict[str, t.Any]:
        return asdict(self)

    @classmethod
    def from_cache(cls, cached: t.Mapping[str, t.Any]) -> NodeRecord:
        lists = {name: tuple(cached[name]) for name in ("ids", "addresses")}
        return cls(**dict(cached, variables=dict(cached["variables"]), **lists))


class Merge:
    """Hosts of the records of several sources, in the sources' order: who comes first has the last word."""

    def __init__(self, by: t.Sequence[str] = MERGE_BY) -> None:
        self._by = by
        self._hosts: list[NodeRecord] = []
        self._sources: list[list[str]] = []
        self._known: dict[tuple[str, str], list[int]] = {}
        self.doubts: list[str] = []

    def add(self, source: str, records: t.Iterable[NodeRecord]) -> None:
        """The records of one source, which are different machines among themselves."""
        alone = not self._hosts
        for record in records:
            at = None if alone else self._same(source, record)
            if at is None:
                at = len(self._hosts)
                self._hosts.append(record)
                self._sources.append([source])
            else:
                self._hosts[at] = _together(self._hosts[at], record)
                self._sources[at].append(source)
            for mark in self._marks(record):
                places = self._known.setdefault(mark, [])
                if at not in places:
                    places.append(at)

    def hosts(self) -> list[NodeRecord]:
        """The machines, each with the variable ``sources``: the names of the sources that know it."""
        return [
            replace(host, variables={**host.variables, "sources": sources})
            for host, sources in zip(self._hosts, self._sources, strict=True)
        ]

    def _marks(self, record: NodeRecord) -> t.Iterator[tuple[str, str]]:
        if "instance_id" in self._by:
            yield from (("instance_id", one) for one in record.ids)
        if "address" in self._by:
            yield from (("address", one) for one in record.addresses)

    def _same(self, source: str, record: NodeRecord) -> int | None:
        """The place of the host that this record is of too: by id, else by an address that only one has."""
        for kind in self._by:
            found = {
                at
                for mark in self._marks(record)
                if mark[0] == kind
                for at in self._known.get(mark, ())
                if source not in self._sources[at] and not _differ(self._hosts[at], record)
            }
            if len(found) == 1:
                return found.pop()
            if found:
                names = ", ".join(sorted(self._hosts[at].name for at in found))
                self.doubts.append(
                    "%s of source %s could be any of %s by its %s, and stays apart"
                    % (record.name, source, names, kind)
                )
        return None


def _differ(one: NodeRecord, other: NodeRecord) -> bool:
    """Whether clouds say that these are two machines, whatever their addresses: private ones come often."""
    if not one.provider or not other.provider:
        return False
    return one.provider != other.provider or not set(one.ids) & set(other.ids)


def _together(first: NodeRecord, second: NodeRecord) -> NodeRecord:
    """Both records as one. Where both know a variable the first's stays; mappings are put together by key."""
    variables = dict(second.variables)
    for name, value in first.variables.items():
        other = variables.get(name)
        if isinstance(value, t.Mapping) and isinstance(other, t.Mapping):
            value = {**other, **value}
        if value is not None or name not in variables:
            variables[name] = value
    return NodeRecord(
        name=first.name,
        address=first.address or second.address,
        variables=variables,
        ids=tuple(dict.fromkeys(first.ids + second.ids)),
        addresses=tuple(dict.fromkeys(first.addresses + second.addresses)),
        provider=first.provider or second.provider,
    )
