# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking the node's own DNS servers. Each question goes out from a port and with a number of its own, and an
answer counts only when it comes from the server that was queried and repeats the question (RFC 5452).
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from navarch.network.dns import wire

#: Seconds for one server, and for a question in all: less than a client waits before it asks again.
_PATIENCE = 1.5
_IN_ALL = 4.5
_ROUNDS = 2
_LOOK = 5.0
#: Seconds that a server which did not answer is tried last.
_BENCHED = 15.0


class Upstream:
    def __init__(
        self,
        own: str,
        path: str = "/etc/resolv.conf",
        *,
        port: int = 53,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """own: our own address, which is never queried."""
        self._own = own
        self._path = path
        self._port = port
        self._clock = clock
        self._servers: list[str] = []
        self._looked = float("-inf")
        self._failed: dict[str, float] = {}
        self._under_way: dict[tuple[bool, bytes], asyncio.Task[bytes]] = {}

    async def ask(self, query: bytes, tcp: bool) -> bytes:
        """Raises OSError, TimeoutError. Equal questions at the same time are sent once."""
        key = (tcp, query[2:])
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.create_task(self._ask(query, tcp), name="upstream DNS query")
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        return query[:2] + (await asyncio.shield(task))[2:]

    async def close(self) -> None:
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def servers(self) -> list[str]:
        """Of the node's resolv.conf, which may change."""
        moment = self._clock()
        if moment - self._looked >= _LOOK:
            self._looked = moment
            try:
                lines = Path(self._path).read_text(errors="replace").splitlines()
            except OSError:
                lines = []
            words = [line.split() for line in lines]
            found = [w[1] for w in words if len(w) > 1 and w[0] == "nameserver"]
            self._servers = [server for server in found if server != self._own]
        return self._servers

    async def _ask(self, query: bytes, tcp: bool) -> bytes:
        end = wire.question_end(query)
        fresh = secrets.token_bytes(2) + query[2:]
        failure: Exception = OSError(f"{self._path} names no DNS server")
        refused: bytes | None = None
        async with asyncio.timeout(_IN_ALL):
            for _ in range(_ROUNDS):
                for server in self._in_order():
                    try:
                        async with asyncio.timeout(_PATIENCE):
                            by = self._by_tcp if tcp else self._by_udp
                            answer = await by(server, fresh, end)
                        self._failed.pop(server, None)
                        if answer[3] & 0x0F not in (wire.SERVFAIL, wire.REFUSED):
                            return answer
                        refused = answer  # another may know better
                    except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                        self._failed[server] = self._clock()
                        failure = error
                if refused is not None:
                    return refused
        raise failure if isinstance(failure, OSError | TimeoutError) else OSError(str(failure))

    def _in_order(self) -> list[str]:
        """Those that failed lately last, so that one dead server does not slow every question."""
        moment = self._clock()
        return sorted(self.servers(), key=lambda s: moment - self._failed.get(s, -_BENCHED) < _BENCHED)

    async def _by_udp(self, server: str, query: bytes, end: int) -> bytes:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Asking(query, end, answer), remote_addr=(server, self._port)
        )
        try:
            transport.sendto(query)
            return await answer
        finally:
            transport.close()

    async def _by_tcp(self, server: str, query: bytes, end: int) -> bytes:
        reader, writer = await asyncio.open_connection(server, self._port)
        try:
            writer.write(len(query).to_bytes(2) + query)
            answer = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
        finally:
            writer.close()
        if not _fits(answer, query, end):
            raise OSError(f"{server} answered something else")
        return answer


class _Asking(asyncio.DatagramProtocol):
    def __init__(self, query: bytes, end: int, answer: asyncio.Future[bytes]) -> None:
        self._query = query
        self._end = end
        self._answer = answer

    def datagram_received(self, data: bytes, addr: object) -> None:
        if not self._answer.done() and _fits(data, self._query, self._end):
            self._answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self._answer.done():
            self._answer.set_exception(exc)


def _fits(answer: bytes, query: bytes, end: int) -> bool:
    if len(answer) < end or answer[:2] != query[:2] or not answer[2] & 0x80:
        return False
    return answer[12:end].lower() == query[12:end].lower()


def servers_file() -> str:
    """The node's servers; where systemd-resolved runs, those it has rather than its stub."""
    real = "/run/systemd/resolve/resolv.conf"
    return real if os.path.exists(real) else "/etc/resolv.conf"
