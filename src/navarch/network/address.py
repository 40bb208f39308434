# SPDX-License-Identifier: GPL-3.0-or-later
"""The node's own address: the one configured, or that of the default route, which may change while we run.

Who depends on it listens here; what they do then is theirs.
"""

from __future__ import annotations

import asyncio
import fcntl
import ipaddress
import logging
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from navarch.network import netlink

log = logging.getLogger(__name__)

# rtnetlink(7): groups by number.
_IPV4_ADDRESS, _IPV4_ROUTE = 5, 7
_NEWROUTE, _DELROUTE, _NEWADDR, _DELADDR = 24, 25, 20, 21
# netdevice(7)
_SIOCGIFADDR, _SIOCGIFNETMASK = 0x8915, 0x891B
#: `struct rtmsg`: the length of the destination; 0 is a default route.
_DESTINATION = netlink.HEADER.size + 1

#: Seconds until an address that changes in several steps is read, and between reads without a cause.
_SETTLE = 0.3
_LOOK = 60.0


def default_address() -> str:
    """The address that the default route leaves by, 127.0.0.1 without one; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.254", 9))
            return str(sock.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def _links() -> list[str]:
    """Names, in the calling thread's network."""
    try:
        lines = Path("/proc/thread-self/net/dev").read_text().splitlines()
    except OSError:
        return []
    return [line.partition(":")[0].strip() for line in lines[2:]]


def network_of(address: str) -> ipaddress.IPv4Network | None:
    """The range of the link that has this address as its first; None when no link has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        # Not if_nameindex, which speaks netlink: the master's unit does not let it.
        for name in _links():
            try:
                found, mask = (
                    socket.inet_ntoa(fcntl.ioctl(sock, request, struct.pack("40s", name.encode()))[20:24])
                    for request in (_SIOCGIFADDR, _SIOCGIFNETMASK)
                )
            except OSError:
                continue  # a link without an address, or one that just went
            if found == address:
                return ipaddress.IPv4Network(f"{found}/{mask}", strict=False)
    return None


def overlapping(address: str, **ranges: str) -> str:
    """What a person must change when a range of the cluster overlaps the network between the hosts, the key
    first; "" when none does. address: the node's on that network."""
    own = network_of(address) or ipaddress.ip_network(address)
    for key, cidr in ranges.items():
        network = ipaddress.ip_network(cidr)
        if network.version == own.version and own.overlaps(network):
            return f"{key}: {network} overlaps the hosts' own network {own}: choose another range"
    return ""


class OwnAddress:
    """configured: an address that never changes, or "" for that of the default route."""

    def __init__(self, configured: str = "") -> None:
        self._configured = configured
        self.now = configured or default_address()
        self._listeners: list[Callable[[], None]] = []

    def listen(self, listener: Callable[[], None]) -> None:
        """Called after `now` changed."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """Until cancelled; at once when the address is configured."""
        if self._configured:
            return
        wake = asyncio.Event()
        sock = netlink.listen(socket.NETLINK_ROUTE, (_IPV4_ADDRESS, _IPV4_ROUTE))
        with netlink.heard(sock, _concerns, wake.set):
            while True:
                self._look()
                try:
                    async with asyncio.timeout(_LOOK):
                        await wake.wait()
                except TimeoutError:
                    continue
                await asyncio.sleep(_SETTLE)
                wake.clear()

    def _look(self) -> None:
        found = default_address()
        # A host cut off for a moment has the address that it had, as far as anybody can say.
        if found == self.now or ipaddress.ip_address(found).is_loopback:
            return
        log.warning("the node's address changed from %s to %s", self.now, found)
        self.now = found
        for listener in self._listeners:
            listener()


def _concerns(type: int, message: bytes) -> bool:
    if type in (_NEWADDR, _DELADDR):
        return True
    return type in (_NEWROUTE, _DELROUTE) and len(message) > _DESTINATION and message[_DESTINATION] == 0
