# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of few opinions: it sends the bytes it is given and reads one answer. And what a process uses."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


class Dropped(Exception):
    """The connection ended before the answer did."""


class Client:
    """One connection at a time."""

    def __init__(self, port: int, tls: ssl.SSLContext) -> None:
        self._port = port
        self._tls = tls
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def exchange(self, raw: bytes, frames: bytes = b"", first_only: bool = False) -> tuple[int, bytes]:
        """(status, body). first_only: no more than a moment of the body is read (a watch).

        Raises Dropped.
        """
        if self._writer is None or self._writer.is_closing():
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, ssl=self._tls)
        assert self._reader is not None
        try:
            self._writer.write(raw + frames)
            await self._writer.drain()
            status, headers = await self._head(self._reader)
            if status == 100:
                status, headers = await self._head(self._reader)
            if first_only and status == 200:
                try:
                    body = await asyncio.wait_for(self._reader.read(4096), 0.1)
                except TimeoutError:
                    body = b""
                self.close()
                return status, body
            body = await self._body(self._reader, headers)
        except (OSError, asyncio.IncompleteReadError) as error:
            self.close()
            raise Dropped(repr(error)) from None
        if headers.get("connection", "").lower() == "close" or frames:
            self.close()
        return status, body

    async def _head(self, reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = (line.partition(":") for line in head[1:] if line)
        return int(head[0].split()[1]), {name.lower(): value.strip() for name, _, value in fields}

    async def _body(self, reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") != "chunked":
            return await reader.readexactly(int(headers.get("content-length", "0")))
        parts = []
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            parts.append((await reader.readexactly(size + 2))[:-2])
        await reader.readuntil(b"\r\n")
        return b"".join(parts)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None


def queued_seconds(pid: int) -> float:
    """How long the threads of a process have waited for a processor that others had (kernel: sched-stats)."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # the thread ended
            total += int((task / "schedstat").read_text().split()[1])
    return total / 1e9


def resident(pid: int) -> int:
    """Bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
