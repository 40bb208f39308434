# SPDX-License-Identifier: GPL-3.0-or-later
"""Running a control plane in this process: its socket, its log, its signals."""

from __future__ import annotations

import asyncio
import errno
import importlib
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from navarch.cli import Failure
from navarch.cli.notify import notify

if TYPE_CHECKING:
    from navarch.cli.controlplane import Settings

#: Open files requested from the system.
FILES = 16_384


def logging_to_stderr(level: str) -> None:
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    # Every client that goes away in the middle of something is one of these.
    logging.getLogger("asyncio").setLevel(max(logging.getLevelName(level.upper()), logging.ERROR))


def listen(address: str, port: int) -> socket.socket:
    """A listening socket, before anything else is loaded: a port that is taken is said at once."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((address, port))
        sock.listen(1024)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise Failure(
                f"port {port} on {address} is taken; choose another or stop what listens there"
            ) from None
        raise Failure(f"cannot listen on {address} port {port}: {error.strerror}") from None
    return sock


def load_http() -> None:
    """Import aiohttp without the system's trust store.

    It makes TLS contexts of that store when it is imported, tens of milliseconds and megabytes; the master
    trusts its own CA alone.
    """
    saved = os.environ.get("SSL_CERT_FILE")
    os.environ["SSL_CERT_FILE"] = os.devnull
    try:
        importlib.import_module("aiohttp")
    finally:
        if saved is None:
            del os.environ["SSL_CERT_FILE"]
        else:
            os.environ["SSL_CERT_FILE"] = saved


def raise_file_limit() -> None:
    """As many open files as this process may have: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(hard, FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def serve(settings: Settings, sock: socket.socket, ready: Callable[[], None]) -> int:
    """Run until SIGTERM or SIGINT, or until a part fails. Returns the exit code; calls ready() when the API
    answers.
    """
    import uvloop

    raise_file_limit()
    return uvloop.run(_serve(settings, sock, ready))


async def _serve(settings: Settings, sock: socket.socket, ready: Callable[[], None]) -> int:
    from navarch.cli.controlplane import ControlPlane
    from navarch.store.base import StoreError

    plane = ControlPlane(settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, plane.stop)
    try:
        try:
            await plane.start(sock)
        except StoreError as error:
            # In use by another master, of a newer version, no database: each says what it is.
            raise Failure(str(error)) from None
        ready()
        notify("READY=1")
        failure = await plane.ended
        return 0 if failure is None else 1
    finally:
        notify("STOPPING=1")
        await plane.close()
