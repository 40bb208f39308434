# SPDX-License-Identifier: GPL-3.0-or-later
"""Port-forward over WebSocket, in both ways that clients know.

`v4.channel.k8s.io`: port number i of the query has channels 2i (data) and 2i+1 (errors), each beginning with
the port as two bytes, little endian; one connection a port. `SPDY/3.1+portforward.k8s.io` (KEP-4006, what
kubectl speaks): the messages are one stream of SPDY frames, in which each connection has a stream for data
and one for errors. Not here: frames (``spdy``).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from aiohttp import WSMsgType, web

from navarch.api.machinery.errors import bad_request
from navarch.kubelet.server import spdy, streams
from navarch.network import netns

log = logging.getLogger(__name__)

TUNNEL = "SPDY/3.1+portforward.k8s.io"
#: Pieces from the client that may wait for a slow program.
_AHEAD = 32
_Send = Callable[[bytes], Awaitable[None]]


async def run(request: web.Request, pid: int) -> web.WebSocketResponse:
    """pid: of the sandbox, in whose network namespace the ports are."""
    offered = request.headers.get("Sec-WebSocket-Protocol", "")
    if TUNNEL in (word.strip() for word in offered.split(",")):
        ws = await streams.accept(request, (TUNNEL,))
        async with streams.kept(ws):
            await _Tunnel(ws, pid).run()
        return ws
    try:
        ports = [int(p) for value in request.query.getall("ports", []) for p in value.split(",")]
    except ValueError:
        raise bad_request("ports must be numbers") from None
    if not ports or not all(0 < port < 65536 for port in ports):
        raise bad_request("you must specify at least one port between 1 and 65535")
    ws = await streams.accept(request, (streams.V5, streams.V4))
    async with streams.kept(ws):
        await _by_channels(ws, pid, ports)
    return ws


class _Connection:
    """One connection to a port of the pod, made at once. Everything it says goes by the given functions."""

    def __init__(self, pid: int, port: int, data: _Send, failed: _Send) -> None:
        self._pid = pid
        self._port = port
        self._data = data
        self._failed = failed
        self._waiting: asyncio.Queue[bytes | None] = asyncio.Queue(_AHEAD)
        self._ended = False

    async def put(self, data: bytes | None) -> None:
        """From the client; None is its end."""
        if not self._ended:
            await self._waiting.put(data)

    async def run(self) -> None:
        """Until the program in the pod has ended the connection, or it failed."""
        try:
            sock = await asyncio.to_thread(netns.connect, self._pid, "127.0.0.1", self._port, 10.0)
            sock.setblocking(False)
            reader, writer = await asyncio.open_connection(sock=sock)
            inward = asyncio.create_task(self._inward(writer), name=f"forward to {self._port}")
            try:
                while piece := await reader.read(65536):
                    await self._data(piece)
            finally:
                inward.cancel()
                await asyncio.gather(inward, return_exceptions=True)
                writer.close()
        except OSError as error:
            text = f"an error occurred forwarding to port {self._port}: {error.strerror or error}"
            await self._failed(text.encode())
        finally:
            self._end()

    async def _inward(self, writer: asyncio.StreamWriter) -> None:
        while (piece := await self._waiting.get()) is not None:
            writer.write(piece)
            await writer.drain()
        writer.write_eof()

    def _end(self) -> None:
        """Whoever waits to put something can go on: it goes nowhere."""
        self._ended = True
        while not self._waiting.empty():
            self._waiting.get_nowait()


# -- channels


async def _by_channels(ws: web.WebSocketResponse, pid: int, ports: list[int]) -> None:
    for number, port in enumerate(ports):
        for channel in (2 * number, 2 * number + 1):
            await ws.send_bytes(bytes([channel]) + port.to_bytes(2, "little"))

    def to_channel(channel: int) -> _Send:
        async def send(piece: bytes) -> None:
            await ws.send_bytes(bytes([channel]) + piece)

        return send

    made = [_Connection(pid, port, to_channel(2 * n), to_channel(2 * n + 1)) for n, port in enumerate(ports)]

    async def serve() -> None:
        await asyncio.gather(*(connection.run() for connection in made))
        await ws.close()

    task = asyncio.create_task(serve(), name="forward")
    try:
        async for message in ws:
            if message.type is WSMsgType.BINARY and message.data:
                number, is_error = divmod(message.data[0], 2)
                if not is_error and number < len(made):
                    await made[number].put(message.data[1:])
    finally:
        await _stop([task])
    await ws.close()


async def _stop(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


# -- the tunnel


class _Tunnel:
    def __init__(self, ws: web.WebSocketResponse, pid: int) -> None:
        self._ws = ws
        self._pid = pid
        self._reader = spdy.Reader()
        self._writer = spdy.Writer()
        self._errors: dict[str, int] = {}  # request -> its stream for errors, until that for data comes
        self._open: dict[int, tuple[_Connection, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        try:
            async for message in self._ws:
                if message.type is WSMsgType.BINARY:
                    for frame in self._reader.feed(message.data):
                        await self._take(frame)
        except (spdy.ProtocolError, ConnectionError) as error:
            log.debug("port-forward: %s", error)
        finally:
            await _stop([task for _, task in self._open.values()])
        await self._ws.close()

    async def _take(self, frame: spdy.Frame) -> None:
        if isinstance(frame, spdy.Open):
            await self._opened(frame)
        elif isinstance(frame, spdy.Data):
            if frame.stream in self._open:  # a client writes nothing on a stream for errors
                connection, _task = self._open[frame.stream]
                if frame.data:
                    await connection.put(frame.data)
                if frame.final:
                    await connection.put(None)
        elif isinstance(frame, spdy.Reset):
            if frame.stream in self._open:
                self._open[frame.stream][1].cancel()
        elif isinstance(frame, spdy.Ping):
            await self._ws.send_bytes(self._writer.ping(frame.number))

    async def _opened(self, frame: spdy.Open) -> None:
        request, port = frame.headers.get("requestid", ""), frame.headers.get("port", "")
        kind = frame.headers.get("streamtype")
        if kind not in ("data", "error") or not port.isdigit() or not 0 < int(port) < 65536:
            await self._ws.send_bytes(self._writer.reset(frame.stream))
            return
        await self._ws.send_bytes(self._writer.reply(frame.stream))
        if kind == "error":
            self._errors[request] = frame.stream
            return
        errors = self._errors.pop(request, None)

        async def data(piece: bytes) -> None:
            await self._ws.send_bytes(self._writer.data(frame.stream, piece))

        async def failed(text: bytes) -> None:
            if errors is not None:
                await self._ws.send_bytes(self._writer.data(errors, text))

        connection = _Connection(self._pid, int(port), data, failed)
        task = asyncio.create_task(self._serve(connection, frame.stream, errors), name=f"forward {port}")
        self._open[frame.stream] = connection, task

    async def _serve(self, connection: _Connection, stream: int, errors: int | None) -> None:
        try:
            await connection.run()
        finally:
            del self._open[stream]
        try:
            for one in (stream, errors):
                if one is not None:
                    await self._ws.send_bytes(self._writer.data(one, b"", final=True))
        except ConnectionError:
            pass  # the client is gone
