# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing a plan into the kernel by netlink, and out again: only what differs is touched.

Everything blocks for milliseconds, so it is called in a thread; the network is that of the calling thread.
Ours are the routes of our protocol number to within the cluster's range, and the one link of our name.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from types import TracebackType
from typing import Any

from navarch.network.overlay.base import PROTOCOL, Local, OverlayError, Plan, Route, Tunnel

_MAIN = 254
_UP = 1
_PERMANENT = 0x80

_NO_VXLAN = (
    "overlay vxlan: this kernel has no VXLAN: give it the module vxlan, or set overlay to host-gw or none"
)


class Kernel:
    """link: the name of our tunnel."""

    def __init__(self, link: str) -> None:
        from pyroute2 import IPRoute  # 0.2 s to import: only a node needs it
        from pyroute2.netlink.exceptions import NetlinkError

        self._name = link
        self._failure: type[Exception] = NetlinkError
        self._ip: Any = IPRoute()

    def __enter__(self) -> Kernel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ip.close()

    # What is there.

    def uplink_mtu(self, address: str) -> int:
        """The MTU of the link that has the address; 0 when that leads nowhere. Raises OverlayError."""
        for entry in self._ip.addr("dump", family=socket.AF_INET):
            if entry.get("local") == address or entry.get("address") == address:
                link = next(iter(self._ip.link("get", index=entry["index"])))
                return 0 if link["flags"] & 0x8 else int(link.get("mtu"))
        if ipaddress.ip_address(address).is_loopback:
            return 0
        raise OverlayError(f"nodeIP: no link of this host has the address {address}")

    def _link(self) -> Any:
        found = self._ip.link_lookup(ifname=self._name)
        return next(iter(self._ip.link("get", index=found[0]))) if found else None

    def _routes(self, within: ipaddress.IPv4Network) -> tuple[dict[str, Any], set[str]]:
        """(ours by range, ranges that others have routes to), of the main table."""
        ours: dict[str, Any] = {}
        others: set[str] = set()
        for entry in self._ip.route("dump", family=socket.AF_INET, table=_MAIN):
            if entry.get("dst") is None:
                continue
            cidr = f"{entry.get('dst')}/{entry['dst_len']}"
            if not ipaddress.IPv4Network(cidr).subnet_of(within):
                continue
            if entry["proto"] == PROTOCOL:
                ours[cidr] = entry
            elif not entry.get("priority"):
                others.add(cidr)
        return ours, others

    # What shall be there.

    def apply(self, plan: Plan, cluster_cidr: str) -> list[str]:
        """Make it so. The answer: a line for each peer that cannot be reached. Raises OverlayError."""
        within = ipaddress.IPv4Network(cluster_cidr)
        try:
            index = self.make_tunnel(plan.tunnel) if plan.tunnel is not None else 0
            stale = self._entries(index, plan) if index else []
            troubles = self._set_routes(plan.routes, within, index)
            for command, entry in stale:
                self._drop(command, "del", **entry)
            if not index and (link := self._link()) is not None and _kind(link) == "vxlan":
                self._drop(self._ip.link, "del", index=link["index"])
        except self._failure as error:
            raise OverlayError(f"overlay: {_said(error)}") from None
        return troubles

    def _drop(self, command: Any, *arguments: Any, **values: Any) -> None:
        """What somebody else was quicker to remove is as good as removed."""
        try:
            command(*arguments, **values)
        except self._failure as error:
            if _code(error) not in (errno.ENOENT, errno.ESRCH, errno.ENODEV):
                raise

    def make_tunnel(self, wanted: Tunnel) -> int:
        """Its index. One that differs in what cannot be changed is replaced. Raises OverlayError."""
        try:
            link = self._link()
            if link is not None and _kind(link) != "vxlan":
                raise OverlayError(f"overlay vxlan: the link {self._name} is somebody else's: rename it")
            if link is not None and not _same(link, wanted):
                self._drop(self._ip.link, "del", index=link["index"])
                link = None
            if link is None:
                self._ip.link(
                    "add",
                    ifname=self._name,
                    kind="vxlan",
                    address=wanted.mac,
                    vxlan_id=wanted.vni,
                    vxlan_port=wanted.port,
                    vxlan_local=wanted.local,
                    vxlan_learning=False,
                )
                link = self._link()
            index = int(link["index"])
            if link.get("mtu") != wanted.mtu:
                self._ip.link("set", index=index, mtu=wanted.mtu)
            self._set_address(index, wanted.address)
            if not link["flags"] & _UP:
                self._ip.link("set", index=index, state="up")
            return index
        except self._failure as error:
            raise OverlayError(
                _tunnel_failure(_code(error), wanted) or f"overlay vxlan: {_said(error)}"
            ) from None

    def _set_address(self, index: int, address: str) -> None:
        present = {
            (e.get("local") or e.get("address"), e["prefixlen"])
            for e in self._ip.addr("dump", family=socket.AF_INET, index=index)
            if e["index"] == index
        }
        for old, length in present - {(address, 32)}:
            self._drop(self._ip.addr, "del", index=index, address=old, prefixlen=length)
        if (address, 32) not in present:
            self._ip.addr("add", index=index, address=address, prefixlen=32)

    def _entries(self, index: int, plan: Plan) -> list[tuple[Any, dict[str, Any]]]:
        """Add what is missing of neighbours and forwards. The answer: what to delete, by which command."""
        stale: list[tuple[Any, dict[str, Any]]] = []
        present: dict[str, str] = {}
        for entry in self._ip.neigh("dump", family=socket.AF_INET, ifindex=index):
            if entry["ifindex"] == index and entry["state"] & _PERMANENT:
                present[entry.get("dst")] = entry.get("lladdr")
        for address, mac in plan.neighbours.items():
            if present.get(address) != mac:
                self._ip.neigh("replace", dst=address, lladdr=mac, ifindex=index, state="permanent")
        stale += [
            (self._ip.neigh, {"dst": address, "ifindex": index})
            for address in present.keys() - plan.neighbours.keys()
        ]
        known: set[tuple[str, str]] = set()
        for entry in self._ip.fdb("dump", ifindex=index):
            if entry["ifindex"] == index and entry.get("dst"):
                known.add((entry.get("lladdr"), entry.get("dst")))
        wanted = set(plan.forwards.items())
        for mac, host in wanted - known:
            self._ip.fdb("append", ifindex=index, lladdr=mac, dst=host)
        stale += [
            (self._ip.fdb, {"ifindex": index, "lladdr": mac, "dst": host}) for mac, host in known - wanted
        ]
        return stale

    def _set_routes(self, wanted: list[Route], within: ipaddress.IPv4Network, tunnel: int) -> list[str]:
        troubles: list[str] = []
        ours, others = self._routes(within)
        for route in wanted:
            there = ours.pop(route.cidr, None)
            if there is not None and _leads(there, route, tunnel):
                continue
            if there is None and route.cidr in others:
                troubles.append(f"node {route.peer}: {route.cidr} has a route that is not ours: remove it")
                continue
            values: dict[str, Any] = {
                "dst": route.cidr,
                "gateway": route.gateway,
                "prefsrc": route.source,
                "proto": PROTOCOL,
            }
            if route.tunnelled:
                values |= {"oif": tunnel, "flags": ["onlink"]}
            try:
                self._ip.route("replace" if there is not None else "add", **values)
            except self._failure as error:
                if there is not None:
                    self._drop(self._ip.route, "del", dst=route.cidr, proto=PROTOCOL)
                if _code(error) in (errno.ENETUNREACH, errno.EHOSTUNREACH) and not route.tunnelled:
                    troubles.append(
                        f"node {route.peer}: host-gw needs its address {route.gateway} on a link of"
                        " this host: set overlay to vxlan"
                    )
                else:
                    troubles.append(f"node {route.peer}: route to {route.cidr}: {_said(error)}")
        for cidr in ours:
            self._drop(self._ip.route, "del", dst=cidr, proto=PROTOCOL)
        return troubles


def local(address: str, cidr: str) -> Local:
    """This node, as the kernel knows it. Raises OverlayError."""
    with Kernel("") as here:
        return Local(address, cidr, here.uplink_mtu(address))


def apply(plan: Plan, link: str, cluster_cidr: str) -> list[str]:
    """As Kernel.apply. Raises OverlayError."""
    with Kernel(link) as here:
        return here.apply(plan, cluster_cidr)


def _kind(link: Any) -> str:
    return str(link.get(("linkinfo", "kind")) or "")


def _same(link: Any, wanted: Tunnel) -> bool:
    data = link.get(("linkinfo", "data"))
    return bool(
        data is not None
        and data.get("IFLA_VXLAN_ID") == wanted.vni
        and data.get("IFLA_VXLAN_PORT") == wanted.port
        and data.get("IFLA_VXLAN_LOCAL") == wanted.local
        and not data.get("IFLA_VXLAN_LEARNING")
        and link.get("address") == wanted.mac
    )


def _leads(entry: Any, route: Route, tunnel: int) -> bool:
    return bool(
        entry.get("gateway") == route.gateway
        and entry.get("prefsrc") == route.source
        and (entry.get("oif") == tunnel) == route.tunnelled
    )


def _code(error: Exception) -> int:
    return int(getattr(error, "code", 0) or 0)


def _said(error: Exception) -> str:
    return str(error.args[1] if len(error.args) > 1 else error)


def _tunnel_failure(code: int, wanted: Tunnel) -> str:
    if code == errno.EOPNOTSUPP:
        return _NO_VXLAN
    if code == errno.EEXIST:
        return (
            f"overlay vxlan: another link has the VNI {wanted.vni} on port {wanted.port}:"
            " choose another vxlan.vni or vxlan.port, the same on all nodes"
        )
    if code == errno.EADDRINUSE:
        return (
            f"overlay vxlan: UDP port {wanted.port} is taken:"
            " choose another vxlan.port, the same on all nodes"
        )
    if code == errno.EINVAL:
        return f"overlay vxlan: the kernel refuses the MTU {wanted.mtu}: choose another vxlan.mtu"
    return ""
