# SPDX-License-Identifier: GPL-3.0-or-later
"""Hearing at once when somebody takes away what is ours, or an address of the host comes or goes.

Only a few octets of each message are looked at: a node with many pods makes many. What to do about it is
`follower`.
"""

from __future__ import annotations

import socket
import struct

from navarch.network.overlay.base import PROTOCOL

# rtnetlink(7): multicast groups and message types.
_GROUPS = 0x1 | 0x10 | 0x40  # RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE
_DELLINK, _NEWADDR, _DELADDR, _DELROUTE = 17, 20, 21, 25

_HEADER = struct.Struct("=IHHII")
_RTMSG_PROTOCOL = _HEADER.size + 5


def listen() -> socket.socket:
    """A socket of the calling thread's network. Raises OSError."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    try:
        sock.setblocking(False)
        sock.bind((0, _GROUPS))
    except BaseException:
        sock.close()
        raise
    return sock


def drain(sock: socket.socket, link: str) -> bool:
    """Read all that waits. Whether something of it may concern us; link is our tunnel's name."""
    name, concerned = link.encode() + b"\0", False
    while True:
        try:
            data = sock.recv(65536)
        except BlockingIOError:
            return concerned
        except OSError:
            return True  # more came than the kernel keeps: anything may have happened
        offset = 0
        while offset + _HEADER.size <= len(data):
            length, type, *_ = _HEADER.unpack_from(data, offset)
            if length < _HEADER.size:
                break
            message = data[offset : offset + length]
            offset += (length + 3) & ~3
            if (
                type in (_NEWADDR, _DELADDR)
                or (type == _DELLINK and name in message)
                or (
                    type == _DELROUTE
                    and len(message) > _RTMSG_PROTOCOL
                    and message[_RTMSG_PROTOCOL] == PROTOCOL
                )
            ):
                concerned = True
