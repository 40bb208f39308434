# SPDX-License-Identifier: GPL-3.0-or-later
"""What load balancers before the nodes ask: whether this node has ready endpoints of a service whose clients
keep their address (`healthCheckNodePort`). 200 when it has, 503 when not, with the number.

Which services have such a port, and how many endpoints, is `model`'s business.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Mapping

from navarch.network.proxy.model import Health
from navarch.network.services import ServiceKey

log = logging.getLogger(__name__)

_PATIENCE = 5.0


class HealthChecks:
    def __init__(self, address: str = "") -> None:
        """address: where to listen; every address of the node unless told."""
        self._address = address or None
        self._endpoints: dict[ServiceKey, Health] = {}
        self._servers: dict[ServiceKey, tuple[int, asyncio.Server]] = {}

    async def follow(self, changes: Mapping[ServiceKey, Health | None]) -> None:
        """Services that changed, None for those that have no such port. A port that is taken is told of, and
        tried again with the service's next change."""
        for key, health in changes.items():
            served = self._servers.get(key)
            if served is not None and (health is None or health.port != served[0]):
                served[1].close()
                del self._servers[key]
            if health is None:
                self._endpoints.pop(key, None)
        for key, health in changes.items():
            if health is None:
                continue
            self._endpoints[key] = health
            if key not in self._servers:
                try:
                    self._servers[key] = health.port, await self._listen(key, health.port)
                except OSError as error:
                    namespace, name = key
                    log.warning(
                        "health check port %d of %s/%s: %s", health.port, namespace, name, error.strerror
                    )

    async def close(self) -> None:
        for _, server in self._servers.values():
            server.close()
        self._servers.clear()

    async def _listen(self, key: ServiceKey, port: int) -> asyncio.Server:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
                async with asyncio.timeout(_PATIENCE):
                    await reader.readuntil(b"\r\n\r\n")
                    writer.write(self._answer(key))
                    await writer.drain()
            writer.close()

        return await asyncio.start_server(connected, self._address or "0.0.0.0", port, limit=16384)

    def _answer(self, key: ServiceKey) -> bytes:
        health = self._endpoints.get(key)
        count = health.endpoints if health is not None else 0
        namespace, name = key
        document = {
            "service": {"namespace": namespace, "name": name},
            "localEndpoints": count,
            "serviceProxyHealthy": True,
        }
        body = json.dumps(document, indent=1).encode() + b"\n"
        status = "200 OK" if count else "503 Service Unavailable"
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nX-Content-Type-Options: nosniff\r\n"
            f"X-Load-Balancing-Endpoint-Weight: {count}\r\nContent-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n"
        )
        return head.encode() + body
