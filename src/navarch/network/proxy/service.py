# SPDX-License-Identifier: GPL-3.0-or-later
"""The running proxy: follows services and endpoint slices, and loads what differs, batch by batch."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable, Mapping

from navarch.api.endpointslice import SERVICE_NAME, EndpointSlice
from navarch.api.service import Service
from navarch.client.base import Client
from navarch.client.informer import Informer
from navarch.network.proxy import model
from navarch.network.proxy.kernel import Kernel, RulesError
from navarch.network.proxy.model import NOTHING, Address, Backend, Frontend, Plan
from navarch.network.proxy.table import ServiceKey, Table
from navarch.network.proxy.views import ServiceView, SliceView

log = logging.getLogger(__name__)

#: Seconds between looks whether somebody flushed our table.
_LOOK = 10.0
#: Seconds to wait after a failed load, doubling up to the second number.
_AGAIN = (0.5, 30.0)


class ServiceProxy:
    """Owns one nftables table (`navarch_services` unless told) from run() to remove()."""

    def __init__(
        self,
        client: Client,
        node_name: str,
        *,
        service_cidr: str,
        cluster_cidr: str,
        table: str = "navarch_services",
        kernel: Kernel | None = None,
        look: float = _LOOK,
    ) -> None:
        """look: seconds between looks whether the table is still there."""
        self.node_name = node_name
        self.table = Table(table, service_cidr, cluster_cidr)
        self.kernel = kernel if kernel is not None else Kernel()
        #: Set while the kernel holds what has been heard of.
        self.settled = asyncio.Event()
        self._look = look
        self._client = client
        self._changed = asyncio.Event()
        self._follow_anew()

    async def run(self) -> None:
        """Until cancelled. The rules stay: connections live on while nobody looks after them.

        May be called again after it failed.
        """
        self._follow_anew()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.services.run(), name="services watch")
            tasks.create_task(self.slices.run(), name="endpoint slices watch")
            tasks.create_task(self._follow(), name="service rules")

    async def remove(self) -> None:
        """Take the table off the host, after run() has ended. Raises RulesError."""
        await self.kernel.remove_table(self.table.name)

    async def retire(self) -> None:
        """For a node whose proxy is switched off: what an earlier run left goes, if it can."""
        try:
            await self.remove()
        except RulesError as error:
            log.warning("service rules of before: %s", error)

    def _follow_anew(self) -> None:
        self.services: Informer[ServiceView] = Informer(self._client, Service, view=ServiceView)
        self.slices: Informer[SliceView] = Informer(
            self._client, EndpointSlice, view=SliceView, labels=SERVICE_NAME
        )
        self.slices.index("service", _services_of)
        self.services.listen(self._service_changed)
        self.slices.listen(self._slice_changed)
        # What went meanwhile is told by nobody.
        self._dirty = set(self.table.plans)
        self._whole = True

    def _service_changed(self, old: ServiceView | None, new: ServiceView | None) -> None:
        one = new or old
        if one is not None:
            self._mark((one.metadata.namespace or "", one.metadata.name or ""))

    def _slice_changed(self, old: SliceView | None, new: SliceView | None) -> None:
        for one in (old, new):
            for key in _services_of(one) if one is not None else ():
                namespace, _, name = key.partition("/")
                self._mark((namespace, name))

    def _mark(self, key: ServiceKey) -> None:
        self._dirty.add(key)
        self._changed.set()
        self.settled.clear()

    async def _follow(self) -> None:
        await self.services.synced.wait()
        await self.slices.synced.wait()
        looked = time.monotonic()
        delay, longest = _AGAIN
        while True:
            try:
                if self._whole or self._dirty:
                    await self._load()
                    delay = _AGAIN[0]
                elif time.monotonic() - looked >= self._look:
                    looked = time.monotonic()
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
            if not self._dirty:
                self._changed.clear()
                # Not wait_for: in Python 3.11 it may lose the cancellation.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._look):
                        await self._changed.wait()

    async def _load(self) -> None:
        """Bring the kernel to what the services are now. Raises RulesError."""
        dirty, self._dirty = self._dirty, set()
        before = {key: self.table.frontends(key) for key in dirty}
        rules, freed = self.table.change({key: self._plan(key) for key in dirty})
        self._dirty |= freed
        if self._whole:
            rules = self.table.whole()
        if rules:
            await self.kernel.load(rules)
        whole, self._whole = self._whole, False
        stale: dict[Address, frozenset[Backend]] = {}
        if whole:
            # What was loaded while nobody looked is not known: all that leads elsewhere than now goes.
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
        namespace, name = key
        service = self.services.get(name, namespace)
        if service is None:
            return NOTHING
        slices = self.slices.by_index("service", f"{namespace}/{name}")
        return model.plan(service, slices, self.node_name, self.table.plans.get(key, NOTHING))


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


def _services_of(one: SliceView) -> Iterable[str]:
    meta = one.metadata
    name = (meta.labels or {}).get(SERVICE_NAME)
    return [f"{meta.namespace or ''}/{name}"] if name else []
