# SPDX-License-Identifier: GPL-3.0-or-later
"""A client's connection: aiohttp's, with a short way for the requests that make up nearly all of the load.

A request that is whole in one read, plain HTTP/1.1 with keep-alive and with nothing unusual in its head is
taken here: its header block is looked up (a client sends the same one again and again), one task answers
it. Everything else, and everything that might be wrong, goes to aiohttp's parser as it came: the short way
never refuses anything. Watches and streams take aiohttp's way too.

aiohttp's parser is given one message at a time, with every byte of it, so that it is always known whether
the next byte begins a request (`_Framing`). Only there may the short way be taken: how the network cuts the
bytes changes neither the requests nor their order.
"""

from __future__ import annotations

import asyncio
import enum
import re
from collections.abc import Callable
from typing import Any, NamedTuple, cast

from aiohttp import web
from aiohttp.http import RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy

from navarch.api.core.node.identity import NODE_OF_POD
from navarch.api.machinery import errors
from navarch.apiserver.levels import level_of
from navarch.apiserver.request import (
    BODY_LIMIT,
    JSON,
    Payload,
    Reply,
    Request,
    encode_status,
    head,
    text_of,
)
from navarch.auth.authn.certificate import Shown
from navarch.auth.user import User
from navarch.serving.peers import Place

#: Seconds an idle connection is kept: of a user, and of a client of which no request was authenticated yet.
IDLE_SECONDS = 300.0
STRANGER_SECONDS = 10.0

#: Header blocks remembered a connection, and the longest that is.
_BLOCKS, _LONGEST = 16, 2048

#: Heads beyond this are aiohttp's to judge.
_LARGEST_HEAD = 8192

#: Fields beyond this are aiohttp's to judge (it refuses more than 128).
_MOST_FIELDS = 100

#: Messages that may wait in aiohttp's queue; what comes behind them is not parsed yet.
_QUEUE = 16

_END = b"\r\n\r\n"
_LINE = re.compile(rb"(GET|POST|PUT|PATCH|DELETE) (/api[!\x24-~]*) HTTP/1\.1")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\x20-\x7e]*?)[ \t]*")
#: With one of these a request is not plain.
_UNUSUAL = frozenset(
    {
        b"transfer-encoding", b"expect", b"connection", b"proxy-connection", b"upgrade", b"content-encoding",
        b"te", b"trailer", b"sec-websocket-key1",
    }
)  # fmt: skip
_LONG_ANSWER = re.compile(rb"[?&]watch=|[?&]follow=|/log(\?|$)|/proxy")


class _Head(NamedTuple):
    """A header block, understood."""

    headers: CIMultiDictProxy[str]
    #: Content-Length; 0 when there is none.
    length: int


def _understand(block: bytes) -> _Head | None:
    """None when there is anything unusual in it."""
    headers: CIMultiDict[str] = CIMultiDict()
    length = 0
    names: set[bytes] = set()
    lines = block.split(b"\r\n")
    if len(lines) > _MOST_FIELDS:
        return None
    for line in lines:
        match = _FIELD.fullmatch(line)
        if match is None:
            return None
        name, value = match.groups()
        lower = name.lower()
        if lower in _UNUSUAL or lower in names or lower.startswith(b"impersonate-"):
            return None
        names.add(lower)
        if lower == b"content-length":
            if not value.isdigit() or len(value) > 10:
                return None
            length = int(value)
        headers.add(name.decode("ascii"), value.decode("ascii"))
    if b"host" not in names or length > BODY_LIMIT:
        return None
    return _Head(CIMultiDictProxy(headers), length)


class Whole:
    """A body that came with its head (`request.Payload`)."""

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


class _Framing(enum.Enum):
    """Where in the client's bytes aiohttp's parser stands."""

    #: Before a request.
    BETWEEN = enum.auto()
    HEAD = enum.auto()
    #: In a body of declared length.
    LENGTH = enum.auto()
    #: In a body whose end only the parser knows.
    CHUNKED = enum.auto()
    #: Behind an upgrade: all bytes are the stream's.
    STREAM = enum.auto()
    #: No request can follow: the last one was not valid, or the connection ends after it.
    OVER = enum.auto()


class Connection(web.RequestHandler):
    """Also holds what is read of a connection once: the certificate's user, the user of the last
    Authorization header.
    """

    __slots__ = (
        "_at", "_blocks", "_body", "_cut", "_framing", "_heard", "_more", "_owed", "_reading_stopped",
        "_request", "_short", "authenticated", "bearer", "bearer_user", "certificate", "identified",
        "place",
    )  # fmt: skip

    def __init__(
        self, manager: web.Server, place: Place | None, *, loop: asyncio.AbstractEventLoop, **options: Any
    ) -> None:
        """place: None where connections are not counted."""
        super().__init__(manager, loop=loop, **options)
        self.place = place
        #: Whether a request on it was authenticated.
        self.authenticated = False
        self.identified = False
        self.certificate: Shown | None = None
        self.bearer = ""
        self.bearer_user: User | None = None
        self._blocks: dict[bytes, _Head] = {}
        #: The request on the short way, and its task.
        self._request: Request | None = None
        self._short: asyncio.Task[None] | None = None
        #: What came and is not looked at yet: from `_at` on in `_more`.
        self._more = b""
        self._at = 0
        self._reading_stopped = False
        self._framing = _Framing.BETWEEN
        #: The last bytes of an unfinished head (its end may lie across two reads).
        self._cut = b""
        #: Bytes missing of a body of declared length; the body of a chunked request.
        self._owed = 0
        self._body: Payload | None = None
        #: The loop's time of the last whole head or answer.
        self._heard = loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._heard = self._loop.time()
        if self.place is not None:
            self.place.close = cast(asyncio.Transport, transport).abort

    def authenticate(self, user: User) -> bool:
        """The connection is this user's. False when the user has too many."""
        self.authenticated = self.place is None or self.place.take(user.name, level_of(user))
        return self.authenticated

    def data_received(self, data: bytes) -> None:
        """From the transport; empty when aiohttp's parser may go on with what it holds."""
        if not data:
            super().data_received(data)
        elif self._more:
            self._more = self._more[self._at :] + data
            self._at = 0
        else:
            self._more = data
        self._go_on()

    def _go_on(self) -> None:
        """Look at what came, as far as it can be answered or queued now."""
        while self._at < len(self._more):
            if self._short is not None or self._reading_paused or len(self._messages) >= _QUEUE:
                # The client did not wait for its answer: what it sent comes next.
                if not self._reading_stopped:
                    self._reading_stopped = True
                    self._pause_transport_reading()
                return
            if self._framing is not _Framing.BETWEEN or not self._take():
                self._feed()
        self._more, self._at = b"", 0
        if self._reading_stopped and self._short is None:
            self._reading_stopped = False
            if not self._reading_paused and not self._buffer_paused:
                self._resume_transport_reading()

    def _resume_transport_reading(self) -> None:
        if not self._reading_stopped:
            super()._resume_transport_reading()

    def _feed(self) -> None:
        """Give aiohttp what belongs to one message, or all when its end has not come."""
        framing, data, at = self._framing, self._more, self._at
        if framing is _Framing.OVER:
            self._at = len(data)
            return
        if framing is _Framing.STREAM:
            end = len(data)
        elif framing is _Framing.LENGTH:
            end = min(len(data), at + self._owed)
        else:
            end = self._end_of_lines(data, at)
        part = data if end - at == len(data) else data[at:end]
        self._at = end
        # Empty lines before a request are none.
        if framing is _Framing.BETWEEN and (part[-1:] != b"\n" or part.strip(b"\r\n")):
            self._framing = _Framing.HEAD
        self._cut = (self._cut + part[-3:])[-3:]
        count = self._request_count
        super().data_received(part)
        if framing is _Framing.LENGTH:
            self._owed -= len(part)
            if not self._owed:
                self._framing = _Framing.BETWEEN
        elif self._request_count != count:
            self._began()
        self._look_at_body()
        if self._framing is _Framing.BETWEEN:
            self._cut = b""

    def _end_of_lines(self, data: bytes, at: int) -> int:
        """Where the next empty line ends, or the data."""
        cut = self._cut
        if cut:
            found = (cut + data[at : at + 3]).find(_END)
            if found >= 0:
                return at + found + 4 - len(cut)
        found = data.find(_END, at)
        return found + 4 if found >= 0 else len(data)

    def _began(self) -> None:
        """aiohttp has understood a head, or refused the bytes."""
        self._heard = self._loop.time()
        message, payload = self._messages[-1]
        if not isinstance(message, RawRequestMessage):
            self._framing = _Framing.OVER
        elif message.upgrade and message.headers.get("Upgrade", "").lower() == "websocket":
            self._framing = _Framing.STREAM
        elif message.chunked:
            self._framing, self._body = _Framing.CHUNKED, payload
        else:
            self._owed = int(message.headers.get("Content-Length", "0"))
            self._framing = _Framing.LENGTH if self._owed else _Framing.BETWEEN

    def _look_at_body(self) -> None:
        if self._body is not None and self._body.is_eof():
            self._framing, self._body = _Framing.BETWEEN, None

    def _take(self) -> bool:
        """Answer a plain request that is whole. False when it is none, or aiohttp is in the middle of
        something.
        """
        waiter = self._waiter
        if waiter is None or waiter.done() or self._messages or self._close or self._force_close:
            return False
        data, at = self._more, self._at
        end = data.find(_END, at)
        if not 0 <= end - at <= _LARGEST_HEAD:
            return False
        first = data.find(b"\r\n", at)
        line = _LINE.fullmatch(data, at, first)
        if line is None or _LONG_ANSWER.search(line[2]):
            return False
        block = data[first + 2 : end]
        known = self._blocks.get(block) or self._learn(block)
        if known is None:
            return False
        body = end + 4
        behind = body + known.length
        if behind > len(data):
            return False
        self._at = behind
        request = Request(
            line[1].decode("ascii"),
            line[2].decode("ascii"),
            known.headers,
            Whole(data[body:behind] if known.length else b""),
            self,
            False,
        )
        self._request = request
        self._short = request._task = self._loop.create_task(self._answer(request))
        return True

    def _learn(self, block: bytes) -> _Head | None:
        known = _understand(block)
        if known is not None and len(block) <= _LONGEST:
            if len(self._blocks) >= _BLOCKS:
                self._blocks.clear()
            self._blocks[block] = known
        return known

    async def _answer(self, request: Request) -> None:
        """The life of a request on the short way."""
        again = False
        try:
            assert self._request_handler is not None
            reply = cast(Reply, await self._request_handler(cast(Any, request)))
            if reply.data:
                request.write(reply.data)
            again = reply.keep_alive
            if self._paused:
                await request.drained()
        except ConnectionError:
            again = False
        finally:
            self._request = self._short = None
            if again and not self._force_close and not self._close:
                self._next()
            else:
                self.force_close()

    def _next(self) -> None:
        """Keep the connection, and go on with what came meanwhile."""
        self._heard = self._loop.time()
        self._next_keepalive_close_time = self._heard + self._keepalive_timeout
        if self._more:
            self._go_on()

    def is_of(self, node: str, before: float) -> bool:
        """Whether the node asks here by a certificate issued before a time, or one of its pods asks."""
        if self.certificate is not None:
            return self.certificate.node == node and self.certificate.issued < before
        request = self._request or cast("Request | None", self._current_request)
        return (
            request is not None
            and request.user is not None
            and (node in request.user.extra.get(NODE_OF_POD, ()))
        )

    def end_if_silent(self, now: float) -> None:
        """End a connection whose client does not come to the end of a head, or asks nothing more."""
        if self._short is not None or self._current_request is not None:
            self._heard = now
        elif now - self._heard > (IDLE_SECONDS if self.authenticated else STRANGER_SECONDS):
            self.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self.place is not None:
            self.place.leave()
            self.place = None
        if self._request is not None:
            self._request._cancel(exc or ConnectionResetError("connection lost"))
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

    def __init__(self, handler: Callable[[Request], Any], **options: Any) -> None:
        super().__init__(
            cast(Any, handler), request_factory=cast(Any, _make_request), access_log=None, **options
        )

    def end_silent(self, now: float) -> None:
        """To be called every few seconds."""
        for connection in self.connections:
            cast(Connection, connection).end_if_silent(now)

    def end_node(self, node: str, before: float) -> None:
        """End what a node has open that was thrown out. Those of its pods whose tokens are good come back."""
        for connection in list(self.connections):
            if cast(Connection, connection).is_of(node, before) and connection.transport is not None:
                connection.transport.abort()

    def __call__(self, place: Place | None = None) -> Connection:
        return Connection(self, place, loop=self._loop, **self._kwargs)


def _make_request(message: Any, payload: Any, protocol: Connection, writer: Any, task: Any) -> Request:
    """aiohttp's parsed message as our request."""
    headers = message.headers
    if not all(value.isascii() for value in headers.values()):
        headers = CIMultiDictProxy(CIMultiDict((name, text_of(value)) for name, value in headers.items()))
    # No request is read behind a refused upgrade: the client may have sent the stream already.
    request = Request(
        message.method,
        text_of(message.path),
        headers,
        payload,
        protocol,
        message.should_close or bool(message.upgrade),
    )
    request.impersonates = any(name.lower().startswith("impersonate-") for name in message.headers)
    return request
