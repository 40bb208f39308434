# SPDX-License-Identifier: GPL-3.0-or-later
"""Doing something in or to a container on the pod's behalf.

Commands, HTTP requests, TCP connections, sleeps. For hooks and probes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import aiohttp

from navarch.api.core.pod.container import Container
from navarch.api.core.pod.pod import Pod
from navarch.api.core.pod.probe import HTTPGetAction, HTTPHeader, LifecycleHandler
from navarch.kubelet.pods.context import Shared
from navarch.kubelet.runtime.base import ContainerState, Stream

_BODY = 10 * 1024
#: Seconds within which a command that is to be ended has begun, or the Engine is not what it was.
_STARTS = 10.0


class ActionFailed(Exception):
    """The text says what happened."""


async def command(shared: Shared, id: str, words: Sequence[str]) -> None:
    """Run a command in a container.

    Raises ActionFailed when it ends with another code than 0, RuntimeFault when it cannot run.
    """
    starting = asyncio.create_task(shared.runtime.exec(id, list(words), stdin=False, tty=False))
    output = b""
    try:
        exec_id, stream = await asyncio.shield(starting)
        try:
            while (frame := await stream.read()) is not None:
                if len(output) < _BODY:
                    output += frame[1]
        finally:
            await stream.close()
    except asyncio.CancelledError:
        await _end(shared, starting)
        raise
    code = await shared.runtime.exec_exit(exec_id)
    if code != 0:
        raise ActionFailed(
            output.decode(errors="replace").strip()[:1024] or f"command ended with exit code {code}"
        )


async def _end(shared: Shared, starting: asyncio.Task[tuple[str, Stream]]) -> None:
    """A command whose time is up: the Engine would let it run on, one more each time, and would start one
    whose time was up before that."""
    await asyncio.wait([starting], timeout=_STARTS)
    if not starting.done():
        starting.cancel()
    elif not starting.cancelled() and starting.exception() is None:
        exec_id, stream = starting.result()
        await stream.close()
        await shared.runtime.exec_kill(exec_id)


def port_number(port: int | str, container: Container) -> int:
    """A port by number or by the name the container gives it. Raises ActionFailed."""
    if isinstance(port, int):
        return port
    for entry in container.ports or ():
        if entry.name == port:
            return entry.container_port
    if port.isdigit():
        return int(port)
    raise ActionFailed(f"container has no port named {port!r}")


async def http_get(container: Container, action: HTTPGetAction, ip: str, agent: str) -> None:
    """Raises ActionFailed unless the answer's code is 200 to 399."""
    host = action.host or ip
    shown = f"[{host}]" if ":" in host else host
    scheme = (action.scheme or "HTTP").lower()
    url = f"{scheme}://{shown}:{port_number(action.port, container)}/{(action.path or '/').lstrip('/')}"
    headers: list[HTTPHeader] = action.http_headers or []
    sent = {"User-Agent": agent, "Accept": "*/*"} | {h.name: h.value for h in headers}
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(url, headers=sent, ssl=False, allow_redirects=False) as response,
        ):
            if not 200 <= response.status < 400:
                raise ActionFailed(f"HTTP probe failed with statuscode: {response.status}")
    except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: it cannot be sent at all
        raise ActionFailed(f'Get "{url}": {error or type(error).__name__}') from None


async def tcp(container: Container, port: int | str, host: str) -> None:
    """Raises ActionFailed unless a connection is accepted."""
    number = port_number(port, container)
    try:
        _, writer = await asyncio.open_connection(host, number)
    except OSError as error:
        raise ActionFailed(f"dial tcp {host}:{number}: {error.strerror or error}") from None
    except ValueError as error:  # no host is named so
        raise ActionFailed(f"dial tcp {host}:{number}: {error}") from None
    writer.close()


async def run(
    shared: Shared, pod: Pod, container: Container, handler: LifecycleHandler, state: ContainerState
) -> None:
    """A postStart or preStop hook. Raises ActionFailed, RuntimeFault."""
    sandboxes = shared.containers.sandboxes(state.uid)
    addresses = shared.cni.ips(sandboxes[-1].id) if sandboxes else []
    ip = addresses[0] if addresses else shared.address.now
    if handler.exec is not None:
        await command(shared, state.id, handler.exec.command or ())
    elif handler.http_get is not None:
        await http_get(container, handler.http_get, ip, "kube-lifecycle/1.37")
    elif handler.tcp_socket is not None:
        await tcp(container, handler.tcp_socket.port, handler.tcp_socket.host or ip)
    elif handler.sleep is not None:
        await asyncio.sleep(handler.sleep.seconds)
