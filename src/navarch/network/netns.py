# SPDX-License-Identifier: GPL-3.0-or-later
"""Doing something inside another process's network namespace, from a thread of our own.

What is done is the caller's business.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from typing import TypeVar

R = TypeVar("R")

_CLONE_NEWNET = 0x40000000
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1


def run_in(pid: int, function: Callable[[], R]) -> R:
    """Call a function in the namespace of a process.

    Blocks; a thread enters the namespace and ends there. Raises OSError.
    """
    results: list[R] = []
    errors: list[BaseException] = []

    def enter() -> None:
        try:
            handle = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            try:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(handle, _CLONE_NEWNET) != 0:
                    code = ctypes.get_errno()
                    raise OSError(code, os.strerror(code), f"/proc/{pid}/ns/net")
            finally:
                os.close(handle)
            results.append(function())
        except BaseException as error:  # handed to the caller below
            errors.append(error)

    thread = threading.Thread(target=enter, name="netns")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def is_ours(pid: int) -> bool:
    """Whether a process is in our own namespace. A process that is gone is not."""
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino == os.stat("/proc/self/ns/net").st_ino
    except FileNotFoundError:
        return False


def prepare(pid: int, sysctls: Mapping[str, str]) -> None:
    """Raise `lo`, which is down in a new namespace, and set `net.*` values there. Raises OSError."""

    def do() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            (_, flags) = struct.unpack(
                "16sh", fcntl.ioctl(sock, _SIOCGIFFLAGS, struct.pack("16sh", b"lo", 0))
            )
            fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sh", b"lo", flags | _IFF_UP))
        for name, value in sysctls.items():
            # /proc/sys/net is the namespace's of the thread that opens it.
            with open(f"/proc/sys/{name.replace('.', '/')}", "w", encoding="ascii") as file:
                file.write(value)

    run_in(pid, do)


def connect(pid: int, host: str, port: int, timeout: float) -> socket.socket:
    """A TCP connection made from inside the namespace. Raises OSError."""
    return run_in(pid, lambda: socket.create_connection((host, port), timeout))
