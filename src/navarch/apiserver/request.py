# SPDX-License-Identifier: GPL-3.0-or-later
"""One HTTP request and how it is answered: the thinnest layer over aiohttp's parser and connection.

aiohttp's own request and response objects cost more than a whole `get` does here, so the connection hands
us its parsed message and we write finished bytes to the transport. Not here: resource and verb (`route`), the
user (`authn`), the answer (`verbs`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from multidict import CIMultiDictProxy

from navarch.api.machinery import errors
from navarch.auth.user import User

if TYPE_CHECKING:
    from navarch.apiserver.connection import Connection
    from navarch.apiserver.flowcontrol import Flow

#: Largest request body, as kube-apiserver's default.
BODY_LIMIT = 3 * 1024 * 1024

#: Seconds a client may take to send a body that did not come with its head.
BODY_TIMEOUT = 30.0

#: Seconds a client may be stuck before it is given up.
STUCK = 60.0

JSON = "application/json"

REASONS = {
    101: "Switching Protocols",
    200: "OK",
    201: "Created",
    202: "Accepted",
    304: "Not Modified",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    409: "Conflict",
    410: "Gone",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


class _Heads:
    """Response heads for the plain JSON answers, made once a second (the Date) and a status code."""

    def __init__(self) -> None:
        self._second = 0
        self._date = ""
        self._ready: dict[int, bytes] = {}

    def date(self) -> str:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._date = formatdate(second, usegmt=True)
            self._ready.clear()
        return self._date

    def json(self, code: int) -> bytes:
        """Everything up to the digits of Content-Length."""
        date = self.date()
        head = self._ready.get(code)
        if head is None:
            head = self._ready[code] = (
                f"HTTP/1.1 {code} {REASONS.get(code, 'Unknown')}\r\nCache-Control: no-cache, private\r\n"
                f"Content-Type: application/json\r\nDate: {date}\r\nContent-Length: "
            ).encode()
        return head


HEADS = _Heads()


def head(code: int, content_type: str, length: int | None, extra: str = "") -> bytes:
    """A response head. length None: chunked. extra: further header lines, each ended by CRLF."""
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return (
        f"HTTP/1.1 {code} {REASONS.get(code, 'Unknown')}\r\nCache-Control: no-cache, private\r\n"
        f"Content-Type: {content_type}\r\nDate: {HEADS.date()}\r\n{extra}{size}\r\n\r\n"
    ).encode()


class Payload(Protocol):
    """A request's body as it comes in; aiohttp's StreamReader, or one that is whole already."""

    def is_eof(self) -> bool: ...
    def at_eof(self) -> bool: ...
    def read_nowait(self, n: int = -1) -> bytes: ...
    async def readany(self) -> bytes: ...
    def set_exception(self, exc: BaseException) -> None: ...


class Reply:
    """A finished answer, in the shape aiohttp's connection expects of a response."""

    __slots__ = ("data", "keep_alive")

    def __init__(self, data: bytes, keep_alive: bool = True) -> None:
        self.data = data
        self.keep_alive = keep_alive

    async def prepare(self, request: Request) -> None:
        if self.data:
            request.write(b"" if request.silent else self.data)
            await request.drained()

    async def write_eof(self) -> None:
        return None


#: What a handler returns that wrote its answer itself.
WRITTEN = Reply(b"", True)
#: The same, where the connection cannot be used again.
WRITTEN_LAST = Reply(b"", False)


class Request:
    """A request as it came, and the connection to answer on. aiohttp's connection calls `_finish`, `_cancel`
    and sets `_task`.
    """

    __slots__ = (
        "_task",
        "flow",
        "headers",
        "impersonates",
        "lost",
        "method",
        "on_lost",
        "path",
        "payload",
        "protocol",
        "query",
        "releaser",
        "should_close",
        "silent",
        "started",
        "user",
        "warnings",
    )

    def __init__(
        self,
        method: str,
        target: str,
        headers: CIMultiDictProxy[str],
        payload: Payload,
        protocol: Connection,
        should_close: bool,
    ) -> None:
        self.method = method
        #: Path as sent (percent-encoded) and the raw query behind the question mark.
        self.path, _, self.query = target.partition("?")
        self.headers = headers
        self.payload = payload
        self.protocol = protocol
        self.should_close = should_close
        #: The task that answers it, where the connection has made one for it.
        self._task: asyncio.Task[None] | None = None
        self.user: User | None = None
        #: Whether headers ask to act as somebody else.
        self.impersonates = False
        self.warnings: list[str] = []
        self.started = 0.0
        self.lost = False
        #: Called when the connection is lost while the request is being answered.
        self.on_lost: Callable[[], object] | None = None
        #: Whether the method is HEAD: only the head is sent.
        self.silent = False
        #: The user's requests, while this one has a seat among them.
        self.flow: Flow | None = None
        #: Requests under the limit of time; set by the server.
        self.releaser: dict[Request, Any] | None = None

    def _finish(self) -> None:
        return None

    def _cancel(self, exc: BaseException) -> None:
        self.lost = True
        self.payload.set_exception(exc)
        if self.on_lost is not None:
            self.on_lost()

    def header(self, name: str) -> str:
        return self.headers.get(name) or ""

    def write(self, data: bytes | memoryview) -> None:
        """To the transport at once. Raises ConnectionResetError when the connection is gone."""
        transport = self.protocol.transport
        if transport is None:
            raise ConnectionResetError("connection lost")
        transport.write(data)

    def limit_buffer(self, size: int) -> None:
        """Have writing paused when this many bytes wait for the client."""
        transport = self.protocol.transport
        if transport is not None:
            transport.set_write_buffer_limits(size)

    def release(self) -> None:
        """Say that the answer may last: from now on the request has no seat, and no limit of time."""
        self.leave_seat()
        if self.releaser is not None:
            self.releaser.pop(self, None)

    def leave_seat(self) -> None:
        """Let others be answered: what is left of this request waits for its client."""
        flow, self.flow = self.flow, None
        if flow is not None:
            flow.leave()

    def close(self) -> None:
        """Cut the connection: what says that a chunked answer is not whole."""
        transport = self.protocol.transport
        if transport is not None:
            transport.abort()

    async def drain(self) -> None:
        """Wait while the client is behind. Raises ConnectionResetError when the connection is gone."""
        await self.protocol._drain_helper()

    async def drained(self) -> None:
        """`drain`, for answers that are made already: a client that takes too little for too long is cut off,
        and ConnectionResetError raised.
        """
        if not self.protocol.writing_paused:
            return
        self.leave_seat()
        try:
            async with asyncio.timeout(STUCK):
                await self.drain()
        except TimeoutError:
            self.close()
            raise ConnectionResetError(f"the client took nothing for {STUCK:.0f} seconds") from None

    async def body(self) -> bytes:
        """The whole body. Raises StatusError 413 over the limit, 400 when it does not come, 429 when the
        request, which has no seat meanwhile, does not get one again.
        """
        payload = self.payload
        if payload.is_eof():
            data = payload.read_nowait(-1)
            if len(data) > BODY_LIMIT:
                raise errors.too_large(BODY_LIMIT)
            return data
        declared = self.headers.get("Content-Length")
        if declared is not None and declared.isdigit() and int(declared) > BODY_LIMIT:
            raise errors.too_large(BODY_LIMIT)
        if self.header("Expect").lower() == "100-continue":
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        flow = self.flow
        self.leave_seat()
        data = await self._incoming(payload)
        if flow is not None:
            if not flow.enter():
                await flow.wait()
            self.flow = flow
        return data

    async def _incoming(self, payload: Payload) -> bytes:
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(BODY_TIMEOUT):
                while not payload.at_eof():
                    part = await payload.readany()
                    size += len(part)
                    if size > BODY_LIMIT:
                        raise errors.too_large(BODY_LIMIT)
                    parts.append(part)
        except TimeoutError:
            raise errors.bad_request(
                f"the request body did not arrive within {BODY_TIMEOUT:.0f} seconds"
            ) from None
        except ConnectionError:
            raise
        except errors.StatusError:
            raise
        except (
            Exception
        ) as error:  # aiohttp's several payload errors: bad chunking, bad compression, cut short
            raise errors.bad_request(f"the request body cannot be read: {error}") from None
        return b"".join(parts)

    def reply(self, code: int, body: bytes, content_type: str = JSON, extra: str = "") -> Reply:
        """A whole answer of known length."""
        keep = not self.should_close
        if content_type is JSON and not extra and keep and not self.warnings:
            if self.silent:
                return Reply(self._silent(b"%b%d\r\n\r\n" % (HEADS.json(code), len(body))))
            return Reply(b"%b%d\r\n\r\n%b" % (HEADS.json(code), len(body), body))
        first = head(code, content_type, len(body), self.extra_lines(extra))
        return Reply(self._silent(first) if self.silent else first + body, keep)

    def _silent(self, data: bytes) -> bytes:
        self.silent = False
        return data

    def extra_lines(self, extra: str = "") -> str:
        """Header lines that every answer to this request has: Warning and Connection."""
        for text in shown(self.warnings):
            extra += f'Warning: 299 - "{_quoted(text)}"\r\n'
        if self.should_close:
            extra += "Connection: close\r\n"
        return extra


#: Characters of all warnings of one answer, and of each where all together are more (the two bounds of
#: k8s.io/apiserver/pkg/endpoints/filters/warning.go). Python's http.client takes 100 header lines in all.
_ALL_WARNINGS, _ONE_WARNING, _WARNING_LINES = 4096, 256, 64


def shown(warnings: list[str]) -> list[str]:
    """The warnings that are sent: each once, cut when they are long, and a last one for those left out."""
    found = list(dict.fromkeys(warnings))
    if len(found) <= _WARNING_LINES and sum(map(len, found)) <= _ALL_WARNINGS:
        return found
    cut: list[str] = []
    room = _ALL_WARNINGS
    for text in found[: _WARNING_LINES - 1]:
        if room <= 0:
            break
        cut.append(text[:_ONE_WARNING])
        room -= len(cut[-1])
    if left := len(found) - len(cut):
        cut.append(f"{left} more warnings are not shown")
    return cut


def _quoted(text: str) -> str:
    """A Warning's text as a quoted string on one line of ASCII (RFC 9110 section 5.6.4)."""
    plain = "".join(c if " " <= c <= "~" else "?" for c in text.replace("\n", " "))
    return plain.replace("\\", "\\\\").replace('"', '\\"')


def encode_status(error: errors.StatusError) -> bytes:
    return msgspec.json.encode(error.body()) + b"\n"


def text_of(raw: str) -> str:
    """What aiohttp read from a request's head, without the lone surrogates that stand for bytes which are no
    UTF-8: those no answer and no object could hold.
    """
    return raw if raw.isascii() else raw.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
