# SPDX-License-Identifier: GPL-3.0-or-later
"""No overlay: the network between the hosts routes pod ranges, as clouds do. Nothing is ours to set."""

from __future__ import annotations

from navarch.network.overlay.base import Local, Peer, Plan


class NoOverlay:
    def check(self) -> None:
        return

    def mtu(self, uplink: int) -> int:
        return uplink

    def plan(self, local: Local, peers: list[Peer]) -> Plan:
        return Plan()
