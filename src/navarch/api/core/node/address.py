# SPDX-License-Identifier: GPL-3.0-or-later
"""Which addresses and names a node may have: the one rule for what a kubelet writes into its Node's status
and for what its serving certificate may say.

A node that could claim the name of the master, of a service or of another node could stand for it. What
follows from a refusal is the caller's: admission refuses a write, the signer a request.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Collection, Iterable
from typing import NamedTuple

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?")
#: Names of the machine itself (RFC 6761, 6.3, and the usual lines of /etc/hosts).
_LOCAL = ("localdomain", "ip6-localhost", "ip6-loopback")
_LOCALHOST = ("localhost", "localhost4", "localhost6")
#: IPv6 addresses whose last 32 bits are an IPv4 address: NAT64 (RFC 6052) and the deprecated compatible ones.
_EMBEDDING = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))
_MASTER = "kubernetes"


class Holder(NamedTuple):
    """A node that has an address or a name."""

    node: str
    #: metadata.creationTimestamp; the text sorts by time.
    created: str
    #: False for one that has been silent so long that its Ready condition is Unknown.
    living: bool


def local(value: str) -> bool:
    """Whether an address or name is good on its own machine or link only: it tells others nothing."""
    address = _parsed(value)
    if address is None:
        name = _folded(value)
        return name in _LOCAL or name.partition(".")[0] in _LOCALHOST or name.endswith(".localhost")
    return address.is_loopback or address.is_link_local or address.is_unspecified


class Reserved:
    """What no node may be called, in this cluster."""

    def __init__(
        self,
        *,
        pods: Iterable[str] = (),
        services: Iterable[str] = (),
        domain: str = "cluster.local",
        master: Iterable[str] = (),
        own_node: str = "",
    ) -> None:
        """pods, services: ranges of addresses. domain: of the cluster's DNS. master: names and addresses by
        which clients reach the API. own_node: the node on the master's own machine, which has the master's
        addresses too.

        Raises ValueError for a range that is none.
        """
        self._ranges = [("pods", ipaddress.ip_network(cidr)) for cidr in pods]
        self._ranges += [("services", ipaddress.ip_network(cidr)) for cidr in services]
        self._domain = _folded(domain)
        self._master = {key(name) for name in master if not local(name)}
        self._own_node = own_node

    def refusal(self, value: str, node: str) -> str:
        """Why the node may not report this as its address; "" when it may."""
        # The machine of the master reaches the API, and is reached by it, at the loopback too.
        if node and node == self._own_node and (address := _parsed(value)) and address.is_loopback:
            return ""
        return self.certificate_refusal(value, node)

    def certificate_refusal(self, value: str, node: str) -> str:
        """Why a certificate of the node may not say this; "" when it may."""
        if local(value):
            return f"{value} is an address of every machine's own"
        address = _parsed(value)
        if address is not None:
            if why := self._wrong_address(address):
                return f"{value} {why}"
        elif why := self._wrong_name(_folded(value)):
            return f"{value} {why}"
        if key(value) in self._master and node != self._own_node:
            return f"{value} is a name or address of the master"
        return ""

    def _wrong_address(self, address: _Address) -> str:
        if address.is_multicast:
            return "is a multicast address"
        if address == ipaddress.IPv4Address("255.255.255.255"):
            return "is the broadcast address"
        for whose, network in self._ranges:
            if address in network:
                return f"is in {network}, the addresses of {whose}"
        return ""

    def _wrong_name(self, name: str) -> str:
        if not _HOST.fullmatch(name) or len(name) > 253:
            return "is not the name of a host"
        if name == _MASTER or name.startswith(f"{_MASTER}.default"):
            return "is a name of the master"
        if name in ("svc", self._domain) or name.endswith((".svc", f".{self._domain}")):
            return "is a name of the cluster's services"
        return ""


def taken(value: str, node: str, holders: Collection[Holder], *, before: str = "") -> str:
    """Why the node cannot have what other nodes have; "" when it can. The first one keeps it, as long as it
    lives.

    before: when the node was made, for one that has it already: then only older nodes count.
    """
    for holder in sorted(holders):
        if holder.node == node or not holder.living:
            continue
        if not before or (holder.created, holder.node) < (before, node):
            return f"{value} belongs to node {holder.node}"
    return ""


def key(value: str) -> str:
    """The same text for all ways to write one address or name."""
    address = _parsed(value)
    return _folded(value) if address is None else str(address)


def _folded(name: str) -> str:
    return name.lower().removesuffix(".")


def _parsed(value: str) -> _Address | None:
    """The address that a text means to anything that connects to it: `127.1` and `::ffff:127.0.0.1` too.
    None for a name.
    """
    try:
        address: _Address = ipaddress.ip_address(value)
    except ValueError:
        # inet_aton(3) takes what follows a blank for a comment.
        if not re.fullmatch(r"[0-9a-fA-FxX.]+", value):
            return None
        try:
            address = ipaddress.IPv4Address(socket.inet_aton(value))
        except OSError:
            return None
        # A node may be called 12: that is no address anybody meant. 0 is one: the machine itself.
        return address if "." in value or int(address) >= 1 << 24 or not int(address) else None
    if not isinstance(address, ipaddress.IPv6Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if int(address) > 1 and any(address in network for network in _EMBEDDING):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
