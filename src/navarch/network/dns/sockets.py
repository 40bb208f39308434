# SPDX-License-Identifier: GPL-3.0-or-later
"""The sockets that DNS listens on, and how they outlive us: systemd keeps them in its store of file
descriptors (sd_notify(3), `FDSTORE=1`) and hands them to our next run (sd_listen_fds(3)). What pods ask while
the kubelet restarts waits in the kernel.

Where systemd did not start us, they are made each time.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import MutableMapping

from navarch.network.dns.server import BACKLOG

#: Where systemd puts the first.
_FIRST_FD = 3
_NAMES: dict[int, str] = {socket.SOCK_DGRAM: "dns-udp", socket.SOCK_STREAM: "dns-tcp"}
_BUFFER = 4 << 20
_TRIES = 10
#: include/uapi/asm-generic/socket.h: past the limit for all, for those who may administer the network.
_SO_RCVBUFFORCE = 33


class Store:
    """What systemd kept for us, and where to give it more. Reads the environment once and takes it out of it,
    so that programs we start do not think it is theirs."""

    def __init__(self, environment: MutableMapping[str, str] | None = None) -> None:
        given = os.environ if environment is None else environment
        self._address = given.get("NOTIFY_SOCKET", "")
        self._kept: dict[str, int] = {}
        words = [given.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")]
        if words[0] != str(os.getpid()) or not words[1].isdigit():
            return
        names = words[2].split(":")
        for number in range(int(words[1])):
            fd = _FIRST_FD + number
            os.set_inheritable(fd, False)
            name = names[number] if number < len(names) else ""
            if name in self._kept:
                os.close(fd)
            else:
                self._kept[name] = fd

    def sockets(self, address: str, port: int) -> tuple[socket.socket, socket.socket]:
        """The datagram and the stream socket of an address; kept ones as they are. Raises OSError."""
        for tries in reversed(range(1 if port else _TRIES)):
            udp, fresh = self._one(socket.SOCK_DGRAM, address, port)
            try:
                # Port 0: the one that the first got, which somebody may have for streams.
                tcp, fresh_too = self._one(socket.SOCK_STREAM, address, udp.getsockname()[1])
                break
            except OSError:
                udp.close()
                if not tries:
                    raise
        for sock, new in ((udp, fresh), (tcp, fresh_too)):
            if new:
                self._give(_NAMES[sock.type], sock)
        return udp, tcp

    def _one(self, type: int, address: str, port: int) -> tuple[socket.socket, bool]:
        kept = self._kept.get(_NAMES[type])
        if kept is not None:
            # Another one of the same, as we may be asked again: systemd holds the address meanwhile.
            with contextlib.suppress(OSError):
                sock = socket.socket(fileno=os.dup(kept))
                host, number = sock.getsockname()[:2]
                if sock.type == type and host == address and port in (number, 0):
                    return sock, False
                sock.close()  # the settings are others now
            os.close(self._kept.pop(_NAMES[type]))
            self._notify(f"FDSTOREREMOVE=1\nFDNAME={_NAMES[type]}")
        return _bound(type, address, port), True

    def _give(self, name: str, sock: socket.socket) -> None:
        if self._address:
            self._kept[name] = os.dup(sock.fileno())
        # Not polled: an error that waits in a socket's queue is no reason to throw it away.
        self._notify(f"FDSTORE=1\nFDPOLL=0\nFDNAME={name}", [sock.fileno()])

    def _notify(self, text: str, fds: list[int] | None = None) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with (
            contextlib.suppress(OSError),  # the manager is gone: no sockets are kept
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock,
        ):
            sock.connect(address)
            socket.send_fds(sock, [text.encode()], fds or [])


def _bound(type: int, address: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, type)
    try:
        if type == socket.SOCK_DGRAM:
            try:
                sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
            except PermissionError:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        if type == socket.SOCK_STREAM:
            sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock
