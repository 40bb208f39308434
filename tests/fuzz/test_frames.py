# SPDX-License-Identifier: GPL-3.0-or-later
"""Random frames of WebSocket and SPDY to what a kubelet serves streams with: whatever comes, the session ends
or goes on, nothing fails, and the next one is served.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import aiohttp
import fuzz_bodies as bodies
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from fuzz_requests import seed

from navarch.kubelet.server import forward, streams

pytestmark = pytest.mark.root
SESSIONS = 300
_PROTOCOLS = {"forward": ["SPDY/3.1+portforward.k8s.io", "v4.channel.k8s.io"], "exec": ["v5.channel.k8s.io"]}


class Cat:
    """The streams of a process, and the little of a runtime that exec wants."""

    async def exec(self, id: str, command: list[str], **options: Any) -> tuple[str, Any]:
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec("cat", stdin=pipe, stdout=pipe)
        return "cat", self

    async def exec_resize(self, id: str, width: int, height: int) -> None:
        assert isinstance(width, int) and isinstance(height, int)

    async def exec_exit(self, id: str) -> int:
        return await self._process.wait()

    async def read(self) -> tuple[int, bytes] | None:
        assert self._process.stdout is not None
        data = await self._process.stdout.read(4096)
        return (1, data) if data else None

    async def write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        await self._process.stdin.drain()

    async def close_stdin(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    async def close(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


@pytest_asyncio.fixture
async def served() -> AsyncIterator[TestServer]:
    async def forwarding(request: web.Request) -> web.StreamResponse:
        return await forward.run(request, os.getpid())

    async def executing(request: web.Request) -> web.StreamResponse:
        state: Any = type("State", (), {"id": "cat"})
        runtime: Any = Cat()
        return await streams.run_exec(request, runtime, state)

    app = web.Application()
    app.router.add_get("/forward", forwarding)
    app.router.add_get("/exec", executing)
    async with TestServer(app) as server:
        yield server


def payload(r: Random, what: str) -> bytes:
    if what == "forward":
        return bodies.spdy_frames(r) if r.random() < 0.8 else r.randbytes(r.randrange(200))
    size = r.choice(['{"Width":80,"Height":24}', '{"Width":1e400}', "Infinity", '{"Width":"x","Height":[]}',
                     '{"Width":Infinity,"Height":NaN}', "[" * 5000, "null", "1"])  # fmt: skip
    return r.choice(
        [bytes([4]) + size.encode(), bytes([0]) + r.randbytes(50), bytes([255, 0]), r.randbytes(9)]
    )


async def session(server: TestServer, what: str, number: int) -> None:
    r = Random(f"{seed()}:{what}:{number}")
    reader, writer = await asyncio.open_connection(server.host, server.port)
    lines = [
        f"GET /{what}?command=cat&stdin=1&ports={r.choice(['1', '1,2'])} HTTP/1.1",
        "Host: a", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {base64.b64encode(r.randbytes(16)).decode()}",
        f"Sec-WebSocket-Protocol: {r.choice(_PROTOCOLS[what])}",
    ]  # fmt: skip
    writer.write("\r\n".join([*lines, "", ""]).encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 101 " in head, head
    try:
        for _ in range(r.randrange(1, 12)):
            writer.write(bodies.websocket_frame(r, payload(r, what)[:60_000]))
        writer.write_eof()
        await writer.drain()
        await asyncio.wait_for(reader.read(), 30)
    except ConnectionError:
        pass
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("what", ["forward", "exec"])
async def test_frames(served: TestServer, caplog: pytest.LogCaptureFixture, what: str) -> None:
    for number in range(SESSIONS):
        with caplog.at_level(logging.ERROR):
            await session(served, what, number)
        assert not caplog.records, f"session {number} of seed {seed()}: {caplog.text}"


@pytest.mark.parametrize("size", [b'{"Width":Infinity,"Height":1}', b"[" * 100_000, b'{"Width":1e999}', b"1"])
async def test_a_terminal_size_that_is_none_ends_nothing(served: TestServer, size: bytes) -> None:
    url = served.make_url("/exec?command=cat&stdin=1")
    async with (
        aiohttp.ClientSession() as client,
        client.ws_connect(url, protocols=("v5.channel.k8s.io",)) as ws,
    ):
        await ws.send_bytes(bytes([4]) + size)
        await ws.send_bytes(bytes([0]) + b"typed")
        assert await ws.receive_bytes(timeout=30) == bytes([1]) + b"typed"
        await ws.send_bytes(bytes([255, 0]))
