# SPDX-License-Identifier: GPL-3.0-or-later
"""Hearing what the kernel tells of changes, at once and at little cost: only headers of messages are read.

Which messages matter, and what to do then, is the caller's business. Asking the kernel is not done here.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Iterable, Iterator

#: type, length of `struct nlmsghdr`, netlink(7).
HEADER = struct.Struct("=IHHII")

_SOL_NETLINK = 270
_ADD_MEMBERSHIP = 1

#: Whether a message matters, by its type and all its octets.
Concerns = Callable[[int, bytes], bool]


def listen(protocol: int, groups: Iterable[int]) -> socket.socket:
    """A socket of the calling thread's network namespace; groups by number. Raises OSError."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    try:
        sock.setblocking(False)
        sock.bind((0, 0))
        for group in groups:
            sock.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
    except BaseException:
        sock.close()
        raise
    return sock


def drain(sock: socket.socket, concerns: Concerns) -> bool:
    """Read all that waits. Whether something of it matters."""
    found = False
    while True:
        try:
            data = sock.recv(1 << 17)
        except BlockingIOError:
            return found
        except OSError:
            return True  # more came than the kernel keeps: anything may have happened
        offset = 0
        while not found and offset + HEADER.size <= len(data):
            length, type, *_ = HEADER.unpack_from(data, offset)
            if length < HEADER.size:
                break
            found = concerns(type, data[offset : offset + length])
            offset += (length + 3) & ~3


@contextlib.contextmanager
def heard(sock: socket.socket, concerns: Concerns, notify: Callable[[], None]) -> Iterator[None]:
    """Call notify when something came that matters, within the block; the socket is closed at its end."""
    loop = asyncio.get_running_loop()

    def readable() -> None:
        if drain(sock, concerns):
            notify()

    loop.add_reader(sock, readable)
    try:
        yield
    finally:
        loop.remove_reader(sock)
        sock.close()
