# SPDX-License-Identifier: GPL-3.0-or-later
"""The book of what the table holds, and the nft commands that bring the kernel from one state to the next.

Every service has its part; an address belongs to the service that came first. Nothing is run here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from navarch.network.proxy import ruleset
from navarch.network.proxy.affinity import Clients
from navarch.network.proxy.model import NOTHING, Address, Frontend, Plan
from navarch.network.proxy.ruleset import Element, Sticky
from navarch.network.services import ServiceKey

#: Chains for this many endpoints are there from the start.
_READY_POOLS = 32
#: Elements a command: short enough to read in a trace.
_CHUNK = 500


class Table:
    def __init__(self, name: str, service_cidr: str, cluster_cidr: str, dns: str = "") -> None:
        self.name = name
        self.service_cidr = service_cidr
        self.cluster_cidr = cluster_cidr
        self.dns = dns
        #: Where health checks are answered, 0 for nowhere; `whole` tells the kernel.
        self.health = 0
        self.plans: dict[ServiceKey, Plan] = {}
        self._owners: dict[Address, ServiceKey] = {}
        self._waiting: dict[Address, set[ServiceKey]] = {}
        self._local: Counter[str] = Counter()
        self._pools = ruleset.first_pools(_READY_POOLS)

    def change(self, plans: Mapping[ServiceKey, Plan]) -> tuple[str, set[ServiceKey]]:
        """Take new plans of services (NOTHING: gone) into the book.

        Returns the commands for it ("" for none), and services that an address became free for.
        """
        before = {key: self.frontends(key) for key in plans}
        had = {key: self.plans.get(key, NOTHING) for key in plans}
        local = {
            ip: self._local[ip] for key, plan in plans.items() for ip in (*self._locals(key), *plan.local)
        }
        freed = self.take(plans)
        gone: dict[Element, str] = {}
        new: dict[Element, str] = {}
        old_sticky, new_sticky = Sticky({}, {}), Sticky({}, {})
        pools: set[str] = set()
        for key, plan in plans.items():
            requested, asks = _health(had[key]), _health(plan)
            if requested != asks:
                gone.update(requested)
                new.update(asks)
            old, now = before[key], self.frontends(key)
            part, fresh = _part(old, now), _part(now, old)
            gone.update({e: v for e, v in part.items() if fresh.get(e) != v})
            new.update({e: v for e, v in fresh.items() if part.get(e) != v})
            for address, frontend in now.items():
                pools |= ruleset.pools(address, frontend)
            _stick(old_sticky, old)
            _stick(new_sticky, now)
        for ip, count in local.items():
            element = Element("hairpin", f"{ip} . {ip}")
            if self._local[ip] > 0 >= count:
                new[element] = ""
            elif self._local[ip] <= 0 < count:
                gone[element] = ""
        commands = [
            *self._chains(pools - self._pools, _minus(new_sticky, old_sticky)),
            *self._elements("delete", gone, with_values=False),
            *self._elements("add", new, with_values=True),
            *self._drop(_minus(old_sticky, new_sticky)),
        ]
        self._pools |= pools
        return "".join(f"{command}\n" for command in commands), freed

    def take(self, plans: Mapping[ServiceKey, Plan]) -> set[ServiceKey]:
        """Take new plans into the book alone; what the kernel holds is `whole`'s business then.

        Returns other services that an address became free for.
        """
        freed: set[ServiceKey] = set()
        # Addresses are given back before others may have them.
        for key, plan in plans.items():
            for address in self.plans.get(key, NOTHING).frontends.keys() - plan.frontends.keys():
                if self._owners.get(address) == key:
                    del self._owners[address]
                    freed |= self._waiting.pop(address, set())
                elif address in self._waiting:
                    self._waiting[address].discard(key)
        for key, plan in plans.items():
            for address in plan.frontends:
                if self._owners.setdefault(address, key) != key:
                    self._waiting.setdefault(address, set()).add(key)
            for ip in self._locals(key):
                self._local[ip] -= 1
                if not self._local[ip]:
                    del self._local[ip]
            if plan.frontends:
                self.plans[key] = plan
            else:
                self.plans.pop(key, None)
            for ip in self._locals(key):
                self._local[ip] += 1
        return freed - plans.keys()

    def _locals(self, key: ServiceKey) -> frozenset[str]:
        return self.plans.get(key, NOTHING).local

    def client_sets(self) -> dict[str, int]:
        """The sets in which affinity remembers clients, with their seconds."""
        everything = Sticky({}, {})
        for key in self.plans:
            _stick(everything, self.frontends(key))
        return everything.sets

    def whole(self, clients: Clients | None = None) -> str:
        """The table from nothing: replaces whatever there is of that name in one transaction.

        clients: what affinity remembers.
        """
        everything = Sticky({}, {})
        found: dict[Element, str] = {}
        for key, plan in self.plans.items():
            found.update(_health(plan))
            frontends = self.frontends(key)
            _stick(everything, frontends)
            for address, frontend in frontends.items():
                found.update(ruleset.elements(address, frontend))
                self._pools |= ruleset.pools(address, frontend)
        found.update({Element("hairpin", f"{ip} . {ip}"): "" for ip in self._local})
        frame = ruleset.frame(self.service_cidr, self.cluster_cidr, self.dns, self.health)
        commands = [
            f"table ip {self.name} {{}}",
            f"delete table ip {self.name}",
            f"table ip {self.name} {{\n{frame}}}",
            *self._chains(self._pools, everything),
            *self._elements("add", found, with_values=True),
            *self._elements("add", _remembered(everything, clients or {}), with_values=True),
        ]
        return "".join(f"{command}\n" for command in commands)

    def frontends(self, key: ServiceKey) -> dict[Address, Frontend]:
        """Those addresses of a service that are really its own."""
        owners = self._owners
        return {a: f for a, f in self.plans.get(key, NOTHING).frontends.items() if owners.get(a) == key}

    def _chains(self, pools: Iterable[str], sticky: Sticky) -> list[str]:
        at = f"ip {self.name}"
        commands = []
        for pool in sorted(pools):
            commands += [f"add chain {at} {pool}", f"add rule {at} {pool} {ruleset.pool_rule(pool)}"]
        for name, seconds in sticky.sets.items():
            commands.append(
                f"add set {at} {name} {{ type ipv4_addr; flags dynamic,timeout; timeout {seconds}s; }}"
            )
        commands += [f"add chain {at} {name}" for name in sticky.chains]
        for name, rules in sticky.chains.items():
            commands += [f"add rule {at} {name} {rule}" for rule in rules]
        return commands

    def _drop(self, sticky: Sticky) -> list[str]:
        at = f"ip {self.name}"
        commands = [f"flush chain {at} {name}" for name in sticky.chains]
        commands += [f"delete chain {at} {name}" for name in sticky.chains]
        return commands + [f"delete set {at} {name}" for name in sticky.sets]

    def _elements(self, verb: str, found: Mapping[Element, str], *, with_values: bool) -> list[str]:
        by_container: dict[str, list[str]] = {}
        for element, value in found.items():
            text = f"{element.key} : {value}" if value and with_values else element.key
            by_container.setdefault(element.container, []).append(text)
        return [
            f"{verb} element ip {self.name} {container} {{ {', '.join(texts[i : i + _CHUNK])} }}"
            for container, texts in by_container.items()
            for i in range(0, len(texts), _CHUNK)
        ]


def _remembered(sticky: Sticky, clients: Clients) -> dict[Element, str]:
    return {
        Element(name, f"{ip} expires {left}ms"): ""
        for name, found in clients.items()
        for ip, left in found
        if 0 < left <= sticky.sets.get(name, 0) * 1000
    }


def _health(plan: Plan) -> dict[Element, str]:
    return {} if plan.health is None else {ruleset.health_check(plan.health.port): ""}


def _part(these: Mapping[Address, Frontend], others: Mapping[Address, Frontend]) -> dict[Element, str]:
    """The elements of addresses that the others do not have just so."""
    found: dict[Element, str] = {}
    for address, frontend in these.items():
        if others.get(address) != frontend:
            found.update(ruleset.elements(address, frontend))
    return found


def _stick(into: Sticky, frontends: Mapping[Address, Frontend]) -> None:
    for address, frontend in frontends.items():
        more = ruleset.sticky(address, frontend)
        into.sets.update(more.sets)
        into.chains.update(more.chains)


def _minus(these: Sticky, those: Sticky) -> Sticky:
    return Sticky(
        {name: seconds for name, seconds in these.sets.items() if name not in those.sets},
        {name: rules for name, rules in these.chains.items() if name not in those.chains},
    )
