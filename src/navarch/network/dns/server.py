# SPDX-License-Identifier: GPL-3.0-or-later
"""The sockets: datagrams and connections of those who may ask."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
from collections.abc import Callable, Iterable
from typing import Any

from navarch.network.dns.answer import Resolver

log = logging.getLogger(__name__)

#: Questions answered at once that wait for others.
_MOST = 4000
_CONNECTIONS = 200
#: Connections that wait in the kernel, while we are restarted for one.
BACKLOG = 1024
_IDLE = 10.0
#: Seconds for answers under way when we end.
_LAST = 1.0

Allowed = Callable[[str], bool]


def allow(networks: Iterable[str]) -> Allowed:
    """Whether an address is in one of the networks; remembers what it found."""
    parsed = [ipaddress.ip_network(network) for network in networks]
    known: dict[str, bool] = {}

    def allowed(address: str) -> bool:
        found = known.get(address)
        if found is None:
            if len(known) > 10_000:
                known.clear()
            found = known[address] = any(ipaddress.ip_address(address) in network for network in parsed)
        return found

    return allowed


class DnsServer:
    def __init__(self, resolver: Resolver, allowed: Allowed) -> None:
        """Who may not ask gets no answer at all."""
        self._resolver = resolver
        self.allowed = allowed
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport: asyncio.DatagramTransport | None = None
        #: The datagram socket once more, to answer by when no more is read.
        self._late: socket.socket | None = None
        #: Of the tasks, those that owe an answer: of connections, all but those between two questions.
        self._waiting: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._connections = 0
        self.port = 0

    async def start(self, udp: socket.socket, tcp: socket.socket) -> None:
        """Serve by these bound sockets, which are closed at the end. Raises OSError."""
        loop = asyncio.get_running_loop()
        for sock in (udp, tcp):
            sock.setblocking(False)
        self.port = udp.getsockname()[1]
        self._late = udp.dup()
        self._server = await asyncio.start_server(self._connected, sock=tcp, backlog=BACKLOG)
        self._transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=udp)

    async def close(self) -> None:
        """Read no more, and answer within a moment what was read: a restart shall lose no question."""
        if self._transport is not None:
            self._transport.close()
        if self._server is not None:
            self._server.close()
        if self._waiting:
            await asyncio.wait(self._waiting, timeout=_LAST)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._late is not None:
            self._late.close()

    def received(self, transport: asyncio.DatagramTransport, query: bytes, sender: Any) -> None:
        if not self.allowed(sender[0]):
            return
        answer = self._resolver.quick(query, False)
        if answer:
            transport.sendto(answer, sender)
        elif answer is None and len(self._tasks) < _MOST:
            self._spawn(self._answer(transport, query, sender))

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work, name="DNS query")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _answer(self, transport: asyncio.DatagramTransport, query: bytes, sender: Any) -> None:
        try:
            answer = await self._resolver.answer(query, False)
        except Exception:
            log.exception("a DNS query of %s", sender[0])
            return
        if not transport.is_closing():
            transport.sendto(answer, sender)
        elif self._late is not None:
            with contextlib.suppress(OSError):
                self._late.sendto(answer, sender)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        task = asyncio.current_task()
        if peer is None or not self.allowed(peer[0]) or self._connections >= _CONNECTIONS or task is None:
            writer.close()
            return
        self._connections += 1
        self._tasks.add(task)
        self._waiting.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                while True:
                    async with asyncio.timeout(_IDLE):
                        length = int.from_bytes(await reader.readexactly(2))
                        self._waiting.add(task)
                        query = await reader.readexactly(length)
                    answer = self._resolver.quick(query, True)
                    if answer is None:
                        answer = await self._resolver.answer(query, True)
                    if not answer:
                        return
                    writer.write(len(answer).to_bytes(2) + answer)
                    async with asyncio.timeout(_IDLE):
                        await writer.drain()
                    self._waiting.discard(task)
        finally:
            self._connections -= 1
            self._tasks.discard(task)
            self._waiting.discard(task)
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._owner = server
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.DatagramTransport) or hasattr(transport, "sendto")
        self._transport = transport  # type: ignore[assignment]  # uvloop's is none of asyncio's class

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._owner.received(self._transport, data, addr)
