# SPDX-License-Identifier: GPL-3.0-or-later
"""How pods on different nodes reach each other: one file an overlay, chosen here by its name.

An overlay says what the kernel should hold (`base.Plan`), `kernel` brings it about, `follower` does so
whenever the nodes change. What a node needs for itself, peers or not, is `network.host`.
"""

from __future__ import annotations

import ipaddress

import msgspec

from navarch.network.overlay.base import Overlay
from navarch.network.overlay.host_gw import HostGateway
from navarch.network.overlay.none import NoOverlay
from navarch.network.overlay.vxlan import Vxlan, VxlanSettings

NAMES = ("vxlan", "host-gw", "none")


def make(name: str, vxlan: VxlanSettings) -> Overlay:
    """name: one of NAMES."""
    if name == "vxlan":
        return Vxlan(vxlan)
    return HostGateway() if name == "host-gw" else NoOverlay()


def wrong(name: str, vxlan: VxlanSettings, cluster_cidr: str, node_ip: str) -> str:
    """What a person must change in these settings, the key first; "" when they are fit."""
    if name not in NAMES:
        return f"overlay: {name!r} is not vxlan, host-gw or none"
    for key, low, high in (("vni", 1, 0xFFFFFF), ("port", 1, 65535), ("mtu", 576, 65535)):
        value = msgspec.structs.asdict(vxlan)[key]
        if not low <= value <= high and not (key == "mtu" and value == 0):
            return f"vxlan.{key}: {value} is not between {low} and {high}"
    cluster, node = ipaddress.ip_network(cluster_cidr), ipaddress.ip_address(node_ip)
    if cluster.version != 4 or node.version != 4:
        key, value = ("clusterCIDR", cluster) if cluster.version != 4 else ("nodeIP", node)
        return f"{key}: {value} is IPv6, and the pod network is IPv4: give an IPv4 one"
    if node in cluster:
        return f"clusterCIDR: {cluster} holds this node's own address {node}: choose another range for pods"
    return ""
