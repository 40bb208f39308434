# SPDX-License-Identifier: GPL-3.0-or-later
"""Forgetting UDP conversations with endpoints that are gone.

The kernel translates a conversation's later packets as it did the first; TCP clients notice and connect anew,
UDP clients that keep their port would talk to nobody for as long as they talk. Blocks: run it in a thread.
"""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Iterable, Mapping
from typing import Any

from navarch.network.proxy.model import Address, Backend

log = logging.getLogger(__name__)

#: From so many addresses on, one look at all UDP entries is cheaper than a look for each.
_MANY = 20


def forget(current: Mapping[Address, frozenset[Backend]]) -> int:
    """Remove entries of these UDP addresses that do not lead to one of the given backends.

    An address without backends loses all of its entries. Returns how many went; failures are logged.
    """
    from pyroute2.netlink.exceptions import NetlinkError  # 0.3 s to import, which a start has no time for
    from pyroute2.netlink.nfnetlink.nfctsocket import NFCTSocket

    gone = 0
    try:
        with NFCTSocket() as conntrack:
            for entry in list(_entries(conntrack, list(current))):
                there, back = _tuple(entry, "CTA_TUPLE_ORIG"), _tuple(entry, "CTA_TUPLE_REPLY")
                if there is None or back is None or not _stale(there, back, current):
                    continue
                try:
                    conntrack.entry("del", tuple_orig=there)
                    gone += 1
                except NetlinkError as error:
                    if error.code != errno.ENOENT:
                        raise
    except (NetlinkError, OSError) as error:
        log.warning("cannot remove stale UDP conversations: %s", error)
    return gone


def _entries(conntrack: Any, addresses: list[Address]) -> Iterable[Any]:
    from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple

    if len(addresses) > _MANY:
        yield from conntrack.dump(tuple_orig=NFCTAttrTuple(proto=socket.IPPROTO_UDP))
        return
    for address in addresses:
        where = {"daddr": address.ip} if address.ip else {}
        yield from conntrack.dump(
            tuple_orig=NFCTAttrTuple(proto=socket.IPPROTO_UDP, dport=address.port, **where)
        )


def _stale(there: Any, back: Any, current: Mapping[Address, frozenset[Backend]]) -> bool:
    if there.proto != socket.IPPROTO_UDP:
        return False
    backends = current.get(Address(there.daddr, "udp", there.dport))
    if backends is None:
        backends = current.get(Address("", "udp", there.dport))
        # The port of every address of the node: a conversation with another host is not ours.
        untranslated = (back.saddr, back.sport) == (there.daddr, there.dport)
        if backends is not None and untranslated and not _is_own(there.daddr):
            return False
    return backends is not None and Backend(back.saddr, back.sport) not in backends


def _is_own(ip: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((ip, 0))
        except OSError:
            return False
    return True


def _tuple(entry: Any, name: str) -> Any:
    """An entry's direction as pyroute2 takes it back; None when it lacks what UDP over IPv4 has."""
    from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple

    direction = entry.get_attr(name)
    ip = direction.get_attr("CTA_TUPLE_IP") if direction is not None else None
    ports = direction.get_attr("CTA_TUPLE_PROTO") if direction is not None else None
    if ip is None or ports is None or ip.get_attr("CTA_IP_V4_SRC") is None:
        return None
    return NFCTAttrTuple(
        saddr=ip.get_attr("CTA_IP_V4_SRC"),
        daddr=ip.get_attr("CTA_IP_V4_DST"),
        proto=ports.get_attr("CTA_PROTO_NUM"),
        sport=ports.get_attr("CTA_PROTO_SRC_PORT"),
        dport=ports.get_attr("CTA_PROTO_DST_PORT"),
    )
