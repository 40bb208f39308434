# SPDX-License-Identifier: GPL-3.0-or-later
"""The running proxy: follows services and endpoint slices, and loads what differs, batch by batch."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import time
from collections.abc import Mapping

from navarch.network.proxy import model
from navarch.network.proxy.health import HealthChecks
from navarch.network.proxy.kernel import Kernel, RulesError
from navarch.network.proxy.model import NOTHING, Address, Backend, Frontend, Place, Plan
from navarch.network.proxy.table import Table
from navarch.network.services import ServiceKey, Services

log = logging.getLogger(__name__)

#: Seconds between looks whether somebody flushed our table.
_LOOK = 10.0
#: Seconds to wait after a failed load, doubling up to the second number.
_AGAIN = (0.5, 30.0)


class ServiceProxy:
    """Owns one nftables table (`navarch_services` by default) from run() to remove()."""

    def __init__(
        self,
        services: Services,
        node_name: str,
        *,
        service_cidr: str,
        cluster_cidr: str,
        dns: str = "",
        table: str = "navarch_services",
        kernel: Kernel | None = None,
        look: float = _LOOK,
    ) -> None:
        """services: run by its owner. dns: the node's own server, silent while it restarts. look: seconds
        between looks whether the table is still there."""
        self._place = Place(node_name)
        self.table = Table(table, service_cidr, cluster_cidr, dns)
        self.kernel = kernel if kernel is not None else Kernel()
        #: Set while the kernel holds what has been heard of.
        self.settled = asyncio.Event()
        self.health = HealthChecks()
        self._look = look
        self._look_now = False
        self._services = services
        self._changed = asyncio.Event()
        self._dirty: set[ServiceKey] = set()
        self._whole = True
        self._listening = False

    async def run(self) -> None:
        """Until cancelled. The rules stay: connections live on without the proxy.

        May be called again after it failed.
        """
        # A batch that failed half-way is done again, and what the kernel holds is not known.
        self._dirty |= {*self.table.plans, *self._services.keys()}
        self._whole = True
        if not self._listening:
            self._listening = True
            self._services.listen(self._mark)
        try:
            await self._follow()
        finally:
            await self.health.close()

    def look(self) -> None:
        """Somebody took away rules: see at once whether ours are still there."""
        self._look_now = True
        self._changed.set()

    async def remove(self) -> None:
        """Take the table off the host, after run() has ended. Raises RulesError."""
        await self.kernel.remove_table(self.table.name)

    async def retire(self) -> None:
        """For a node whose proxy is switched off: what an earlier run left goes, if it can."""
        try:
            await self.remove()
        except RulesError as error:
            log.warning("service rules of before: %s", error)

    def set_zone(self, zone: str) -> None:
        """Where the node is: services may prefer endpoints of their clients' zone."""
        if zone != self._place.zone:
            self._place = self._place._replace(zone=zone)
            for service in self._services.items():
                if service.spec is not None and service.spec.traffic_distribution:
                    self._mark((service.metadata.namespace or "", service.metadata.name))

    def _mark(self, key: ServiceKey) -> None:
        self._dirty.add(key)
        self._changed.set()
        self.settled.clear()

    async def _answer_health_checks(self) -> None:
        self.table.health = 0
        try:
            sock = await self.kernel.listen()
        except OSError as error:
            log.warning("health checks of load balancers get no answer: %s", error)
            return
        self.table.health = int(sock.getsockname()[1])
        await self.health.serve(sock)

    async def _follow(self) -> None:
        await self._answer_health_checks()
        await self._services.synced()
        looked = time.monotonic()
        delay, longest = _AGAIN
        while True:
            try:
                if self._whole or self._dirty:
                    await self._load()
                    delay = _AGAIN[0]
                elif self._look_now or time.monotonic() - looked >= self._look:
                    looked, self._look_now = time.monotonic(), False
                    if not await self.kernel.has_table(self.table.name):
                        log.warning("the nftables table %s is gone: loading it again", self.table.name)
                        self._whole = True
                        continue
            except RulesError as error:
                # The book is ahead of the kernel now: only the whole brings them together again.
                log.error("service rules: %s", error)
                self._whole = True
                await asyncio.sleep(delay)
                delay = min(delay * 2, longest)
                continue
            if not self._dirty and not self._look_now:
                self._changed.clear()
                # Not wait_for: in Python 3.11 it may lose the cancellation.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._look):
                        await self._changed.wait()

    async def _load(self) -> None:
        """Bring the kernel to what the services are now. Raises RulesError."""
        dirty, self._dirty = self._dirty, set()
        before = {key: self.table.frontends(key) for key in dirty}
        plans = {key: self._plan(key) for key in dirty}
        try:
            if self._whole:
                self._dirty |= self.table.take(plans)
                # What is there from an earlier life is replaced, but for whom it has led where.
                rules = self.table.whole(await self.kernel.clients(self.table.name, self.table.client_sets()))
            else:
                rules, freed = self.table.change(plans)
                self._dirty |= freed
            del plans
            if rules:
                await self.kernel.load(rules)
        except RulesError:
            self._dirty |= dirty
            raise
        self.health.follow({key: self.table.plans.get(key, NOTHING).health for key in dirty})
        whole, self._whole = self._whole, False
        if whole:
            gc.freeze()  # what was learnt stays: looking through it again and again takes 0.1 s each time
        stale: dict[Address, frozenset[Backend]] = {}
        if whole:
            # What was loaded in between is not known: entries that lead elsewhere than the rules are removed.
            for key in self.table.plans:
                stale.update(_udp(self.table.frontends(key)))
        else:
            for key in dirty:
                for address, backends in _lost(before[key], _udp(self.table.frontends(key))).items():
                    # One service's address may have become another's in the same batch.
                    if backends or address not in stale:
                        stale[address] = backends
        if stale:
            gone = await self.kernel.forget(stale)
            if gone:
                log.info("%d UDP conversations with gone endpoints removed", gone)
        if not self._dirty:
            self.settled.set()

    def _plan(self, key: ServiceKey) -> Plan:
        service = self._services.get(key)
        if service is None:
            return NOTHING
        before = self.table.plans.get(key, NOTHING)
        return model.plan(service, self._services.slices_of(key), self._place, before)


def _udp(frontends: Mapping[Address, Frontend]) -> dict[Address, frozenset[Backend]]:
    return {a: _backends(f) for a, f in frontends.items() if a.protocol == "udp"}


def _backends(frontend: Frontend) -> frozenset[Backend]:
    return frozenset((*frontend.inside, *(frontend.outside or ())))


def _lost(
    before: Mapping[Address, Frontend], now: dict[Address, frozenset[Backend]]
) -> dict[Address, frozenset[Backend]]:
    """UDP addresses that lost an endpoint or got their first, with the endpoints they have now.

    Who spoke to an address before it had endpoints has a conversation that leads nowhere.
    """
    old = _udp(before)
    found = {address: frozenset[Backend]() for address in old.keys() - now.keys()}
    for address, backends in now.items():
        had = old.get(address, frozenset())
        if had - backends or (backends and not had):
            found[address] = backends
    return found
