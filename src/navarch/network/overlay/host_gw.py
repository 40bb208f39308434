# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain routes: each node is the gateway to its pods. The nodes must share a link."""

from __future__ import annotations

from navarch.network.overlay.base import Local, Peer, Plan, Route


class HostGateway:
    def check(self) -> None:
        return

    def mtu(self, uplink: int) -> int:
        return uplink

    def plan(self, local: Local, peers: list[Peer]) -> Plan:
        return Plan(
            routes=[
                Route(peer.name, peer.cidr, peer.address, source=local.address, tunnelled=False)
                for peer in peers
            ]
        )
