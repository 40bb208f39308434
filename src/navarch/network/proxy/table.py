# SPDX-License-Identifier: GPL-3.0-or-later
"""The book of what the table holds, and the nft commands that bring the kernel from one state to the next.

Every service has its part; an address belongs to the service that came first. Nothing is run here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from navarch.network.proxy import ruleset
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
        self.plans: dict[ServiceKey, Plan] = {}
        self._owners: dict[Address, ServiceKey] = {}
        self._waiting: dict[Address, set[ServiceKey]] = {}
        self._parts: dict[ServiceKey, dict[Element, str]] = {}
        self._sticky: dict[ServiceKey, Sticky] = {}
        self._local: Counter[str] = Counter()
        self._pools = ruleset.first_pools(_READY_POOLS)

    def taken(self, address: Address, service: ServiceKey) -> bool:
        """Whether an address is another service's."""
        return self._owners.get(address, service) != service

    def change(self, plans: Mapping[ServiceKey, Plan]) -> tuple[str, set[ServiceKey]]:
        """Take new plans of services (NOTHING: gone) into the book.

        Returns the commands for it ("" for none), and services that an address became free for.
        """
        gone: dict[Element, str] = {}
        new: dict[Element, str] = {}
        old_sticky, new_sticky = Sticky({}, {}), Sticky({}, {})
        pools: set[str] = set()
        freed: set[ServiceKey] = set()
        before = Counter(self._local)
        # Addresses are given back before others may have them.
        for key, plan in plans.items():
            for address in self.plans.get(key, NOTHING).frontends.keys() - plan.frontends.keys():
                if self._owners.get(address) == key:
                    del self._owners[address]
                    freed |= self._waiting.pop(address, set())
                elif address in self._waiting:
                    self._waiting[address].discard(key)
        for key, plan in plans.items():
            frontends = self._claim(key, plan)
            part: dict[Element, str] = {}
            sticky = Sticky({}, {})
            for address, frontend in frontends.items():
                part.update(ruleset.elements(address, frontend))
                pools |= ruleset.pools(address, frontend)
                more = ruleset.sticky(address, frontend)
                sticky.sets.update(more.sets)
                sticky.chains.update(more.chains)
            old = self._parts.get(key, {})
            gone.update({e: v for e, v in old.items() if part.get(e) != v})
            new.update({e: v for e, v in part.items() if old.get(e) != v})
            _merge(old_sticky, self._sticky.get(key))
            _merge(new_sticky, sticky)
            self._local.subtract(self.plans.get(key, NOTHING).local)
            self._local.update(plan.local)
            if plan is NOTHING or not plan.frontends:
                for book in (self.plans, self._parts, self._sticky):
                    book.pop(key, None)
            else:
                self.plans[key], self._parts[key] = plan, part
                if sticky.chains:
                    self._sticky[key] = sticky
                else:
                    self._sticky.pop(key, None)
        touched = {ip for plan in plans.values() for ip in plan.local} | set(before)
        for ip in touched:
            element = Element("hairpin", f"{ip} . {ip}")
            if self._local[ip] > 0 >= before[ip]:
                new[element] = ""
            elif self._local[ip] <= 0 < before[ip]:
                gone[element] = ""
        self._local = +self._local
        commands = [
            *self._chains(pools - self._pools, _minus(new_sticky, old_sticky)),
            *self._elements("delete", gone, with_values=False),
            *self._elements("add", new, with_values=True),
            *self._drop(_minus(old_sticky, new_sticky)),
        ]
        self._pools |= pools
        return "".join(f"{command}\n" for command in commands), freed - plans.keys()

    def whole(self) -> str:
        """The table from nothing: replaces whatever there is of that name in one transaction."""
        everything = Sticky({}, {})
        for sticky in self._sticky.values():
            _merge(everything, sticky)
        found: dict[Element, str] = {}
        for part in self._parts.values():
            found.update(part)
        found.update({Element("hairpin", f"{ip} . {ip}"): "" for ip in self._local})
        commands = [
            f"table ip {self.name} {{}}",
            f"delete table ip {self.name}",
            f"table ip {self.name} {{\n{ruleset.frame(self.service_cidr, self.cluster_cidr, self.dns)}}}",
            *self._chains(self._pools, everything),
            *self._elements("add", found, with_values=True),
        ]
        return "".join(f"{command}\n" for command in commands)

    def frontends(self, key: ServiceKey) -> dict[Address, Frontend]:
        """Those addresses of a service that are really its own."""
        return {a: f for a, f in self.plans.get(key, NOTHING).frontends.items() if not self.taken(a, key)}

    def _claim(self, key: ServiceKey, plan: Plan) -> dict[Address, Frontend]:
        mine = {}
        for address, frontend in plan.frontends.items():
            if self._owners.setdefault(address, key) == key:
                mine[address] = frontend
            else:
                self._waiting.setdefault(address, set()).add(key)
        return mine

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


def _merge(into: Sticky, more: Sticky | None) -> None:
    if more is not None:
        into.sets.update(more.sets)
        into.chains.update(more.chains)


def _minus(these: Sticky, those: Sticky) -> Sticky:
    return Sticky(
        {name: seconds for name, seconds in these.sets.items() if name not in those.sets},
        {name: rules for name, rules in these.chains.items() if name not in those.chains},
    )
