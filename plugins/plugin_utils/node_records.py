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

from ansible_collections.navarch.cluster.plugins.plugin_utils.provider_ids import TOLD_BY_ID

#: What two records of the same machine may have in common.
MERGE_BY = ("instance_id", "address")


@dataclass(frozen=True)
class NodeRecord:
    """A machine as one source sees it.

    ``name``: its own name; ``address``: where to connect to; ``variables``: plain JSON values. ``ids`` and
    ``addresses``: by which other sources may know the same machine; ``host_names``: the same between a
    cluster and a list, as clouds give theirs again and again. ``provider``: the cloud that the machine is of,
    where that is known. ``node``: a cluster says so; the first of its ``ids`` is the providerID.
    ``templates``: variables are to be evaluated when they are used.
    """

    name: str
    address: str | None = None
    variables: dict[str, t.Any] = field(default_factory=dict)
    ids: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    host_names: tuple[str, ...] = ()
    provider: str = ""
    node: bool = False
    templates: bool = False

    def to_cache(self) -> dict[str, t.Any]:
        return asdict(self)

    @classmethod
    def from_cache(cls, cached: t.Mapping[str, t.Any]) -> NodeRecord:
        lists = {name: tuple(cached[name]) for name in ("ids", "addresses", "host_names")}
        return cls(**dict(cached, variables=dict(cached["variables"]), **lists))


@dataclass(eq=False)
class _Host:
    """What several sources say of one machine: the place of each in the file, its name and its record."""

    parts: list[tuple[int, str, NodeRecord]]

    @property
    def name(self) -> str:
        return self.parts[0][2].name

    def other_than(self, host: _Host) -> bool:
        """Whether a source has both, or what is known of them says that they are two."""
        return any(
            place == other_place or _differ(record, other)
            for place, _source, record in self.parts
            for other_place, _other_source, other in host.parts
        )


class Merge:
    """Hosts of the records of several sources, in the sources' order: who comes first has the last word."""

    def __init__(self, by: t.Sequence[str] = MERGE_BY) -> None:
        self._by = by
        self._hosts: list[_Host] = []
        self._sources = 0
        self.doubts: list[str] = []

    def add(self, source: str, records: t.Iterable[NodeRecord]) -> None:
        """The records of one source, which are different machines among themselves."""
        self._hosts += [_Host([(self._sources, source, record)]) for record in records]
        self._sources += 1

    def hosts(self) -> list[NodeRecord]:
        """The machines, each with the variable ``sources``: the names of the sources that know it."""
        hosts = self._hosts
        if self._sources > 1:
            # Ids of all sources first: an address, which may come again elsewhere, only says what no id does.
            for kind in MERGE_BY:
                if kind in self._by:
                    hosts = self._merged(hosts, kind)
        made = []
        for host in hosts:
            record = host.parts[0][2]
            for _place, _source, other in host.parts[1:]:
                record = _together(record, other)
            sources = [source for _place, source, _record in host.parts]
            made.append(replace(record, variables={**record.variables, "sources": sources}))
        return made

    def _merged(self, hosts: t.Sequence[_Host], kind: str) -> list[_Host]:
        """The hosts, those of which one mark of this kind says that they are the same put together."""
        made: list[_Host] = []
        known: dict[tuple[str, str], list[_Host]] = {}
        for host in hosts:
            marks = {mark for _place, _source, record in host.parts for mark in _marks(record, kind)}
            found: list[_Host] = []
            for mark in marks:
                found += [one for one in known.get(mark, ()) if one not in found and not one.other_than(host)]
            same = found[0] if len(found) == 1 else host
            if same is host:
                made.append(host)
            else:
                same.parts = sorted(same.parts + host.parts, key=lambda part: part[0])
            if len(found) > 1:
                self.doubts.append(
                    "%s of source %s could be any of %s by its %s, and stays apart"
                    % (host.name, host.parts[0][1], ", ".join(sorted(one.name for one in found)), kind)
                )
            for mark in marks:
                places = known.setdefault(mark, [])
                if same not in places:
                    places.append(same)
        return made


def _marks(record: NodeRecord, kind: str) -> t.Iterator[tuple[str, str]]:
    if kind == "instance_id":
        yield from ((kind, one) for one in record.ids)
    else:
        yield from ((kind, one) for one in record.addresses)
        yield from (("host_name", one) for one in record.host_names)


def _differ(one: NodeRecord, other: NodeRecord) -> bool:
    """Whether it is known that these are two machines, whatever their addresses: private ones come often."""
    if one.node and other.node:  # clusters are built alike, with the same names and networks
        return one.ids[:1] != other.ids[:1] or not one.ids
    if not one.provider or not other.provider:
        return False
    if one.provider != other.provider:
        return True
    told = not (one.node or other.node) or one.provider in TOLD_BY_ID
    return told and not set(one.ids) & set(other.ids)


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
        host_names=first.host_names + second.host_names,
        provider=first.provider or second.provider,
        node=first.node or second.node,
        templates=first.templates or second.templates,
    )
