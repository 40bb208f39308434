# SPDX-License-Identifier: GPL-3.0-or-later
"""What a connection may cost: strangers go soon, there are only so many, and who is known always gets in."""

from __future__ import annotations

import asyncio
import os
import resource
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from apiserver_support import Http, Standalone

from navarch import pki
from navarch.apiserver import connection
from navarch.apiserver.connection import WebServer
from navarch.apiserver.levels import level_of
from navarch.apiserver.limits import Limits
from navarch.apiserver.request import Reply, Request
from navarch.apiserver.server import server_tls
from navarch.auth.user import User
from navarch.serving import listener
from navarch.serving.listener import Listener
from navarch.serving.peers import Place, Places, group

Opened = tuple[asyncio.StreamReader, asyncio.StreamWriter]
PLAIN = b"GET /api HTTP/1.1\r\nHost: x\r\n\r\n"
ODD = b"GET /api HTTP/1.1\r\nHost: x\r\nTE: trailers\r\n\r\n"
KNOWN = b"GET /api/known HTTP/1.1\r\nHost: x\r\n\r\n"
LARGE = b"GET /api/large HTTP/1.1\r\nHost: x\r\n\r\n"
USER, NODE, ADMIN = User("user"), User("system:node:n", ("system:nodes",)), User("a", ("system:masters",))


class Served:
    """A web server that answers everything, on a clock of the test's own."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        ca = pki.make_ca()
        pair = pki.issue(ca, "x", names=["localhost"], usages=["server auth"])
        for name, data in (("c", pair.certificate), ("k", pair.key), ("a", ca.certificate)):
            (folder / name).write_bytes(data)
        self.tls = server_tls(str(folder / "c"), str(folder / "k"), str(folder / "a"))
        self.trust = ssl.create_default_context(cadata=ca.certificate.decode())
        self.web = WebServer(self._answer, keepalive_timeout=connection.IDLE_SECONDS)
        self.places = Places(limits, 10_000)
        self.answered = 0

    async def _answer(self, x: Request) -> Reply:
        self.answered += 1
        if x.path == "/api/known":
            assert x.protocol.authenticate(USER)
        return x.reply(200, b"x" * 200_000 if x.path == "/api/large" else b"{}")

    async def start(self) -> None:
        import socket

        sock = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = sock.getsockname()[1]
        self.listener = Listener(sock, self.tls, self.places, self.web)
        self.listener.start()

    async def close(self) -> None:
        await self.listener.close()
        await self.web.shutdown(1)

    async def open(self, data: bytes = b"") -> Opened:
        streams = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=self.trust, server_hostname="localhost"
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
    made = Served(tmp_path, Limits(unauthenticated_per_address=12))
    await made.start()
    try:
        yield made
    finally:
        await made.close()


async def test_a_connection_that_asks_nothing_is_not_kept(served: Served) -> None:
    began = asyncio.get_running_loop().time()
    nothing = await served.open()
    dripping = await served.open(b"GET /api HTTP/1.1\r\nX-A: ")
    strangers = [await served.open(PLAIN), await served.open(ODD)]
    strangers += [await served.open(first + b"GET /api HTT") for first in (PLAIN, ODD)]
    known = [await served.open(KNOWN), await served.open(KNOWN + b"GET /api HTT")]
    # From before the first one on: to open them takes its time as well.
    served.web.end_silent(began + connection.STRANGER_SECONDS - 1)
    await send(dripping, b"a")
    for streams in (nothing, dripping, *strangers, *known):
        assert not await ended(streams)
    served.later(connection.STRANGER_SECONDS + 1)
    for streams in (nothing, dripping, *strangers):
        assert await ended(streams, 10)
    for streams in known:
        assert not await ended(streams)
    served.later(connection.IDLE_SECONDS + 1)
    for streams in known:
        assert await ended(streams, 10)


async def test_the_oldest_stranger_of_an_address_goes_for_a_new_one(served: Served) -> None:
    known = await served.open(KNOWN)
    kept = [await served.open(PLAIN) for _ in range(12)]
    await served.open(PLAIN)
    assert await ended(kept[0], 10)
    assert not await ended(known)
    assert not await ended(kept[1])


async def test_a_handshake_that_never_ends_gives_its_place(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = len(os.listdir("/proc/self/fd"))
    silent = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(30)]
    one = await served.open(PLAIN)
    assert not await ended(one)
    for streams in silent[:18]:
        assert await ended(streams, 10)
    one[1].close()
    monkeypatch.setattr(listener, "HANDSHAKE_SECONDS", 0.2)
    late = await asyncio.open_connection("127.0.0.1", served.port)
    assert await ended(late, 10)
    for _, writer in (*silent, late):
        writer.close()
    async with asyncio.timeout(10):
        while len(os.listdir("/proc/self/fd")) > files or served.places._strangers:
            await asyncio.sleep(0.01)


async def test_a_client_that_reads_no_answers_is_not_answered_further(served: Served) -> None:
    reader, writer = await served.open()
    writer.transport.pause_reading()  # type: ignore[attr-defined] # asyncio's transports have it
    writer.write(LARGE * 500)
    await asyncio.sleep(1)
    stuck = served.answered
    assert stuck < 100
    await asyncio.sleep(0.5)
    assert served.answered == stuck
    writer.transport.resume_reading()  # type: ignore[attr-defined]
    async with asyncio.timeout(60):
        while served.answered < 500:
            await reader.read(1_000_000)


def who(user: User) -> tuple[str, str]:
    return user.name, level_of(user)


class Held:
    """Places taken, and which of them were ended."""

    def __init__(self, **limits: int) -> None:
        self.places = Places(Limits(**limits), 100_000)
        self.ended: list[Place] = []

    def arrive(self, host: str) -> Place:
        place = self.places.arrive(host)
        assert place is not None
        place.close = lambda: self.ended.append(place)
        return place


def test_room_is_kept_for_nodes_and_administrators() -> None:
    held = Held(connections=100, connections_per_user=50)
    users = [held.arrive("10.0.0.1").take(*who(User(f"u{i % 2}"))) for i in range(100)]
    assert users.count(True) == 60
    assert held.arrive("10.0.0.1").take(*who(NODE))
    assert held.arrive("10.0.0.1").take(*who(ADMIN))
    # All strangers of the flood are still silent: an administrator gets in all the same.
    for i in range(300):
        held.arrive(f"10.0.{i % 7}.9")
    assert all(place.user is None for place in held.ended)
    assert held.arrive("10.0.0.1").take(*who(ADMIN))


def test_the_address_with_the_most_strangers_makes_room() -> None:
    held = Held(connections=100, unauthenticated_per_address=15)
    one = held.arrive("10.0.0.7")
    for _ in range(1000):
        held.arrive("10.0.0.1")
    # There are twenty places of strangers.
    for i in range(8):
        held.arrive(f"10.0.1.{i}")
    assert {place.address for place in held.ended} == {"10.0.0.1"}
    assert one.take(*who(USER))


def test_a_user_has_only_so_many_and_gets_them_back() -> None:
    held = Held(connections=100, connections_per_user=2)
    first = held.arrive("h")
    assert first.take(*who(USER))
    assert held.arrive("h").take(*who(USER))
    assert not held.arrive("h").take(*who(USER))
    first.leave()
    first.leave()
    assert held.arrive("h").take(*who(USER))
    assert [held.arrive("h").take(*who(ADMIN)) for _ in range(5)] == [True] * 5


def test_one_ipv6_host_is_one_peer() -> None:
    assert group("2001:db8::1") == group("2001:db8::ffff:1") != group("2001:db8:0:1::1")
    assert group("::ffff:10.0.0.1") == group("10.0.0.1")


@pytest.fixture
def many_files() -> Iterator[int]:
    """Raises the number of open files; the connections that fit in it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield min(5000, hard - 500)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_an_administrator_gets_in_beside_5000_silent_connections(
    server: Standalone, many_files: int
) -> None:
    port = int(server.url.rpartition(":")[2])
    tls = server.tls()
    opened: list[asyncio.StreamWriter] = []
    answered = 0

    async def one(gate: asyncio.Semaphore) -> None:
        nonlocal answered
        async with gate:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
                opened.append(writer)
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                line = await reader.readline()
                answered += line.startswith(b"HTTP/1.1 200")
            except (OSError, ssl.SSLError):
                return

    gate = asyncio.Semaphore(100)
    try:
        await asyncio.gather(*(one(gate) for _ in range(many_files)))
        assert answered > many_files * 0.9
        # Who comes now is served at once, known or not.
        for path, token in (("/healthz", ""), ("/api/v1/nodes", server.token)):
            async with asyncio.timeout(5):
                reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
                opened.append(writer)
                writer.write(
                    f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
                )
                assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        assert server.kubectl("get", "nodes")
    finally:
        for writer in opened:
            writer.transport.abort()


async def test_what_is_no_http_is_not_said_back(http: Http) -> None:
    code, body = await http("BREW", "/api/v1/pods")
    assert (code, body["reason"]) == (400, "BadRequest")
    assert body["message"] == "the request is not valid HTTP: Invalid method encountered"
