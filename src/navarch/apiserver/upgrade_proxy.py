# SPDX-License-Identifier: GPL-3.0-or-later
"""A client's upgraded connection joined to a kubelet's: the request head is passed on, and from then on every
byte both ways.

WebSocket frames are not looked at: whatever protocol version client and kubelet agree on works.
"""

from __future__ import annotations

import asyncio
import ssl

from navarch.apiserver import kubelettls
from navarch.apiserver.kubelettls import Kubelet
from navarch.apiserver.request import WRITTEN_LAST, Reply, Request

#: Headers that belong to the hop from the client to us, or that the kubelet must not see.
_DROPPED = frozenset({"authorization", "host", "content-length", "transfer-encoding", "cookie"})

#: Bytes that may wait for the kubelet before the client is no longer read.
_HIGH = 256 * 1024


class _ToKubelet:
    """Where aiohttp's connection hands the client's bytes after an upgrade (its parser interface)."""

    def __init__(self, x: Request, writer: asyncio.StreamWriter) -> None:
        self._x = x
        self._writer = writer
        self._waiting: asyncio.Task[None] | None = None

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        if self._writer.is_closing():
            return True, b""
        self._writer.write(data)
        if self._waiting is None and self._writer.transport.get_write_buffer_size() > _HIGH:
            client = self._x.protocol.transport
            if client is not None:
                client.pause_reading()
                self._waiting = asyncio.create_task(self._wait(client), name="upgrade to kubelet")
        return False, b""

    async def _wait(self, client: asyncio.Transport) -> None:
        try:
            await self._writer.drain()
        except ConnectionError:
            pass
        finally:
            self._waiting = None
            if not client.is_closing():
                client.resume_reading()

    def feed_eof(self) -> None:
        self._writer.close()

    async def close(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            await asyncio.gather(self._waiting, return_exceptions=True)


async def through(x: Request, kubelet: Kubelet, tls: ssl.SSLContext, target: str) -> Reply:
    """Pass an upgrade request on as a GET of `target`. Raises OSError while nothing was answered yet."""
    node, host, port = kubelet
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(host, port, ssl=tls, server_hostname=node)
    try:
        kubelettls.check(writer.transport, node)
    except OSError:
        writer.close()
        raise
    client = _ToKubelet(x, writer)
    try:
        lines = [f"GET {target} HTTP/1.1", f"Host: {host}:{port}"]
        lines += [f"{name}: {value}" for name, value in x.headers.items() if name.lower() not in _DROPPED]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        x.on_lost = writer.close
        first = await reader.read(65536)
        if not first:
            raise ConnectionRefusedError("the kubelet closed the connection without an answer")
        x.protocol.set_parser(client)  # type: ignore[arg-type] # a parser by its shape
        data = first
        while data:
            x.write(data)
            await x.drain()
            data = await reader.read(65536)
    except (ConnectionResetError, BrokenPipeError):
        # One side is gone: the other sees the end of its connection.
        pass
    finally:
        x.on_lost = None
        await client.close()
        writer.close()
    return WRITTEN_LAST
