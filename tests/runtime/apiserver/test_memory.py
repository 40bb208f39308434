# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients that read nothing, and large objects that change, may cost a real master: its resident memory
is measured from outside.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from apiserver_support import Http, Standalone

MAPS = "/api/v1/namespaces/default/configmaps"
MB = 1 << 20
LARGE = 200_000


@pytest.fixture
def lone(tmp_path: Path) -> Iterator[Standalone]:
    """A server that nobody else uses, with a small history: what is kept too much shows sooner."""
    options = ("--data-dir", str(tmp_path / "data"), "--watch-history", "16Mi")
    server = Standalone(tmp_path, *options).start()
    try:
        yield server
    finally:
        assert server.stop() == 0


@asynccontextmanager
async def session(server: Standalone) -> AsyncIterator[Http]:
    headers = {"Authorization": f"Bearer {server.token}"}
    connector = aiohttp.TCPConnector(ssl=server.tls())
    async with aiohttp.ClientSession(
        headers=headers, connector=connector, timeout=aiohttp.ClientTimeout(total=60)
    ) as made:
        yield Http(made, server.url)


def resident(server: Standalone) -> int:
    assert server.process is not None
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def config_map(name: str, fill: str, size: int = LARGE) -> dict[str, object]:
    return {"metadata": {"name": name, "labels": {"name": name}}, "data": {"x": fill * size}}


async def write(http: Http, rounds: int, names: int = 8) -> None:
    """Rounds of updates of large objects, all of a round at once."""

    async def one(name: str, n: int) -> None:
        code, _ = await http("PUT", f"{MAPS}/{name}", json=config_map(name, chr(97 + n % 26)))
        if code == 404:
            code, _ = await http("POST", MAPS, json=config_map(name, "a"))
        assert code in (200, 201)

    for n in range(rounds):
        await asyncio.gather(*(one(f"large-{at}", n) for at in range(names)))


@contextmanager
def deaf(server: Standalone, paths: list[str], accept: str = "*/*") -> Iterator[list[ssl.SSLSocket]]:
    """Clients that ask for something and read nothing of it."""
    where = urlsplit(server.url)
    address = (where.hostname or "", where.port or 443)
    sockets: list[ssl.SSLSocket] = []
    try:
        for path in paths:
            plain = socket.socket()
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            plain.connect(address)
            link = server.tls().wrap_socket(plain, server_hostname=where.hostname)
            link.sendall(
                f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n"
                f"Authorization: Bearer {server.token}\r\n\r\n".encode()
            )
            sockets.append(link)
        yield sockets
    finally:
        for link in sockets:
            link.close()


async def settled(measure: Callable[[], int], limit: int, seconds: float = 10.0) -> int:
    """The value when it is below the limit, or the last one."""
    until = time.monotonic() + seconds
    while (found := measure()) > limit and time.monotonic() < until:
        await asyncio.sleep(0.2)
    return found


async def test_what_large_objects_were_is_kept_within_a_budget(lone: Standalone) -> None:
    async with session(lone) as http:
        await write(http, 5)
        before = resident(lone)
        await write(http, 60)  # 96 MB
        grown = await settled(lambda: resident(lone) - before, 48 * MB)
        # Others' history is not what pays for it.
        _, listed = await http("GET", "/api/v1/namespaces")
        since = listed["metadata"]["resourceVersion"]
        code, _ = await http("POST", "/api/v1/namespaces", json={"metadata": {"name": "kept"}})
        assert code == 201
        await write(http, 20)  # 32 MB
        code, event = await http(
            "GET", f"/api/v1/namespaces?watch=true&timeoutSeconds=1&resourceVersion={since}"
        )
    assert grown < 48 * MB
    assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "kept")


async def test_watchers_that_never_read_cost_little_and_lose_nothing_they_could_have(
    lone: Standalone,
) -> None:
    async with session(lone) as http:
        await write(http, 12)  # the window is as full as it gets
        _, listed = await http("GET", f"{MAPS}?limit=1")
        since = listed["metadata"]["resourceVersion"]
        # Each with a selector of its own: nothing of theirs is shared.
        paths = [
            f"{MAPS}?watch=true&resourceVersion={since}&labelSelector=name!=other-{n}" for n in range(100)
        ]
        before = resident(lone)
        with deaf(lone, paths) as sockets:
            await write(http, 40)  # 64 MB, of which 100 queues would hold 6.4 GB
            cost = (resident(lone) - before) / len(paths)
            assert cost < 2 * MB
            # Who reads after all gets it from the beginning, or is told that it is too late.
            sockets[0].settimeout(20)
            seen = b""
            while b'"type":' not in seen:
                seen += sockets[0].recv(65536)
        after = await settled(lambda: resident(lone) - before, 100 * MB)
        assert after < 150 * MB


async def test_large_lists_for_clients_that_read_nothing_are_not_copied(lone: Standalone) -> None:
    async with session(lone) as http:
        for at in range(0, 250, 10):  # 50 MB
            made = [http("POST", MAPS, json=config_map(f"item-{at + n}", "a")) for n in range(10)]
            assert {code for code, _ in await asyncio.gather(*made)} == {201}
        table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
        code, body = await http("GET", f"{MAPS}?includeObject=Object", headers={"Accept": table})
        assert code == 200
        assert len(body["rows"]) == 250
        for path, accept, clients in ((MAPS, "*/*", 60), (f"{MAPS}?includeObject=Object", table, 20)):
            before = resident(lone)
            with deaf(lone, [path] * clients, accept):
                await asyncio.sleep(2)  # a list that is copied is there by then
                cost = (resident(lone) - before) / clients
                assert cost < 1.5 * MB
