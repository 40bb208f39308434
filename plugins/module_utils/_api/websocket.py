# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""A WebSocket client (RFC 6455), no more of it than the API's streams need, on a session of ``requests``: its
credentials, its trust, its proxy.

Belongs here: the upgrade and frames. Not here: what messages mean (``_pods.streaming``).
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import select
import socket
import ssl
import struct
import time
import typing as t
from urllib.parse import urlsplit

from .transport import HAS_REQUESTS, PinnedAdapter

if HAS_REQUESTS:
    import requests

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUATION, TEXT, BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
MESSAGE_LIMIT = 16 * 1024 * 1024
QUIET_SECONDS = 25.0  # after which a ping keeps proxies on the way from giving the connection up
_READ = 256 * 1024
_TABLES = [bytes(byte ^ mask for byte in range(256)) for mask in range(256)]


class Refused(Exception):
    """The answer to the upgrade was another one than 101."""

    def __init__(self, code: int, body: bytes) -> None:
        super().__init__("answered %d" % code)
        self.code = code
        self.body = body


class Broken(Exception):
    """The connection ended, or said what no WebSocket says."""


def dial(
    session: t.Any,
    url: str,
    query: t.Sequence[tuple[str, str]],
    protocols: t.Sequence[str],
    seconds: float = 10.0,
) -> WebSocket:
    """Raises Refused, Broken, and OSError (with ssl.SSLError) where there is no connection."""
    asked = session.prepare_request(requests.Request("GET", url, params=query))
    target = urlsplit(asked.url)
    sock = _connect(session, asked.url, seconds)
    try:
        key = base64.b64encode(os.urandom(16))
        lines = ["GET %s HTTP/1.1" % asked.path_url, "Host: %s" % target.netloc.rpartition("@")[2]]
        who = ("Authorization", "Impersonate-")
        lines += ["%s: %s" % (k, _text(v)) for k, v in asked.headers.items() if k.startswith(who)]
        lines += ["User-Agent: navarch.cluster", "Connection: Upgrade", "Upgrade: websocket"]
        lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + key.decode()]
        lines += ["Sec-WebSocket-Protocol: " + ", ".join(protocols), "", ""]
        sock.sendall("\r\n".join(lines).encode("latin-1"))
        answer = http.client.HTTPResponse(_Unbuffered(sock))  # type: ignore[arg-type]  # all it uses of a socket
        try:
            answer.begin()
            if answer.status != 101:
                raise Refused(answer.status, _rest(answer))
        except http.client.HTTPException as problem:
            raise Broken("the answer to the upgrade is not HTTP: %s" % type(problem).__name__) from None
        accept = base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode()
        chosen = answer.getheader("Sec-WebSocket-Protocol") or ""
        if answer.getheader("Sec-WebSocket-Accept") != accept or chosen not in protocols:
            raise Broken("the answer to the upgrade is not that of a WebSocket of this protocol")
        if isinstance(sock, ssl.SSLSocket):
            session.get_adapter(asked.url).tls_session = sock.session
        return WebSocket(sock, chosen)
    except BaseException:
        sock.close()
        raise


def _connect(session: t.Any, url: str, seconds: float) -> socket.socket:
    target = urlsplit(url)
    host, port = target.hostname or "", target.port or (443 if target.scheme == "https" else 80)
    settings = session.merge_environment_settings(url, {}, None, None, None)
    proxy = requests.utils.select_proxy(url, settings["proxies"])
    adapter = session.get_adapter(url)
    if proxy:
        via = urlsplit(proxy if "://" in proxy else "http://" + proxy)
        if via.scheme != "http":
            raise OSError("a proxy for streams must be an http:// one, not %s://" % via.scheme)
        tunnel = http.client.HTTPConnection(via.hostname or "", via.port or 80, timeout=seconds)
        tunnel.set_tunnel(host, port, headers=dict(adapter.proxy_headers(proxy)))
        tunnel.connect()
        sock: socket.socket = tunnel.sock
    else:
        sock = socket.create_connection((host, port), timeout=seconds)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    if isinstance(adapter, PinnedAdapter):
        try:
            return adapter.context.wrap_socket(
                sock, server_hostname=adapter.server_name or host, session=adapter.tls_session
            )
        except BaseException:
            sock.close()
            raise
    return sock


class _Unbuffered:
    """A socket for HTTPResponse that takes no byte beyond the head: what follows are frames."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def makefile(self, mode: str) -> t.Any:
        return self._sock.makefile("rb", 0)


def _rest(answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read()
    except http.client.IncompleteRead as part:
        return part.partial
    except OSError:
        return b""


def _text(value: t.Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


class WebSocket:
    """A connection after its upgrade. Only ``poll`` waits: one thread sends and receives."""

    def __init__(self, sock: socket.socket, protocol: str) -> None:
        self.protocol = protocol
        self.closed = False
        self._sock = sock
        self._out = bytearray()
        self._in = bytearray()
        self._parts: list[bytes] = []  # of a message in several frames
        self._heard = time.monotonic()
        sock.setblocking(False)
        self._poll = select.poll()

    @property
    def waiting(self) -> int:
        """Bytes that the other side has not taken yet."""
        return len(self._out)

    def send(self, data: bytes, opcode: int = BINARY) -> None:
        """One message, sent by the next ``poll``."""
        size, mask = len(data), os.urandom(4)
        head = bytearray((0x80 | opcode,))
        if size < 126:
            head.append(0x80 | size)
        elif size < 65536:
            head += struct.pack(">BH", 0x80 | 126, size)
        else:
            head += struct.pack(">BQ", 0x80 | 127, size)
        masked = bytearray(size)
        for place in range(4):
            masked[place::4] = data[place::4].translate(_TABLES[mask[place]])
        self._out += head + mask + masked

    def poll(self, seconds: float) -> list[bytes]:
        """Sends what can be sent and waits so long for something to arrive or to be sent: whole messages.

        Raises Broken. At the other side's orderly end ``closed`` becomes true.
        """
        quiet = time.monotonic() - self._heard
        if quiet >= QUIET_SECONDS:
            self.send(b"", _PING)
            self._heard = time.monotonic()
        if not self._pending():
            self._poll.register(self._sock, select.POLLIN | (select.POLLOUT if self._out else 0))
            self._poll.poll(1000 * max(0.0, min(seconds, QUIET_SECONDS)))
        try:
            self._flush()
            ended = self._fill()
        except OSError as problem:
            raise Broken(problem.strerror or str(problem)) from None
        messages = list(self._messages())
        if ended and not self.closed and not messages:
            raise Broken("it ended without a word")
        return messages

    def close(self) -> None:
        """Says goodbye as far as that is possible at once."""
        try:
            if not self.closed:
                self.send(struct.pack(">H", 1000), _CLOSE)
            self._flush()
        except OSError:
            pass
        self.closed = True
        self._sock.close()

    def _pending(self) -> bool:
        return isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0

    def _flush(self) -> None:
        try:
            while self._out:
                with memoryview(self._out) as view:
                    sent = self._sock.send(view[:_READ])
                del self._out[:sent]
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            pass

    def _fill(self) -> bool:
        """Takes what has arrived, not endlessly. Whether the connection has ended."""
        try:
            for _turn in range(64):
                data = self._sock.recv(_READ)
                if not data:
                    return True
                self._in += data
                self._heard = time.monotonic()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            pass
        except ssl.SSLError as problem:
            if not isinstance(problem, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
                raise
            return True
        return False

    def _messages(self) -> t.Iterator[bytes]:
        while not self.closed:
            frame = self._frame()
            if frame is None:
                return
            final, opcode, data = frame
            if opcode == _PING:
                self.send(data, _PONG)
            elif opcode == _CLOSE:
                self.send(data[:2], _CLOSE)
                self.closed = True
                try:
                    self._flush()
                except OSError:
                    pass  # it does not wait for the answer
            elif opcode in (TEXT, BINARY, _CONTINUATION):
                if (opcode == _CONTINUATION) != bool(self._parts):
                    raise Broken("a message begins or goes on where it must not")
                self._parts.append(data)
                if sum(map(len, self._parts)) > MESSAGE_LIMIT:
                    raise Broken("a message is larger than %d bytes" % MESSAGE_LIMIT)
                if final:
                    yield b"".join(self._parts)
                    self._parts = []
            elif opcode != _PONG:
                raise Broken("a frame of an unknown kind (%d)" % opcode)

    def _frame(self) -> tuple[bool, int, bytes] | None:
        """The next whole frame that has arrived."""
        have = self._in
        if len(have) < 2:
            return None
        if have[0] & 0x70 or have[1] & 0x80:
            raise Broken("a frame with bits that nobody agreed on")
        size, start = have[1], 2
        if size == 126 and len(have) >= 4:
            size, start = struct.unpack_from(">H", have, 2)[0], 4
        elif size == 127 and len(have) >= 10:
            size, start = struct.unpack_from(">Q", have, 2)[0], 10
        elif size >= 126:
            return None
        if size > MESSAGE_LIMIT:
            raise Broken("a frame is larger than %d bytes" % MESSAGE_LIMIT)
        if len(have) < start + size:
            return None
        final, opcode = bool(have[0] & 0x80), have[0] & 0x0F
        data = bytes(memoryview(have)[start : start + size])
        del have[: start + size]
        return final, opcode, data
