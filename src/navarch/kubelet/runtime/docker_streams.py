# SPDX-License-Identifier: GPL-3.0-or-later
"""The Engine's long answers over its unix socket: events, logs, pulls through aiohttp; exec and attach as raw
two-way connections.

Format of multiplexed streams: Engine API, "Stream format": eight bytes (stream, 0, 0, 0, length big endian),
then the data.
"""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import aiohttp

from navarch.kubelet.runtime.base import LogOptions, NoSuchContainer, RuntimeFault

_ENDLESS = aiohttp.ClientTimeout(total=None, sock_connect=10)


class Engine:
    def __init__(self, socket: str) -> None:
        self.socket = socket
        self.api_version = "1.41"
        self._session: aiohttp.ClientSession | None = None

    def _get_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.UnixConnector(self.socket, limit=0)
            self._session = aiohttp.ClientSession(connector=connector, timeout=_ENDLESS)
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _url(self, path: str) -> str:
        return f"http://engine/v{self.api_version}{path}"

    async def lines(self, path: str, query: dict[str, str]) -> AsyncIterator[bytes]:
        """First an empty line once the answer has begun, then each line of it."""
        try:
            async with self._get_session().get(self._url(path), params=query) as response:
                await _check(response)
                yield b""
                async for line in response.content:
                    if line.strip():
                        yield line
        except (aiohttp.ClientError, OSError) as error:
            raise RuntimeFault(f"Docker Engine at {self.socket}: {error}") from error

    async def logs(self, id: str, tty: bool, options: LogOptions) -> AsyncIterator[tuple[int, bytes]]:
        query = {
            "stdout": "1",
            "stderr": "1",
            "follow": "1" if options.follow else "0",
            "timestamps": "1" if options.timestamps else "0",
            "tail": "all" if options.tail is None else str(options.tail),
        }
        if options.since is not None:
            query["since"] = f"{options.since:.9f}"
        try:
            async with self._get_session().get(self._url(f"/containers/{id}/logs"), params=query) as response:
                await _check(response)
                if tty:
                    async for data in response.content.iter_any():
                        yield 1, data
                    return
                while True:
                    frame = await _frame(response.content)
                    if frame is None:
                        return
                    yield frame
        except (aiohttp.ClientError, OSError) as error:
            raise RuntimeFault(f"Docker Engine at {self.socket}: {error}") from error

    async def pull(self, reference: str, auth: dict[str, str] | None) -> None:
        headers = {}
        if auth:
            headers["X-Registry-Auth"] = base64.urlsafe_b64encode(json.dumps(auth).encode()).decode()
        query = {"fromImage": reference}
        if "@" not in reference and ":" not in reference.rpartition("/")[2]:
            query["tag"] = "latest"
        try:
            async with self._get_session().post(
                self._url("/images/create"), params=query, headers=headers
            ) as response:
                await _check(response)
                async for line in response.content:
                    if line.strip():
                        message = json.loads(line)
                        if "error" in message:
                            raise RuntimeFault(str(message["error"]))
        except (aiohttp.ClientError, OSError) as error:
            raise RuntimeFault(f"Docker Engine at {self.socket}: {error}") from error

    async def start_exec(self, exec_id: str, tty: bool) -> RawStream:
        return await self._hijack(f"/exec/{exec_id}/start", {"Detach": False, "Tty": tty}, tty)

    async def attach(self, id: str, tty: bool, stdin: bool) -> RawStream:
        query = {"stream": "1", "stdout": "1", "stderr": "1", "stdin": "1" if stdin else "0"}
        return await self._hijack(f"/containers/{id}/attach?{urlencode(query)}", None, tty)

    async def _hijack(self, path: str, body: Any, tty: bool) -> RawStream:
        """A request whose connection becomes the process's streams (Engine API, "hijacking")."""
        try:
            reader, writer = await asyncio.open_unix_connection(self.socket)
        except OSError as error:
            raise RuntimeFault(f"Docker Engine at {self.socket}: {error}") from error
        data = b"" if body is None else json.dumps(body).encode()
        head = (
            f"POST /v{self.api_version}{path} HTTP/1.1\r\nHost: engine\r\n"
            "Connection: Upgrade\r\nUpgrade: tcp\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        try:
            writer.write(head.encode() + data)
            await writer.drain()
            answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            code = int(answer.split(" ", 2)[1])
            if code not in (101, 200):
                text = (await reader.read(4096)).decode(errors="replace")
                raise RuntimeFault(_message(text) or f"Docker Engine answered {code}")
        except BaseException as error:
            writer.close()
            if isinstance(error, OSError | asyncio.IncompleteReadError):
                raise RuntimeFault(f"Docker Engine at {self.socket}: {error}") from error
            raise
        return RawStream(reader, writer, tty)


class RawStream:
    """Implements `base.Stream` on a hijacked connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tty: bool) -> None:
        self._reader = reader
        self._writer = writer
        self._tty = tty

    async def read(self) -> tuple[int, bytes] | None:
        try:
            if self._tty:
                data = await self._reader.read(32768)
                return (1, data) if data else None
            return await _frame(self._reader)
        except OSError:
            return None

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def close_stdin(self) -> None:
        if self._writer.can_write_eof():
            self._writer.write_eof()

    async def close(self) -> None:
        # No one reads what is still to be written: an ordinary close would wait for that.
        self._writer.transport.abort()
        try:
            await self._writer.wait_closed()
        except OSError:
            pass


async def _frame(reader: asyncio.StreamReader | aiohttp.StreamReader) -> tuple[int, bytes] | None:
    try:
        stream, length = struct.unpack(">BxxxI", await reader.readexactly(8))
        return stream, await reader.readexactly(length)
    except asyncio.IncompleteReadError:
        return None


def _message(text: str) -> str:
    try:
        return str(json.loads(text.strip())["message"])
    except (ValueError, KeyError, TypeError):
        return text.strip()


async def _check(response: aiohttp.ClientResponse) -> None:
    if response.status < 400:
        return
    text = _message(await response.text())
    if response.status == 404 and "container" in text.lower():
        raise NoSuchContainer(text)
    raise RuntimeFault(text or f"Docker Engine answered {response.status}")
