# SPDX-License-Identifier: GPL-3.0-or-later
"""The running DNS of a node: follows services and endpoint slices, keeps the zone, holds the address."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import logging

from navarch.network import process
from navarch.network.dns.answer import FIRST, Resolver
from navarch.network.dns.memory import Memory
from navarch.network.dns.records import of_service
from navarch.network.dns.server import DnsServer, allow
from navarch.network.dns.sockets import Store
from navarch.network.dns.upstream import Upstream, servers_file
from navarch.network.dns.zone import Zone
from navarch.network.services import ServiceKey, Services

log = logging.getLogger(__name__)

_AGAIN = 5.0
#: Seconds between looks whether there are names to be kept.
_KEEP = 30.0


class NodeDns:
    def __init__(
        self,
        services: Services,
        *,
        address: str,
        domain: str,
        cluster_cidr: str,
        service_cidr: str,
        node_ip: str,
        port: int = 53,
        upstream: Upstream | None = None,
        store: Store | None = None,
        memory: Memory | None = None,
    ) -> None:
        """services: run by its owner. store: where sockets outlive us; memory: where names do."""
        self.address = address
        self._port = port
        self._node_ip = node_ip
        self._pods: list[str] = []
        self._services = services
        self._store = store or Store({})
        self._memory = memory
        self._synced = False
        self.zone = Zone(domain, [cluster_cidr, service_cidr], address)
        self.upstream = upstream or Upstream(address, servers_file())
        self.resolver = Resolver(self.zone, self.upstream.ask)
        self.server = DnsServer(self.resolver, allow(self._own()))
        services.listen(self._look)

    def _own(self) -> list[str]:
        return ["127.0.0.0/8", "::1/128", self.address, self._node_ip]

    def set_pods(self, cidrs: list[str]) -> None:
        """The ranges of this node's pods: they may ask."""
        self._pods = cidrs
        self.server.allowed = allow([*self._own(), *self._pods])

    def set_node(self, node_ip: str) -> None:
        """The node's address is another one now."""
        self._node_ip = node_ip
        self.set_pods(self._pods)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._serve(), name="DNS server")
            self._recall()
            if self.resolver.remembers:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(FIRST):
                        await self._services.synced()
                self.resolver.ready.set()  # if the master is away, what was is all there is
            await self._services.synced()
            self._learn()
            self.resolver.ready.set()
            group.create_task(self._remember(), name="DNS memory")
            gc.freeze()  # the names stay: looking through them again and again takes 0.1 s each time

    def _recall(self) -> None:
        """The names of an earlier life, until the master tells."""
        if self._synced or self._memory is None:
            return
        for key, records in self._memory.load():
            self.zone.put(key, records)
            self.resolver.remembers = True

    def _learn(self) -> None:
        """All that there is, at once: a service listed before its endpoints would lose its names so long."""
        self._synced = True
        for key in {*self._services.keys(), *(key for key, _ in self.zone.items())}:
            self._look(key)

    async def _remember(self) -> None:
        """Keep names on disk, every now and then and at the end."""
        if self._memory is None:
            return
        kept = -1
        try:
            while True:
                await asyncio.sleep(_KEEP)
                if self._synced and self.zone.version != kept:
                    kept = self.zone.version
                    await asyncio.to_thread(self._memory.save, self.zone.items())
        finally:
            if self._synced and self.zone.version != kept:
                self._memory.save(self.zone.items())

    async def _serve(self) -> None:
        try:
            while True:
                try:
                    await self._hold_address()
                    udp, tcp = self._store.sockets(self.address, self._port)
                    await self.server.start(udp, tcp)
                    break
                except (OSError, TimeoutError) as error:
                    log.warning("DNS cannot listen on %s port %d: %s", self.address, self._port, error)
                await asyncio.sleep(_AGAIN)
            log.info("DNS for %s on %s", self.zone.domain, self.address)
            while True:
                await asyncio.sleep(60.0)
                await self._hold_address()  # whoever restarts the host's network may drop it
        finally:
            await self.server.close()
            await self.upstream.close()

    async def _hold_address(self) -> None:
        if ipaddress.ip_address(self.address).is_loopback:
            return
        command = ("ip", "addr", "replace", f"{self.address}/32", "dev", "lo", "scope", "host")
        code, _, err = await process.run(*command)
        if code != 0:
            raise OSError(f"ip addr replace: {err.decode(errors='replace').strip()}")

    async def remove(self) -> None:
        """Take the address off the host."""
        if not ipaddress.ip_address(self.address).is_loopback:
            await process.run("ip", "addr", "del", f"{self.address}/32", "dev", "lo")

    def _look(self, key: ServiceKey) -> None:
        if not self._synced:
            return
        service = self._services.get(key)
        found = of_service(service, self._services.slices_of(key), self.zone.domain) if service else []
        self.zone.put(key, found)
