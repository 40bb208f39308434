# SPDX-License-Identifier: GPL-3.0-or-later
"""What load balancers before the nodes ask: whether this node has ready endpoints of a service whose clients
keep their address (`healthCheckNodePort`). 200 when it has, 503 when not, with the number.

One server answers for all such ports. The proxy's rules lead the ports to it, so that they are open wherever
node ports are (firewalls let translated connections in), and the kernel tells it which port was asked. Which
services have such a port, and how many endpoints, is `model`'s business.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import struct
from collections.abc import Mapping

from navarch.network.proxy.model import Health
from navarch.network.services import ServiceKey

log = logging.getLogger(__name__)

_PATIENCE = 5.0
#: linux/netfilter_ipv4.h: the `struct sockaddr_in` that a connection was made to before it was translated.
_SO_ORIGINAL_DST = 80


def listen() -> socket.socket:
    """On any free port, in the calling thread's network. Raises OSError."""
    return socket.create_server(("0.0.0.0", 0))


class HealthChecks:
    def __init__(self) -> None:
        self._known: dict[ServiceKey, Health] = {}
        self._services: dict[int, ServiceKey] = {}
        self._server: asyncio.Server | None = None

    async def serve(self, sock: socket.socket) -> None:
        """From now on, until `close`, which closes the socket too."""
        self._server = await asyncio.start_server(self._connected, sock=sock, limit=16384)

    def follow(self, changes: Mapping[ServiceKey, Health | None]) -> None:
        """Services that changed, None for those that have no such port."""
        for key, health in changes.items():
            old = self._known.pop(key, None)
            if old is not None and self._services.get(old.port) == key:
                del self._services[old.port]
            if health is not None:
                self._known[key] = health
                self._services[health.port] = key

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
            async with asyncio.timeout(_PATIENCE):
                key = self._services.get(_requested(writer))
                if key is not None:  # otherwise it came by no rule of ours
                    await reader.readuntil(b"\r\n\r\n")
                    writer.write(self._answer(key))
                    await writer.drain()
        writer.close()

    def _answer(self, key: ServiceKey) -> bytes:
        health = self._known.get(key)
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


def _requested(writer: asyncio.StreamWriter) -> int:
    """The port that the client connected to. Raises OSError."""
    sock: socket.socket = writer.get_extra_info("socket")
    found = sock.getsockopt(socket.SOL_IP, _SO_ORIGINAL_DST, 16)
    return int(struct.unpack_from("!H", found, 2)[0])
