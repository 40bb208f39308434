# SPDX-License-Identifier: GPL-3.0-or-later
"""How the network cuts a client's bytes changes nothing: neither the requests, nor their order, nor which of
them are refused.
"""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from navarch.api.machinery import errors
from navarch.apiserver.connection import Connection, WebServer
from navarch.apiserver.request import Reply, Request

HOST = b"Host: x\r\n"
GET = b"GET /api/v1/pods HTTP/1.1\r\n" + HOST + b"\r\n"
ODD = b"GET /api/v1/odd HTTP/1.1\r\n" + HOST + b"TE: trailers\r\n\r\n"


def post(body: bytes, *fields: bytes) -> bytes:
    head = b"POST /api/v1/pods HTTP/1.1\r\n" + HOST + b"".join(field + b"\r\n" for field in fields)
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunked(*parts: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    head = b"POST /api/v1/pods HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + end


class Wire(asyncio.Transport):
    """A transport that keeps what is written, and holds back what comes while reading is paused."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False
        self.paused = False

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class Outcome(NamedTuple):
    #: (method, path, field values, body or the code of its refusal) of every request, in order.
    requests: list[tuple[str, str, list[tuple[str, str]], bytes | int]]
    #: Status codes of the answers.
    codes: list[int]
    closed: bool


class Serving:
    """The real connection on such a wire; requests are written down, their bodies read."""

    def __init__(self, *, reads_bodies: bool, waits: bool) -> None:
        self._reads = reads_bodies
        self._waits = waits
        self.requests: list[tuple[str, str, list[tuple[str, str]], bytes | int]] = []

    async def answer(self, x: Request) -> Reply:
        body: bytes | int = b""
        if self._waits:
            await asyncio.sleep(0)
        try:
            if self._reads:
                body = await x.body()
        except errors.StatusError as error:
            body = error.code
        self.requests.append((x.method, x.path, list(x.headers.items()), body))
        if isinstance(body, int):
            return Reply(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", keep_alive=False)
        return x.reply(200, b"{}")

    async def outcome(self, pieces: list[bytes], pauses: list[bool]) -> Outcome:
        web = WebServer(self.answer, lingering_time=0.0, max_line_size=64 * 1024, max_field_size=16 * 1024)
        connection, wire = web(), Wire()
        assert isinstance(connection, Connection)
        connection.connection_made(wire)
        await settle()
        for piece, pause in zip(pieces, pauses, strict=True):
            for _ in range(200):
                if not wire.paused or wire.closed:
                    break
                await asyncio.sleep(0)
            if wire.closed:
                break
            assert not wire.paused, "reading is never resumed"
            connection.data_received(piece)
            if pause:
                await settle()
        for _ in range(20):
            await settle()
        closed = wire.closed
        connection.connection_lost(None)
        await web.shutdown(0)
        codes = [int(line.split(b" ")[0]) for line in wire.written.split(b"HTTP/1.1 ")[1:]]
        return Outcome(self.requests, codes, closed)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def run(
    pieces: list[bytes], pauses: list[bool], *, reads_bodies: bool = True, waits: bool = False
) -> Outcome:
    return asyncio.run(Serving(reads_bodies=reads_bodies, waits=waits).outcome(pieces, pauses))


def whole(data: bytes) -> Outcome:
    return run([data], [True])


MESSAGES = st.one_of(
    st.sampled_from(
        [
            GET,
            ODD,
            b"\r\n" + GET,
            b"GET /api/v1/pods?watch=1 HTTP/1.1\r\n" + HOST + b"\r\n",
            b"GET /api/v1/pods HTTP/1.1\r\n" + HOST + b"Connection: keep-alive\r\n\r\n",
            b"GET /api/v1/pods HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n",
            b"GET /api/v1/pods HTTP/1.1\r\n" + HOST + b"Proxy-Connection: close\r\n\r\n",
            b"GET /api/v1/pods HTTP/1.0\r\n" + HOST + b"\r\n",
            b"DELETE /api/v1/pods HTTP/1.1\r\n" + HOST + b"X: \r\n\r\n",
            b"HEAD /healthz HTTP/1.1\r\n" + HOST + b"\r\n",
            b"GET  /api HTTP/1.1\r\n" + HOST + b"\r\n",
            b"GET http://x/api HTTP/1.1\r\n" + HOST + b"\r\n",
            b"GET /api/a HTTP/1.1\r\n" + HOST + b"Accept: a\r\nAccept: b\r\n\r\n",
            b"GET /api/a HTTP/1.1\r\n" + HOST + b"a: \r\n" * 20 + b"\r\n",
            b"GET /api/a HTTP/1.1\r\n" + HOST + b"a: \xff\r\n\r\n",
            # A header's value that looks like a request, as it was executed once.
            b"GET /api/v1/note HTTP/1.1\r\nX-Note: a\r\n" + HOST + b"X: DELETE /api/v1/x HTTP/1.1\r\n\r\n",
            post(b"{}", b"Expect: 100-continue"),
            post(GET),
            post(GET[:-2]),
            post(b"x" * 100_000),
            chunked(GET, b"\r\n\r\n", b"x" * 70_000),
            chunked(b"ab", end=b"0\r\nTrailer: x\r\n\r\n"),
            # Not valid, or not one thing only.
            b"NONSENSE\r\n\r\n",
            b"\r\n\r\n",
            b" " + GET,
            chunked(b"a", end=b"zz\r\n\r\n"),
            GET.replace(b"\r\n", b"\n"),
            GET[:-10],
        ]
    ),
    st.binary(max_size=40).map(post),
    st.binary(max_size=40).map(lambda body: post(body, b"Connection: keep-alive")),
    st.lists(st.binary(min_size=1, max_size=20), max_size=4).map(lambda parts: chunked(*parts)),
    st.binary(max_size=20),
)


@st.composite
def cut(draw: st.DrawFn) -> tuple[list[bytes], list[bool]]:
    data = b"".join(draw(st.lists(MESSAGES, min_size=1, max_size=5)))
    interesting = [i + j for i in range(len(data)) if data[i : i + 2] == b"\r\n" for j in (0, 1, 2)]
    where = st.integers(0, len(data))
    if interesting:
        where = st.one_of(st.sampled_from(interesting), where)
    places = sorted(set(draw(st.lists(where, max_size=12))) | {0, len(data)})
    pieces = [data[a:b] for a, b in pairwise(places)] or [data]
    return pieces, draw(st.lists(st.booleans(), min_size=len(pieces), max_size=len(pieces)))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(cut(), st.booleans())
@example(([ODD + ODD[:30], ODD[30:]], [True, True]), False)
def test_any_split_gives_the_requests_of_the_whole(
    drawn: tuple[list[bytes], list[bool]], waits: bool
) -> None:
    pieces, pauses = drawn
    assert run(pieces, pauses, waits=waits) == whole(b"".join(pieces))


def test_a_header_is_never_a_request() -> None:
    """A whole request and half a head in one read; what came next was taken for a request of its own."""
    head = b"GET /api/v1/second HTTP/1.1\r\n" + HOST + b"X-Note: a\r\n"
    rest = b"DELETE /api/v1/nodes HTTP/1.1\r\n" + HOST + b"\r\n"
    for first in (GET, ODD):
        found = run([first + head, rest], [True, True])
        assert [request[:2] for request in found.requests] == [whole(first).requests[0][:2]]
        assert (found.codes, found.closed) == ([200, 400], True)


def test_the_short_way_is_taken_again_behind_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[bool] = []
    take = Connection._take
    monkeypatch.setattr(Connection, "_take", lambda self: taken.append(take(self)) or taken[-1])
    big, parts = post(b"x" * 5000), chunked(b"ab", b"c" * 3000)
    for before in ([ODD], [big[:100], big[100:]], [parts[:120], parts[120:]], [GET[:20], GET[20:]]):
        taken.clear()
        found = run([*before, GET], [True] * (len(before) + 1))
        assert found.codes == [200, 200]
        assert taken[-1], before


CUT = b"GET /api HTTP/1.1\r\n" + HOST
BODY = b"5\r\nhello\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        CUT + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
        CUT + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n",
        CUT + b"Content-Length: 15\r\nContent-Length: 15\r\n\r\n",
        CUT + b"Content-Length: 15\r\nContent-Length: 4\r\n\r\n",
        CUT + b"Content-Length: 15, 15\r\n\r\n",
        CUT + b"Content-Length: +15\r\n\r\n",
        CUT + b"Content-Length: 0xf\r\n\r\n",
        CUT + b"Content-Length : 15\r\n\r\n",
        CUT + b"Transfer-Encoding: xchunked\r\n\r\n",
        CUT + b"Transfer-Encoding: chunked, identity\r\n\r\n",
        CUT + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        CUT + b"Transfer-Encoding\x0b: chunked\r\n\r\n",
        CUT + b"X: a\nContent-Length: 15\r\n\r\n",
        CUT + b"X: a\rContent-Length: 15\r\n\r\n",
        CUT + b"\nGET /api/v1/b HTTP/1.1\r\n\r\n",
        (CUT + b"Content-Length: 15\r\n\r\n").replace(b"\r\n", b"\n"),
        CUT + b"X: a\r\n b\r\n\r\n",
        CUT + b"X: a\r\n\tContent-Length: 15\r\n\r\n",
        b"GET /api HTTP/1.1\r\n " + HOST + b"\r\n",
        b" " + CUT + b"\r\n",
        b"GET /api HTTP/1.1\r\n\r\n",
        CUT + HOST + b"\r\n",
        CUT + b"X: a\x00\r\n\r\n",
        CUT + b"a: b\r\n" * 200 + b"\r\n",
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(head: bytes) -> None:
    """Request smuggling: everything is one 400 and the end of the connection."""
    for before, codes in ((b"", []), (GET, [200]), (ODD, [200])):
        found = run([before + head + BODY + GET], [True], reads_bodies=False)
        assert (found.codes, found.closed) == ([*codes, 400], True)
        assert len(found.requests) == len(codes)
