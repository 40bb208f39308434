# SPDX-License-Identifier: GPL-3.0-or-later
"""Free loopback ports for servers that tests start."""

from __future__ import annotations

import contextlib
import secrets
import socket

#: Below the ports that the kernel gives to sockets which ask for any: those could be given away again
#: before the server listens.
FIRST, LAST = 12_000, 29_999


def free_port() -> int:
    while True:
        port = FIRST + secrets.randbelow(LAST - FIRST + 1)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


def free_ports(count: int) -> list[int]:
    """Distinct ones."""
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return list(ports)
