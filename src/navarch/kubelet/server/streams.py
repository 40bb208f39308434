# SPDX-License-Identifier: GPL-3.0-or-later
"""exec and attach over WebSocket: the `v5.channel.k8s.io` and `v4.channel.k8s.io` protocols.

Each message begins with a channel byte: 0 stdin, 1 stdout, 2 stderr, 3 the closing Status, 4 terminal size;
v5 adds 255, which closes the channel named by the second byte. (Kubernetes documentation, "WebSocket
streaming"; remotecommand protocol.) Port-forward is in ``forward``.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import WSMsgType, web

from navarch.api.machinery.errors import bad_request
from navarch.kubelet.runtime.base import ContainerState, Runtime, RuntimeFault, Stream

log = logging.getLogger(__name__)

V5, V4 = "v5.channel.k8s.io", "v4.channel.k8s.io"
_STDIN, _STATUS, _RESIZE, _CLOSE = 0, 3, 4, 255
_PING_SECONDS = 30.0


def _flag(request: web.Request, *names: str) -> bool:
    return any(request.query.get(name, "").lower() in ("1", "true") for name in names)


async def accept(request: web.Request, protocols: tuple[str, ...] = (V5, V4)) -> web.WebSocketResponse:
    ws = web.WebSocketResponse(protocols=protocols, max_msg_size=4 * 1024 * 1024)
    if not ws.can_prepare(request).ok:
        raise bad_request("this needs a WebSocket")
    await ws.prepare(request)
    return ws


@asynccontextmanager
async def kept(ws: web.WebSocketResponse) -> AsyncIterator[None]:
    """Pings while nothing else is sent, so that no proxy on the way closes the connection.

    aiohttp's own heartbeat wants an answer, which is not read while a program does not read its input.
    """

    async def ping() -> None:
        try:
            while True:
                await asyncio.sleep(_PING_SECONDS)
                await ws.ping()
        except ConnectionError:
            pass  # reader and writer see the end themselves

    task = asyncio.create_task(ping(), name="pings")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


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
            except (
                ArithmeticError,
                ValueError,
                LookupError,
                TypeError,
                RecursionError,
                RuntimeFault,
            ) as error:
                log.debug("terminal size: %s", error)


async def run_exec(request: web.Request, runtime: Runtime, state: ContainerState) -> web.WebSocketResponse:
    command = request.query.getall("command", [])
    if not command:
        raise bad_request("you must specify a command to run")
    stdin, tty = _flag(request, "stdin", "input"), _flag(request, "tty")
    ws = await accept(request)
    try:
        exec_id, stream = await runtime.exec(state.id, command, stdin=stdin, tty=tty)

        async def resize(width: int, height: int) -> None:
            await runtime.exec_resize(exec_id, width, height)

        async with kept(ws):
            await _Session(ws, stream, resize).run()
        if not ws.closed:
            await ws.send_bytes(_status(await runtime.exec_exit(exec_id)))
    except RuntimeFault as error:
        if not ws.closed:
            await ws.send_bytes(_status(None, str(error)))
    await ws.close()
    return ws


async def run_attach(request: web.Request, runtime: Runtime, state: ContainerState) -> web.WebSocketResponse:
    ws = await accept(request)
    try:
        stream = await runtime.attach(state, stdin=_flag(request, "stdin", "input"))

        async def resize(width: int, height: int) -> None:
            await runtime.resize(state.id, width, height)

        async with kept(ws):
            await _Session(ws, stream, resize).run()
        if not ws.closed:
            await ws.send_bytes(_status(0))
    except RuntimeFault as error:
        if not ws.closed:
            await ws.send_bytes(_status(None, str(error)))
    await ws.close()
    return ws
