# SPDX-License-Identifier: GPL-3.0-or-later
"""A client's connection: aiohttp's, with a short way for the requests that make up nearly all of the load.

A request that is whole in one read, plain HTTP/1.1 with keep-alive and with nothing unusual in its head is
taken here: its header block is looked up (a client sends the same one again and again), one task answers
it. Everything else, and everything that might be wrong, goes to aiohttp's parser as it came: the short way
never refuses anything. Watches and streams take aiohttp's way too.
"""

from __future__ import annotations

import asyncio
import re
import resource
from collections.abc import Callable
from typing import Any, NamedTuple, cast

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from navarch.api import errors
from navarch.apiserver.exchange import BODY_LIMIT, JSON, Exchange, Reply, encode_status, head
from navarch.registry.context import User

#: Seconds an idle connection is kept, and seconds a new client may take for its first head.
IDLE_SECONDS = 300.0
HEAD_SECONDS = 30.0

#: Connections at a time. One costs some 50 KB, and so much anybody may spend who reaches the port.
MAX_CONNECTIONS = 5000

#: Header blocks remembered a connection, and the longest that is.
_BLOCKS, _LONGEST = 16, 2048

#: Heads beyond this are aiohttp's to judge.
_LARGEST_HEAD = 8192

_LINE = re.compile(rb"(GET|POST|PUT|PATCH|DELETE) (/api[!\x24-~]*) HTTP/1\.1")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\x20-\x7e]*?)[ \t]*")
#: With one of these a request is not plain.
_UNUSUAL = frozenset(
    {b"transfer-encoding", b"expect", b"connection", b"upgrade", b"content-encoding", b"te", b"trailer"}
)
_LONG_ANSWER = re.compile(rb"[?&]watch=|[?&]follow=|/log(\?|$)|/proxy")


class _Head(NamedTuple):
    """A header block, understood."""

    headers: CIMultiDictProxy[str]
    #: Content-Length; 0 when there is none.
    length: int


def _understand(block: bytes) -> _Head | None:
    """None when there is anything unusual in it."""
    headers: CIMultiDict[str] = CIMultiDict()
    length, hosts, lengths = 0, 0, 0
    for line in block.split(b"\r\n"):
        match = _FIELD.fullmatch(line)
        if match is None:
            return None
        name, value = match.groups()
        lower = name.lower()
        if lower in _UNUSUAL or lower.startswith(b"impersonate-"):
            return None
        if lower == b"host":
            hosts += 1
        elif lower == b"content-length":
            if not value.isdigit() or len(value) > 10:
                return None
            length = int(value)
            lengths += 1
        headers.add(name.decode("ascii"), value.decode("ascii"))
    if hosts != 1 or lengths > 1 or length > BODY_LIMIT:
        return None
    return _Head(CIMultiDictProxy(headers), length)


class Whole:
    """A body that came with its head (`exchange.Payload`)."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    def is_eof(self) -> bool:
        return True

    def at_eof(self) -> bool:
        return not self._data

    def read_nowait(self, n: int = -1) -> bytes:
        data, self._data = self._data, b""
        return data

    async def readany(self) -> bytes:
        return self.read_nowait()

    def set_exception(self, exc: BaseException) -> None:
        return None


class Connection(web.RequestHandler):
    """Also holds what is read of a connection once: the certificate's user, the user of the last
    Authorization header.
    """

    __slots__ = (
        "_asked", "_blocks", "_exchange", "_heard", "_more", "_partial", "_reading_stopped", "_short",
        "bearer", "bearer_user", "certificate_user", "identified",
    )  # fmt: skip

    def __init__(self, manager: web.Server, *, loop: asyncio.AbstractEventLoop, **options: Any) -> None:
        super().__init__(manager, loop=loop, **options)
        self.identified = False
        self.certificate_user: User | None = None
        self.bearer = ""
        self.bearer_user: User | None = None
        self._blocks: dict[bytes, _Head] = {}
        #: The request on the short way, its task, and what came behind it.
        self._exchange: Exchange | None = None
        self._short: asyncio.Task[None] | None = None
        self._more = b""
        self._reading_stopped = False
        #: Whether aiohttp's parser may be in the middle of a request.
        self._partial = False
        #: Whether there was a whole request yet, and the loop's time of the last one or its answer.
        self._asked = False
        self._heard = loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self._manager is not None
        if not cast(WebServer, self._manager).room():
            cast(asyncio.Transport, transport).abort()

    def data_received(self, data: bytes) -> None:
        if self._short is not None:
            # The client did not wait for its answer: what it sent comes next.
            self._more += data
            if not self._reading_stopped:
                self._reading_stopped = True
                self._pause_transport_reading()
        elif not self._take(data):
            count = self._request_count
            super().data_received(data)
            self._partial = self._request_count == count
            if not self._partial:
                self._asked = True
                self._heard = self._loop.time()

    def _take(self, data: bytes) -> bool:
        """Answer a plain request that is whole. False when it is none, or aiohttp is in the middle of
        something.
        """
        waiter = self._waiter
        if (
            waiter is None
            or waiter.done()
            or self._messages
            or self._upgraded
            or self._close
            or self._force_close
        ):
            return False
        end = data.find(b"\r\n\r\n")
        if not 0 <= end <= _LARGEST_HEAD or self._partial:
            return False
        first = data.find(b"\r\n")
        line = _LINE.fullmatch(data, 0, first)
        if line is None or _LONG_ANSWER.search(line[2]):
            return False
        block = data[first + 2 : end]
        known = self._blocks.get(block) or self._learn(block)
        if known is None:
            return False
        length = known.length
        body = end + 4
        rest = len(data) - body - length
        if rest < 0:
            return False
        if rest:
            self._more = data[body + length :]
        exchange = Exchange(
            line[1].decode("ascii"),
            line[2].decode("ascii"),
            known.headers,
            Whole(data[body : body + length] if length else b""),
            self,
            False,
        )
        self._exchange = exchange
        self._asked = True
        self._short = self._loop.create_task(self._answer(exchange))
        return True

    def _learn(self, block: bytes) -> _Head | None:
        known = _understand(block)
        if known is not None and len(block) <= _LONGEST:
            if len(self._blocks) >= _BLOCKS:
                self._blocks.clear()
            self._blocks[block] = known
        return known

    async def _answer(self, exchange: Exchange) -> None:
        """The life of a request on the short way."""
        again = False
        try:
            assert self._request_handler is not None
            reply = cast(Reply, await self._request_handler(cast(Any, exchange)))
            if reply.data:
                exchange.write(reply.data)
            again = reply.keep_alive
        except ConnectionError:
            pass
        finally:
            self._exchange = self._short = None
            if again and not self._force_close and not self._close:
                self._next()
            else:
                self.force_close()

    def _next(self) -> None:
        """Keep the connection, and go on with what came meanwhile."""
        self._heard = self._loop.time()
        self._next_keepalive_close_time = self._heard + self._keepalive_timeout
        if self._more:
            data, self._more = self._more, b""
            self.data_received(data)
        if self._reading_stopped and self._short is None:
            self._reading_stopped = False
            self._resume_transport_reading()

    def end_if_silent(self, now: float) -> None:
        """End a connection whose client does not come to the end of its first head, or asks nothing more."""
        if self._short is not None or self._current_request is not None:
            self._heard = now
        elif now - self._heard > (IDLE_SECONDS if self._asked else HEAD_SECONDS):
            self.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._exchange is not None:
            self._exchange._cancel(exc or ConnectionResetError("connection lost"))
        super().connection_lost(exc)

    def handle_error(
        self, request: Any, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> Any:
        """What aiohttp answers by itself (a request it cannot parse): a Status, and the connection ends."""
        if status == 400:
            # What comes behind the colon are the client's own bytes.
            why = (message or "").partition(":")[0]
            error = errors.bad_request(f"the request is not valid HTTP{f': {why}' if why else ''}")
        else:
            error = errors.StatusError(status, "InternalError", message or "the request could not be handled")
        body = encode_status(error)
        return Reply(head(status, JSON, len(body), "Connection: close\r\n") + body, keep_alive=False)


class WebServer(web.Server):
    """aiohttp's low-level server with our connections and requests."""

    def __init__(self, handler: Callable[[Exchange], Any], **options: Any) -> None:
        super().__init__(cast(Any, handler), request_factory=cast(Any, _exchange), access_log=None, **options)
        #: Without a file descriptor to spare, the master could not even reach its kubelets.
        self._most = min(MAX_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)

    def room(self) -> bool:
        """Whether the connection that was just made may stay."""
        return len(self._connections) <= self._most

    def end_silent(self, now: float) -> None:
        """To be called every few seconds."""
        for connection in self.connections:
            cast(Connection, connection).end_if_silent(now)

    def __call__(self) -> web.RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)


def _exchange(message: Any, payload: Any, protocol: Connection, writer: Any, task: Any) -> Exchange:
    """aiohttp's parsed message as our request."""
    exchange = Exchange(
        message.method, message.path, message.headers, payload, protocol, message.should_close
    )
    exchange.impersonates = any(name.lower().startswith("impersonate-") for name in message.headers)
    return exchange
