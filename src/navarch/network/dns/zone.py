# SPDX-License-Identifier: GPL-3.0-or-later
"""All names of the cluster, changed service by service."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from navarch.network.dns.records import Record
from navarch.network.services import ServiceKey

#: Seconds that clients may keep answers.
TTL = 5

_POD = re.compile(r"(\d{1,3})-(\d{1,3})-(\d{1,3})-(\d{1,3})\.[a-z0-9-]+")


class Zone:
    """The cluster's domain and the reverse names of its pods and services."""

    def __init__(self, domain: str, ranges: Sequence[str] = (), server: str = "127.0.0.1") -> None:
        """ranges: of all pods of the cluster, and of its services. server: the address of the DNS itself."""
        self.domain = domain.strip(".").lower()
        self._dotted = f".{self.domain}"
        self._ranges = [ipaddress.ip_network(one) for one in ranges]
        #: Counts changes.
        self.version = 0
        self._names: dict[str, list[Record]] = {}
        #: Names that exist because something is below them, and how often.
        self._above: dict[str, int] = {}
        self._of: dict[ServiceKey, tuple[Record, ...]] = {}
        always = [
            Record(f"dns-version.{self.domain}", "TXT", "1.1.0"),
            Record(f"ns.dns.{self.domain}", "A", server),
        ]
        for record in always:
            self._add(record)
        for name in (self.domain, f"svc.{self.domain}", f"pod.{self.domain}"):
            self._above[name] = self._above.get(name, 0) + 1

    def put(self, key: ServiceKey, records: Sequence[Record]) -> bool:
        """What a service makes of names now, nothing when it is gone. Returns whether that is a change."""
        fresh = tuple(records)
        old = self._of.get(key, ())
        if fresh == old:
            return False
        for record in old:
            self._remove(record)
        for record in fresh:
            self._add(record)
        if fresh:
            self._of[key] = fresh
        else:
            del self._of[key]
        self.version += 1
        return True

    def items(self) -> list[tuple[ServiceKey, tuple[Record, ...]]]:
        """What each service makes of names."""
        return list(self._of.items())

    def holds(self, name: str) -> bool:
        """Whether the name is ours to answer: below the domain, or an address of a pod or a service."""
        if name == self.domain or name.endswith(self._dotted) or name in self._names:
            return True
        if not name.endswith(".in-addr.arpa"):
            return False
        try:
            address = ipaddress.ip_address(".".join(reversed(name.removesuffix(".in-addr.arpa").split("."))))
        except ValueError:
            return False
        return any(address in one for one in self._ranges)

    def find(self, name: str) -> list[Record] | None:
        """All records of a name; [] when it has none but exists; None when there is no such name."""
        found = self._names.get(name)
        if found is not None:
            return found
        if name in self._above:
            return []
        return self._pod(name)

    def _pod(self, name: str) -> list[Record] | None:
        """`a-b-c-d.namespace.pod.domain` is that address, when it is one of the cluster's pods' range."""
        tail = f".pod{self._dotted}"
        if not name.endswith(tail):
            return None
        match = _POD.fullmatch(name.removesuffix(tail))
        if match is None:
            return None
        try:
            address = ipaddress.ip_address(".".join(match.groups()))
        except ValueError:
            return None
        if self._ranges and address not in self._ranges[0]:
            return None
        return [Record(name, "A", str(address))]

    def _add(self, record: Record) -> None:
        self._names.setdefault(record.name, []).append(record)
        for name in self._parents(record.name):
            self._above[name] = self._above.get(name, 0) + 1

    def _remove(self, record: Record) -> None:
        held = self._names[record.name]
        held.remove(record)
        if not held:
            del self._names[record.name]
        for name in self._parents(record.name):
            self._above[name] -= 1
            if not self._above[name]:
                del self._above[name]

    def _parents(self, name: str) -> list[str]:
        found = []
        while name.endswith(self._dotted):
            name = name.partition(".")[2]
            if name == self.domain:
                break
            found.append(name)
        return found
