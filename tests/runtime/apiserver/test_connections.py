# SPDX-License-Identifier: GPL-3.0-or-later
"""What a connection may cost: silent ones end, and there are only so many."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from apiserver_support import Http

from navarch import pki
from navarch.apiserver import connection
from navarch.apiserver.connection import WebServer
from navarch.apiserver.exchange import Exchange, Reply
from navarch.apiserver.server import server_tls

Opened = tuple[asyncio.StreamReader, asyncio.StreamWriter]
PLAIN = b"GET /api HTTP/1.1\r\nHost: x\r\n\r\n"
ODD = b"GET /api HTTP/1.1\r\nHost: x\r\nTE: trailers\r\n\r\n"


class Served:
    """A web server that answers everything, on a clock of the test's own."""

    def __init__(self, folder: Path) -> None:
        ca = pki.make_ca()
        pair = pki.issue(ca, "x", names=["localhost"], usages=["server auth"])
        for name, data in (("c", pair.certificate), ("k", pair.key), ("a", ca.certificate)):
            (folder / name).write_bytes(data)
        self.tls = server_tls(str(folder / "c"), str(folder / "k"), str(folder / "a"))
        self.trust = ssl.create_default_context(cadata=ca.certificate.decode())
        self.web = WebServer(self._answer, keepalive_timeout=connection.IDLE_SECONDS)

    async def _answer(self, x: Exchange) -> Reply:
        return x.reply(200, b"{}")

    async def start(self) -> None:
        self._server = await asyncio.get_running_loop().create_server(self.web, "127.0.0.1", 0, ssl=self.tls)

    async def close(self) -> None:
        self._server.close()
        await self.web.shutdown(1)

    async def open(self, data: bytes = b"") -> Opened:
        port = self._server.sockets[0].getsockname()[1]
        streams = await asyncio.open_connection(
            "127.0.0.1", port, ssl=self.trust, server_hostname="localhost"
        )
        await send(streams, data)
        return streams

    def later(self, seconds: float) -> None:
        self.web.end_silent(asyncio.get_running_loop().time() + seconds)


async def send(streams: Opened, data: bytes) -> None:
    streams[1].write(data)
    await asyncio.sleep(0.05)


async def ended(streams: Opened, within: float = 0.2) -> bool:
    try:
        async with asyncio.timeout(within):
            while await streams[0].read(1000):
                pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


@pytest_asyncio.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    made = Served(tmp_path)
    await made.start()
    try:
        yield made
    finally:
        await made.close()


async def test_who_asks_nothing_is_not_kept(served: Served) -> None:
    began = asyncio.get_running_loop().time()
    nothing = await served.open()
    dripping = await served.open(b"GET /api HTTP/1.1\r\nX-A: ")
    asked = [await served.open(PLAIN), await served.open(ODD)]
    asked += [await served.open(first + b"GET /api HTT") for first in (PLAIN, ODD)]
    # From before the first one on: to open them takes its time as well.
    served.web.end_silent(began + connection.HEAD_SECONDS - 1)
    await send(dripping, b"a")
    for streams in (nothing, dripping, *asked):
        assert not await ended(streams)
    served.later(connection.HEAD_SECONDS + 1)
    assert await ended(nothing, 10)
    assert await ended(dripping, 10)
    for streams in asked:
        assert not await ended(streams)
    served.later(connection.IDLE_SECONDS + 1)
    for streams in asked:
        assert await ended(streams, 10)


async def test_there_are_only_so_many(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served.web, "_most", 2)
    kept = [await served.open(PLAIN) for _ in range(2)]
    assert await ended(await served.open(), 10)
    assert [await ended(streams) for streams in kept] == [False, False]
    kept[0][1].close()
    async with asyncio.timeout(10):
        while len(served.web.connections) > 1:
            await asyncio.sleep(0.01)
    assert not await ended(await served.open(PLAIN))


async def test_what_is_no_http_is_not_said_back(http: Http) -> None:
    code, body = await http("BREW", "/api/v1/pods")
    assert (code, body["reason"]) == (400, "BadRequest")
    assert body["message"] == "the request is not valid HTTP: Invalid method encountered"
