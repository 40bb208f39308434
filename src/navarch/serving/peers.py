# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of connections: per peer address until a request was authenticated, then per user.

A stranger always gets in: the oldest unauthenticated connection of its own address goes for it, or where all
places of strangers are taken, that of the address that has the most. So a client that authenticates itself at
once is served however many silent connections there are. Not here: accepting (`listener`), requests
(`flowcontrol`).
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

#: Priority levels of users: without limits; the cluster's own parts; all others, who may hold three fifths of
#: the connections.
EXEMPT, SYSTEM, WORKLOAD = "exempt", "system", "workload"


class ConnectionLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """How many connections one peer or one user may hold."""

    #: All connections. A fifth is for those that are not authenticated yet, a fifth is kept for nodes and
    #: administrators. One costs about 50 KB and an open file; half of the process's open files is the most.
    connections: int = 5000
    #: Connections of one peer address (of IPv6 a /64) on which no request was authenticated yet.
    unauthenticated_per_address: int = 256
    #: Connections of one user; administrators (system:masters) have no such limit.
    connections_per_user: int = 1000


class Place:
    """One connection's place, from when it is accepted."""

    __slots__ = ("_places", "address", "close", "level", "user")

    def __init__(self, places: Places, address: str) -> None:
        self._places = places
        self.address = address
        #: Ends the connection; set by its owner.
        self.close: Callable[[], object] = lambda: None
        #: The user of its first authenticated request, and that user's level.
        self.user: str | None = None
        self.level = ""

    def take(self, user: str, level: str) -> bool:
        """The connection is this user's, who is of that level. False when the user has as many as it may."""
        return self._places._take(self, user, level)

    def leave(self) -> None:
        """The connection is gone. May be called again."""
        self._places._leave(self)


class Places:
    def __init__(self, limits: ConnectionLimits, files: int) -> None:
        """files: open files that the process may have. Without one to spare it could reach nobody itself."""
        self._most = min(limits.connections, max(files // 2, 10))
        self._strangers_most = self._most // 5
        self._users_most = self._most * 3 // 5
        self._per_address = limits.unauthenticated_per_address
        self._per_user = limits.connections_per_user
        #: Those without a user, oldest first; the same by address.
        self._strangers: dict[Place, None] = {}
        self._by_address: dict[str, dict[Place, None]] = {}
        self._by_user: Counter[str] = Counter()
        self._by_level: Counter[str] = Counter()
        #: Ended for a limit, by reason.
        self._ended: Counter[str] = Counter()

    def arrive(self, host: str) -> Place | None:
        """A place for a new connection; None when there is none."""
        address = group(host)
        mine = self._by_address.get(address)
        if mine is not None and len(mine) >= self._per_address:
            self._evict(mine, "unauthenticated-per-address")
        elif len(self._strangers) >= self._strangers_most:
            self._evict(max(self._by_address.values(), key=len), "unauthenticated")
        elif len(self._strangers) + self._by_level.total() >= self._most:
            if not self._strangers:
                self._ended["connections"] += 1
                return None
            self._evict(max(self._by_address.values(), key=len), "connections")
        place = Place(self, address)
        self._strangers[place] = None
        self._by_address.setdefault(address, {})[place] = None
        return place

    def _evict(self, places: dict[Place, None], reason: str) -> None:
        oldest = next(iter(places))
        self._ended[reason] += 1
        self._leave(oldest)
        oldest.close()

    def _take(self, place: Place, user: str, level: str) -> bool:
        if level != EXEMPT and self._by_user[user] >= self._per_user:
            self._ended["per-user"] += 1
            return False
        if level == WORKLOAD and self._by_level[level] >= self._users_most:
            self._ended["users"] += 1
            return False
        self._forget(place)
        place.user, place.level = user, level
        self._by_user[user] += 1
        self._by_level[level] += 1
        return True

    def _leave(self, place: Place) -> None:
        if place.user is None:
            self._forget(place)
        elif place.level:
            self._by_level[place.level] -= 1
            self._by_user[place.user] -= 1
            if not self._by_user[place.user]:
                del self._by_user[place.user]
            place.level = ""

    def _forget(self, place: Place) -> None:
        if place in self._strangers:
            del self._strangers[place]
            same = self._by_address[place.address]
            del same[place]
            if not same:
                del self._by_address[place.address]

    def collect(self) -> Iterator[Any]:
        """The collector interface of prometheus-client."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        open_ = GaugeMetricFamily(
            "apiserver_connections",
            "Open connections, by the level of their user.",
            labels=["priority_level"],
        )
        open_.add_metric(["unauthenticated"], len(self._strangers))
        for level in (EXEMPT, SYSTEM, WORKLOAD):
            open_.add_metric([level], self._by_level[level])
        yield open_
        yield GaugeMetricFamily("apiserver_connections_limit", "Most connections at a time.", self._most)
        ended = CounterMetricFamily(
            "apiserver_connections_ended", "Connections ended or refused for a limit.", labels=["reason"]
        )
        for reason, count in self._ended.items():
            ended.add_metric([reason], count)
        yield ended


def group(host: str) -> str:
    """What counts as one peer: an IPv4 address, or the /64 that one IPv6 host commonly has for itself."""
    if ":" not in host:
        return host
    address = ipaddress.IPv6Address(host.partition("%")[0])
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, 64), strict=False)) if not address.is_loopback else host
