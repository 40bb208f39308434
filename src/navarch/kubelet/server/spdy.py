# SPDX-License-Identifier: GPL-3.0-or-later
"""SPDY/3.1 frames, as far as port-forward speaks them inside a WebSocket.

Belongs here: bytes to frames and back. Not here: what streams are for (``forward``). Source: SPDY Protocol,
Draft 3.1, sections 2.2 (framing), 2.6 (control frames) and 2.6.10 (name/value header block).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import msgspec

_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _PING, _GOAWAY = 1, 2, 3, 6, 7
_FIN = 0x01
#: Bytes of one frame, and of one header block when it is unpacked: more is not taken.
FRAME_LIMIT = 4 * 1024 * 1024
_HEADERS_LIMIT = 64 * 1024

#: What both sides' header compression begins with: words with their lengths, then text (section 2.6.10.1).
_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language"
    " accept-ranges age allow authorization cache-control connection content-base content-encoding"
    " content-language content-length content-location content-md5 content-range content-type date"
    " etag expect expires from host if-match if-modified-since if-none-match if-range"
    " if-unmodified-since last-modified location max-forwards pragma proxy-authenticate"
    " proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade"
    " user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url"
    " public set-cookie keep-alive origin"
)
_TEXT = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
    "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)


def _dictionary() -> bytes:
    words = [word.replace("_", " ").encode() for word in _WORDS.split()]
    return b"".join(struct.pack(">I", len(word)) + word for word in words) + _TEXT.encode()


DICTIONARY = _dictionary()


class ProtocolError(Exception):
    """What came is not SPDY."""


class Open(msgspec.Struct, frozen=True):
    stream: int
    headers: dict[str, str]
    final: bool


class Data(msgspec.Struct, frozen=True):
    stream: int
    data: bytes
    final: bool


class Reset(msgspec.Struct, frozen=True):
    stream: int


class Ping(msgspec.Struct, frozen=True):
    number: int


class End(msgspec.Struct, frozen=True):
    """The peer opens no more streams."""


Frame = Open | Data | Reset | Ping | End


class Reader:
    """The peer's bytes, in pieces of any size, as frames. Frames of no meaning here are passed over."""

    def __init__(self) -> None:
        self._waiting = bytearray()
        self._unpack = zlib.decompressobj(zdict=DICTIONARY)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Raises ProtocolError."""
        self._waiting += data
        while len(self._waiting) >= 8:
            first, second = struct.unpack_from(">II", self._waiting)
            flags, length = second >> 24, second & 0xFFFFFF
            if length > FRAME_LIMIT:
                raise ProtocolError(f"a frame of {length} bytes")
            if len(self._waiting) < 8 + length:
                return
            body = bytes(self._waiting[8 : 8 + length])
            del self._waiting[: 8 + length]
            if not first & 0x80000000:
                yield Data(first, body, bool(flags & _FIN))
            elif (first >> 16) & 0x7FFF != 3:
                raise ProtocolError("a frame of another version")
            else:
                frame = self._control(first & 0xFFFF, flags, body)
                if frame is not None:
                    yield frame

    def _control(self, kind: int, flags: int, body: bytes) -> Frame | None:
        try:
            if kind == _SYN_STREAM:
                (stream,) = struct.unpack_from(">I", body)
                return Open(stream & 0x7FFFFFFF, self._headers(body[10:]), bool(flags & _FIN))
            if kind == _RST_STREAM:
                return Reset(struct.unpack_from(">I", body)[0] & 0x7FFFFFFF)
            if kind == _PING:
                return Ping(struct.unpack_from(">I", body)[0])
        except struct.error:
            raise ProtocolError("a frame that is too short") from None
        return End() if kind == _GOAWAY else None

    def _headers(self, block: bytes) -> dict[str, str]:
        try:
            plain = self._unpack.decompress(block, _HEADERS_LIMIT)
        except zlib.error as error:
            raise ProtocolError(f"headers: {error}") from None
        if self._unpack.unconsumed_tail:
            raise ProtocolError("headers that are too long")
        texts, at = [], 4
        (count,) = struct.unpack_from(">I", plain)
        for _ in range(2 * count):
            (length,) = struct.unpack_from(">I", plain, at)
            texts.append(plain[at + 4 : at + 4 + length].decode("latin-1"))
            at += 4 + length
        return dict(zip((name.lower() for name in texts[::2]), texts[1::2], strict=True))


class Writer:
    """Frames as bytes. The order in which replies are made is that in which they must be sent."""

    def __init__(self) -> None:
        self._pack = zlib.compressobj(zdict=DICTIONARY)

    def reply(self, stream: int) -> bytes:
        """A stream is taken; without headers."""
        block = self._pack.compress(struct.pack(">I", 0)) + self._pack.flush(zlib.Z_SYNC_FLUSH)
        return _control(_SYN_REPLY, struct.pack(">I", stream) + block)

    def data(self, stream: int, data: bytes, final: bool = False) -> bytes:
        return struct.pack(">II", stream, (_FIN if final else 0) << 24 | len(data)) + data

    def reset(self, stream: int) -> bytes:
        """The stream is not taken (REFUSED_STREAM)."""
        return _control(_RST_STREAM, struct.pack(">II", stream, 3))

    def ping(self, number: int) -> bytes:
        return _control(_PING, struct.pack(">I", number))


def _control(kind: int, body: bytes) -> bytes:
    return struct.pack(">HHI", 0x8003, kind, len(body)) + body
