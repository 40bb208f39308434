# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the kernel's news concern an overlay: somebody takes away what is ours, or an address of the host
comes or goes.

What to do about it is `follower`.
"""

from __future__ import annotations

import socket

from navarch.network import netlink
from navarch.network.overlay.base import PROTOCOL

# rtnetlink(7): multicast groups (by number) and message types.
_LINK, _IPV4_ADDRESS, _IPV4_ROUTE = 1, 5, 7
_DELLINK, _NEWADDR, _DELADDR, _DELROUTE = 17, 20, 21, 25

_RTMSG_PROTOCOL = netlink.HEADER.size + 5


def listen() -> socket.socket:
    """A socket of the calling thread's network. Raises OSError."""
    return netlink.listen(socket.NETLINK_ROUTE, (_LINK, _IPV4_ADDRESS, _IPV4_ROUTE))


def concerns(link: str) -> netlink.Concerns:
    """link: our tunnel's name."""
    name = link.encode() + b"\0"

    def matters(type: int, message: bytes) -> bool:
        if type == _DELROUTE:
            return len(message) > _RTMSG_PROTOCOL and message[_RTMSG_PROTOCOL] == PROTOCOL
        return type in (_NEWADDR, _DELADDR) or (type == _DELLINK and name in message)

    return matters
