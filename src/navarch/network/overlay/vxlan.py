# SPDX-License-Identifier: GPL-3.0-or-later
"""VXLAN (RFC 7348) without multicast and without learning: every node can say where every other's end is.

A node's tunnel end has a MAC made of the node's address and, as its own address, the first of the node's pod
range, which no pod ever gets. So whoever knows a node's address and range knows its neighbour and forwarding
entries, and nothing needs to be published.
"""

from __future__ import annotations

import ctypes
import ipaddress
import os
import threading

import msgspec

from navarch.network.overlay import kernel
from navarch.network.overlay.base import Local, OverlayError, Peer, Plan, Route, Tunnel

#: IPv4, UDP and VXLAN headers and the inner Ethernet header: 20 + 8 + 8 + 14 octets.
OVERHEAD = 50

_CLONE_NEWNET = 0x40000000


class VxlanSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same on all nodes. mtu 0: that of the link between the hosts, less what the headers take."""

    vni: int = 86
    port: int = 8472
    mtu: int = 0


def mac(address: str) -> str:
    """A locally administered unicast MAC that tells nodes of one network apart."""
    return ":".join(f"{octet:02x}" for octet in (0x0A, 0x6E, *ipaddress.IPv4Address(address).packed))


def gateway(cidr: str) -> str:
    return str(ipaddress.ip_network(cidr).network_address)


class Vxlan:
    def __init__(self, settings: VxlanSettings) -> None:
        self._settings = settings

    def check(self) -> None:
        """Makes a link in a network namespace that lives as long as a thread: nothing is visible outside."""
        failed: list[OSError | OverlayError] = []

        def attempt() -> None:
            try:
                if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET) != 0:
                    code = ctypes.get_errno()
                    raise OSError(code, os.strerror(code))
                with kernel.Kernel("probe") as here:
                    here.make_tunnel(Tunnel(1, 4789, "127.0.0.1", "0a:6e:7f:00:00:01", 1450, "127.0.0.2"))
            except (OSError, OverlayError) as error:
                failed.append(error)

        thread = threading.Thread(target=attempt, name="vxlan check")
        thread.start()
        thread.join()
        if failed and isinstance(failed[0], OverlayError):
            raise failed[0]
        if failed:
            raise OverlayError(f"overlay vxlan: cannot try it in a network namespace: {failed[0]}")

    def mtu(self, uplink: int) -> int:
        if self._settings.mtu:
            return self._settings.mtu
        return uplink - OVERHEAD

    def plan(self, local: Local, peers: list[Peer]) -> Plan:
        if not peers:
            return Plan()
        settings, own = self._settings, gateway(local.cidr)
        return Plan(
            tunnel=Tunnel(
                settings.vni, settings.port, local.address, mac(local.address), self.mtu(local.mtu), own
            ),
            routes=[
                Route(peer.name, peer.cidr, gateway(peer.cidr), source=own, tunnelled=True) for peer in peers
            ],
            neighbours={gateway(peer.cidr): mac(peer.address) for peer in peers},
            forwards={mac(peer.address): peer.address for peer in peers},
        )
