# SPDX-License-Identifier: GPL-3.0-or-later
"""exec, attach and port-forward over WebSocket: the `v5.channel.k8s.io` and `v4.channel.k8s.io` protocols.

Each message begins with a channel byte: 0 stdin, 1 stdout, 2 stderr, 3 the closing Status, 4 terminal size;
v5 adds 255, which closes the channel named by the second byte. For port-forward, port number i has channels
2i (data) and 2i+1 (errors), each beginning with the port as two bytes, little endian. (Kubernetes
documentation, "WebSocket streaming"; remotecommand protocol.)
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from typing import Any

from aiohttp import WSMsgType, web

from navarch.api.errors import bad_request
from navarch.kubelet.runtime.base import ContainerState, Runtime, RuntimeFault, Stream
from navarch.network import netns

log = logging.getLogger(__name__)

V5, V4 = "v5.channel.k8s.io", "v4.channel.k8s.io"
_STDIN, _STATUS, _RESIZE, _CLOSE = 0, 3, 4, 255


def _flag(request: web.Request, *names: str) -> bool:
    return any(request.query.get(name, "").lower() in ("1", "true") for name in names)


async def _open(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse(protocols=(V5, V4), max_msg_size=4 * 1024 * 1024, heartbeat=30.0)
    if not ws.can_prepare(request).ok:
        raise bad_request("this needs a WebSocket")
    await ws.prepare(request)
    return ws


def _status(code: int | None, message: str = "") -> bytes:
    """The closing Status of remotecommand: Success, or the exit code as a cause."""
    body: dict[str, Any] = {"metadata": {}, "status": "Success"}
    if code is None:
        body |= {"status": "Failure", "reason": "InternalError", "message": message, "code": 500}
    elif code:
        body |= {
            "status": "Failure",
            "reason": "NonZeroExitCode",
            "message": f"command terminated with non-zero exit code: exit status {code}",
            "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
        }
    return bytes([_STATUS]) + json.dumps(body).encode()


class _Session:
    """A process's streams on a WebSocket."""

    def __init__(self, ws: web.WebSocketResponse, stream: Stream, resize: Any) -> None:
        self._ws = ws
        self._stream = stream
        self._resize = resize

    async def run(self) -> None:
        """Until the process's output ends or the peer goes."""
        inward = asyncio.create_task(self._inward(), name="stdin")
        outward = asyncio.create_task(self._outward(), name="stdout")
        try:
            await asyncio.wait({inward, outward}, return_when=asyncio.FIRST_COMPLETED)
            if inward.done() and not self._ws.closed and not inward.exception():
                await outward
        finally:
            for task in (inward, outward):
                task.cancel()
            await asyncio.gather(inward, outward, return_exceptions=True)
            await self._stream.close()

    async def _outward(self) -> None:
        while (frame := await self._stream.read()) is not None:
            channel, data = frame
            await self._ws.send_bytes(bytes([channel]) + data)

    async def _inward(self) -> None:
        async for message in self._ws:
            if message.type is not WSMsgType.BINARY or not message.data:
                if message.type is WSMsgType.TEXT and message.data:
                    await self._input(0, message.data[1:].encode())
                continue
            await self._input(message.data[0], message.data[1:])

    async def _input(self, channel: int, data: bytes) -> None:
        if channel == _STDIN and data:
            await self._stream.write(data)
        elif channel == _CLOSE and data[:1] == bytes([_STDIN]):
            await self._stream.close_stdin()
        elif channel == _RESIZE:
            try:
                size = json.loads(data)
                await self._resize(int(size["Width"]), int(size["Height"]))
            except (ValueError, KeyError, TypeError, RuntimeFault) as error:
                log.debug("terminal size: %s", error)


async def run_exec(request: web.Request, runtime: Runtime, state: ContainerState) -> web.WebSocketResponse:
    command = request.query.getall("command", [])
    if not command:
        raise bad_request("you must specify a command to run")
    stdin, tty = _flag(request, "stdin", "input"), _flag(request, "tty")
    ws = await _open(request)
    try:
        exec_id, stream = await runtime.exec(state.id, command, stdin=stdin, tty=tty)

        async def resize(width: int, height: int) -> None:
            await runtime.exec_resize(exec_id, width, height)

        await _Session(ws, stream, resize).run()
        if not ws.closed:
            await ws.send_bytes(_status(await runtime.exec_exit(exec_id)))
    except RuntimeFault as error:
        if not ws.closed:
            await ws.send_bytes(_status(None, str(error)))
    await ws.close()
    return ws


async def run_attach(request: web.Request, runtime: Runtime, state: ContainerState) -> web.WebSocketResponse:
    ws = await _open(request)
    try:
        stream = await runtime.attach(state, stdin=_flag(request, "stdin", "input"))

        async def resize(width: int, height: int) -> None:
            await runtime.resize(state.id, width, height)

        await _Session(ws, stream, resize).run()
        if not ws.closed:
            await ws.send_bytes(_status(0))
    except RuntimeFault as error:
        if not ws.closed:
            await ws.send_bytes(_status(None, str(error)))
    await ws.close()
    return ws


async def run_forward(request: web.Request, pid: int) -> web.WebSocketResponse:
    """pid: of the sandbox, in whose network namespace the ports are."""
    try:
        ports = [int(p) for value in request.query.getall("ports", []) for p in value.split(",")]
    except ValueError:
        raise bad_request("ports must be numbers") from None
    if not ports or not all(0 < port < 65536 for port in ports):
        raise bad_request("you must specify at least one port between 1 and 65535")
    ws = await _open(request)
    forwards = [_Forward(ws, pid, number, port) for number, port in enumerate(ports)]
    for forward in forwards:
        await forward.greet()
    try:
        async for message in ws:
            if message.type is WSMsgType.BINARY and message.data:
                number, is_error = divmod(message.data[0], 2)
                if not is_error and number < len(forwards):
                    await forwards[number].inward(message.data[1:])
    finally:
        for forward in forwards:
            await forward.close()
    await ws.close()
    return ws


class _Forward:
    """One port: connected when the first byte comes."""

    def __init__(self, ws: web.WebSocketResponse, pid: int, number: int, port: int) -> None:
        self._ws = ws
        self._pid = pid
        self._data = bytes([2 * number])
        self._error = bytes([2 * number + 1])
        self._port = port
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self._failed = False

    async def greet(self) -> None:
        word = self._port.to_bytes(2, "little")
        await self._ws.send_bytes(self._data + word)
        await self._ws.send_bytes(self._error + word)

    async def inward(self, data: bytes) -> None:
        if self._writer is None and not self._failed:
            try:
                sock: socket.socket = await asyncio.to_thread(
                    netns.connect, self._pid, "127.0.0.1", self._port, 10.0
                )
                sock.setblocking(False)
                reader, self._writer = await asyncio.open_connection(sock=sock)
                self._task = asyncio.create_task(self._outward(reader), name=f"forward {self._port}")
            except OSError as error:
                self._failed = True
                text = f"an error occurred forwarding to port {self._port}: {error.strerror or error}"
                await self._ws.send_bytes(self._error + text.encode())
        if self._writer is not None:
            self._writer.write(data)
            await self._writer.drain()

    async def _outward(self, reader: asyncio.StreamReader) -> None:
        try:
            while data := await reader.read(32768):
                await self._ws.send_bytes(self._data + data)
        except OSError as error:
            log.debug("forwarding port %s: %s", self._port, error)
        await self._ws.close()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._writer is not None:
            self._writer.close()
