# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers that are long or endless: lists written in portions, watches written as they happen. Slow readers
are waited for, not for ever.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any

from navarch.apiserver.request import JSON, WRITTEN, WRITTEN_LAST, Reply, Request, head

#: Bytes written before the client's pace is looked at: what fits in the socket and TLS buffers without a copy
#: too many. A slow client has at most this and the transport's own limit of an answer in memory.
PORTION = 256 * 1024

#: Answers from this size on are compressed for who asks, unless they stay on this host.
GZIP_FROM = 128 * 1024


async def send(
    x: Request, code: int, parts: Sequence[bytes], content_type: str = JSON, *, gzip: bool = False
) -> Reply:
    """An answer in several parts; one write when it is short."""
    length = sum(map(len, parts))
    if length <= PORTION or x.silent:
        return x.reply(code, b"".join(parts), content_type)
    if gzip and length >= GZIP_FROM:
        return await _send_gzip(x, code, parts, content_type)
    x.write(head(code, content_type, length, x.extra_lines()))
    await write(x, parts)
    return WRITTEN_LAST if x.should_close else WRITTEN


async def send_made(
    x: Request, made: AsyncIterator[bytes], content_type: str = JSON, *, gzip: bool = False
) -> Reply:
    """An answer whose parts are made as they are sent: of a long one, no more than a portion is there."""
    parts: list[bytes] = []
    size = 0
    async for part in made:
        parts.append(part)
        size += len(part)
        if size > PORTION and not x.silent:
            break
    else:
        return await send(x, 200, parts, content_type, gzip=gzip)
    coding = "Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n" if gzip else ""
    squeeze = zlib.compressobj(1, zlib.DEFLATED, 31) if gzip else None
    x.write(head(200, content_type, None, x.extra_lines(coding)))
    await _write_made(x, parts, squeeze)
    parts, size = [], 0
    async for part in made:
        parts.append(part)
        size += len(part)
        if size >= PORTION:
            await _write_made(x, parts, squeeze)
            parts, size = [], 0
    await _write_made(x, parts, squeeze)
    x.write((chunk(squeeze.flush()) if squeeze else b"") + LAST_CHUNK)
    return WRITTEN_LAST if x.should_close else WRITTEN


async def _write_made(x: Request, parts: list[bytes], squeeze: Any) -> None:
    if squeeze is not None:
        data = await asyncio.to_thread(squeeze.compress, b"".join(parts))
        parts = [data] if data else []
    if parts:
        await write_chunk(x, parts)


async def _send_gzip(x: Request, code: int, parts: Sequence[bytes], content_type: str) -> Reply:
    """Chunked, compressed at the cheapest level in a thread: zlib works without the interpreter lock."""
    x.write(
        head(code, content_type, None, x.extra_lines("Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n"))
    )
    squeeze = zlib.compressobj(1, zlib.DEFLATED, 31)
    for portion in _portions(parts):
        data = await asyncio.to_thread(squeeze.compress, portion)
        if data:
            x.write(chunk(data))
            await x.drained()
    x.write(chunk(squeeze.flush()) + LAST_CHUNK)
    return WRITTEN_LAST if x.should_close else WRITTEN


async def write(x: Request, parts: Iterable[bytes]) -> None:
    """Write at the client's pace, so that no more than two portions of it wait in the transport."""
    x.limit_buffer(PORTION)
    for portion in _portions(parts):
        x.write(portion)
        await x.drained()


async def write_chunk(x: Request, parts: Sequence[bytes]) -> None:
    """One chunk of a chunked body, not empty, at the client's pace."""
    await write(x, (b"%x\r\n" % sum(map(len, parts)), *parts, b"\r\n"))


def _portions(parts: Iterable[bytes]) -> Iterator[bytes | memoryview]:
    """Neighbours joined up to the size of a portion, large ones cut: every byte is copied once at most."""
    waiting: list[bytes] = []
    size = 0
    for part in parts:
        if waiting and size + len(part) > PORTION:
            yield b"".join(waiting)
            waiting, size = [], 0
        if len(part) > PORTION:
            view = memoryview(part)
            for at in range(0, len(part), PORTION):
                yield view[at : at + PORTION]
            continue
        waiting.append(part)
        size += len(part)
    if waiting:
        yield b"".join(waiting)


LAST_CHUNK = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body (RFC 9112 section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)
