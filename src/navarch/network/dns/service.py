# SPDX-License-Identifier: GPL-3.0-or-later
"""The running DNS of a node: follows services and endpoint slices, keeps the zone, holds the address."""

from __future__ import annotations

import asyncio
import ipaddress
import logging

from navarch.api.endpointslice import EndpointSlice
from navarch.client.base import Client
from navarch.client.informer import Informer
from navarch.network import process
from navarch.network.dns.answer import Resolver
from navarch.network.dns.records import of_service
from navarch.network.dns.server import DnsServer, allow
from navarch.network.dns.upstream import Upstream, servers_file
from navarch.network.dns.views import SERVICE_NAME, ServiceView, SliceView
from navarch.network.dns.zone import Key, Zone

log = logging.getLogger(__name__)

_AGAIN = 5.0


class NodeDns:
    def __init__(
        self,
        client: Client,
        services: Informer[ServiceView],
        *,
        address: str,
        domain: str,
        cluster_cidr: str,
        node_ip: str,
        port: int = 53,
        servers: str | None = None,
    ) -> None:
        """services: an informer of all services, run by its owner. servers: a resolv.conf with the servers to
        ask."""
        self.address = address
        self._port = port
        self._node_ip = node_ip
        self._services = services
        self._slices: Informer[SliceView] = Informer(
            client, EndpointSlice, view=SliceView, labels=SERVICE_NAME
        )
        self._slices.index("service", lambda s: [_place(_service(s))])
        self.zone = Zone(domain, ipaddress.ip_network(cluster_cidr), address)
        self.upstream = Upstream(address, servers or servers_file())
        self.resolver = Resolver(self.zone, self.upstream.ask)
        self.server = DnsServer(self.resolver, allow(self._own()))
        services.listen(lambda old, new: self._look(_key(new or old)))
        self._slices.listen(lambda old, new: self._look(_service(new or old)))

    def _own(self) -> list[str]:
        return ["127.0.0.0/8", "::1/128", self.address, self._node_ip]

    def set_pods(self, cidrs: list[str]) -> None:
        """The ranges of this node's pods: they may ask."""
        self.server.allowed = allow([*self._own(), *cidrs])

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._slices.run(), name="endpoint slices watch of DNS")
            group.create_task(self._serve(), name="DNS server")
            await self._services.synced.wait()
            await self._slices.synced.wait()
            self.resolver.ready = True

    async def _serve(self) -> None:
        try:
            while True:
                try:
                    await self._hold_address()
                    await self.server.start(self.address, self._port)
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

    def _look(self, key: Key) -> None:
        namespace, name = key
        service = self._services.get(name, namespace)
        slices = sorted(
            self._slices.by_index("service", _place(key)), key=lambda slice: slice.metadata.name or ""
        )
        self.zone.put(key, of_service(service, slices, self.zone.domain) if service is not None else [])


def _key(obj: ServiceView | None) -> Key:
    assert obj is not None
    return obj.metadata.namespace or "", obj.metadata.name or ""


def _service(slice: SliceView | None) -> Key:
    assert slice is not None
    return slice.metadata.namespace or "", (slice.metadata.labels or {}).get(SERVICE_NAME, "")


def _place(key: Key) -> str:
    return f"{key[0]}/{key[1]}"
