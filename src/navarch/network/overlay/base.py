# SPDX-License-Identifier: GPL-3.0-or-later
"""The protocol of overlays: peers in, a plan of routes and tunnels out. `kernel` applies plans."""

from __future__ import annotations

from typing import Protocol

import msgspec

#: The protocol number of our routes, so that they can be distinguished from others'
#: (rtnetlink(7): numbers above RTPROT_STATIC are free for the use of routing programs).
PROTOCOL = 86


class OverlayError(Exception):
    """Pods of other nodes cannot be reached; one line that says what to change."""


class Peer(msgspec.Struct, frozen=True, order=True):
    """Another node: its address on the network between the hosts, and the range of its pods."""

    name: str
    address: str
    cidr: str


class Local(msgspec.Struct, frozen=True):
    """This node: as a peer, and the MTU of the link that has its address (0: no link leads to others)."""

    address: str
    cidr: str
    mtu: int


class Tunnel(msgspec.Struct, frozen=True):
    """A VXLAN link that learns nothing by itself, with one address of its own."""

    vni: int
    port: int
    local: str
    mac: str
    mtu: int
    address: str


class Route(msgspec.Struct, frozen=True):
    """To a peer's pods. tunnelled: by our tunnel, where the gateway is on the link by definition."""

    peer: str
    cidr: str
    gateway: str
    source: str
    tunnelled: bool


class Plan(msgspec.Struct, frozen=True):
    """All that the kernel should hold of ours, and nothing else of ours.

    neighbours: gateway -> MAC on the tunnel; forwards: MAC -> address of the host that has it.
    """

    tunnel: Tunnel | None = None
    routes: list[Route] = []
    neighbours: dict[str, str] = {}
    forwards: dict[str, str] = {}


class Overlay(Protocol):
    def check(self) -> None:
        """Raises OverlayError when this host cannot do it at all. May block for some milliseconds."""

    def mtu(self, uplink: int) -> int:
        """The MTU of pods on a host whose link to the others has this one."""

    def plan(self, local: Local, peers: list[Peer]) -> Plan:
        """Pure. The peers are all fit: on other hosts, with ranges that overlap no other's."""
