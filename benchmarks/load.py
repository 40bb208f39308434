# SPDX-License-Identifier: GPL-3.0-or-later
"""A load client that costs little: raw asyncio protocols, requests built beforehand, answers barely looked
at.

Whoever measures a server on two cores must not spend the second one on being a client.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import msgspec

from navarch.client.kubeconfig import Connection


class Target(msgspec.Struct, frozen=True):
    """Where to, and how requests begin."""

    host: str
    port: int
    context: ssl.SSLContext
    headers: bytes

    @classmethod
    def of(cls, connection: Connection) -> Target:
        url = urlsplit(connection.server)
        host, port = url.hostname or "127.0.0.1", url.port or 443
        headers = f"Host: {host}:{port}\r\nAuthorization: Bearer {connection.token}\r\n"
        return cls(host, port, connection.ssl_context(), headers.encode())

    def request(
        self, method: str, path: str, body: bytes = b"", content_type: str = "application/json"
    ) -> bytes:
        head = f"{method} {path} HTTP/1.1\r\n".encode() + self.headers
        if body:
            head += f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n".encode()
        return head + b"\r\n" + body


class Caller(asyncio.Protocol):
    """One keep-alive connection: sends the next request when the answer is complete."""

    def __init__(
        self, requests: Iterator[bytes], took: list[float], failed: list[bytes], done: Callable[[], None]
    ) -> None:
        self._requests = requests
        self._took = took
        self._failed = failed
        self._done = done
        self._buffer = b""
        self._left = 0
        self._sent = 0.0
        self.received = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment] # TLS gives no other

    def start(self) -> None:
        self._next()

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self.transport.close()
            self._done()
            return
        self._sent = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        if self._left:
            self._left -= len(data)
            if self._left == 0:
                self._answered()
            return
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[: end + 2]
        if head[9:10] != b"2":
            self._failed.append(self._buffer)
        at = head.lower().find(b"\r\ncontent-length: ")
        length = int(head[at + 18 : head.find(b"\r\n", at + 18)])
        self._left = length - (len(self._buffer) - end - 4)
        self._buffer = b""
        if self._left == 0:
            self._answered()

    def _answered(self) -> None:
        self._took.append(time.perf_counter() - self._sent)
        self._next()


class Result(msgspec.Struct, frozen=True):
    seconds: float
    #: Sorted, in seconds.
    latencies: list[float]
    received: int

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """Milliseconds."""
        return percentile(self.latencies, share)


def percentile(ordered: list[float], share: float) -> float:
    """Milliseconds, of sorted seconds."""
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000 if ordered else 0.0


async def run(target: Target, requests: Iterator[bytes], connections: int) -> Result:
    """All requests over so many keep-alive connections, each sending when it was answered. Raises
    RuntimeError on an error answer."""
    loop = asyncio.get_running_loop()
    took: list[float] = []
    failed: list[bytes] = []
    ended = asyncio.Event()
    running = connections

    def done() -> None:
        nonlocal running
        running -= 1
        if running == 0:
            ended.set()

    callers = []
    for _ in range(connections):
        _, caller = await loop.create_connection(
            lambda: Caller(requests, took, failed, done), target.host, target.port, ssl=target.context
        )
        callers.append(caller)
    started = time.perf_counter()
    for caller in callers:
        caller.start()
    await asyncio.wait_for(ended.wait(), 300)
    seconds = time.perf_counter() - started
    if failed:
        raise RuntimeError(f"{len(failed)} requests failed, the first: {failed[0][:600]!r}")
    return Result(seconds, sorted(took), sum(caller.received for caller in callers))


class Counter(asyncio.Protocol):
    """One watch: counts additions (what began to match its selector) and notes when they came."""

    MARK = b'{"type":"ADDED"'

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._tail = b""
        self.opened = asyncio.Event()
        self.count = 0
        self.times: list[tuple[int, float]] = []  # (additions so far, when)
        self._wanted = 0
        self._reached: asyncio.Event | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment] # TLS gives no other
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        moment = time.perf_counter()
        # A mark may be cut in two; the tail is too short to hold a whole one, which would count twice.
        new = (self._tail + data).count(self.MARK)
        self._tail = data[1 - len(self.MARK) :]
        if not self.opened.is_set():
            self.opened.set()
        if new:
            self.count += new
            self.times.append((self.count, moment))
            if self._reached is not None and self.count >= self._wanted:
                self._reached.set()

    async def reach(self, count: int) -> None:
        if self.count < count:
            self._wanted, self._reached = count, asyncio.Event()
            await self._reached.wait()


async def watch(target: Target, path: str, watchers: int) -> list[Counter]:
    """So many open watches that have answered their head."""
    loop = asyncio.get_running_loop()
    counters = []
    for _ in range(watchers):
        _, counter = await loop.create_connection(
            lambda: Counter(target.request("GET", path)), target.host, target.port, ssl=target.context
        )
        counters.append(counter)
    for counter in counters:
        await asyncio.wait_for(counter.opened.wait(), 10)
    return counters
