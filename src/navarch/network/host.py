# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host needs so that pods reach each other and the outside: forwarding, our nftables table, a guard
route.

All of it is idempotent and ours alone: one nftables table, a few accepts in iptables' own table
(`forwarding`), one blackhole route that keeps packets for the cluster's pods off the default route. What
somebody takes away is put back at once. Pods of a user's own CNI configuration get none of our masquerade.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from navarch.network import netlink, nftables, process
from navarch.network.forwarding import Accepts
from navarch.network.proxy import conntrack
from navarch.network.proxy.model import Address, Backend
from navarch.network.proxy.ruleset import TRANSLATED

log = logging.getLogger(__name__)

_METRIC = "9999"

#: Seconds from the news that rules went until we look, between two such looks, and between looks without
#: news: the legacy tables send no events.
_SETTLE, _REST, _LOOK = 0.2, 1.0, 10.0

#: A command failed; the text holds it and what it said.
HostNetworkError = process.CommandError


class PortMapping(msgspec.Struct, frozen=True, order=True):
    """A port of the node that leads to a pod. host_ip "" is every address of the node."""

    host_port: int
    protocol: str
    host_ip: str
    pod_ip: str
    pod_port: int


class HostNetwork:
    """The rules of one bridge.

    The table is `navarch`, or `navarch_BRIDGE` for another bridge than navarch0. dns: the address on this
    node that pods ask; port: the kubelet's; direct: ranges besides the cluster's where pods go as they are;
    guarded: nothing for pods of other nodes may leave by the default route (it must where a cloud routes).
    """

    def __init__(
        self,
        bridge: str,
        cluster_cidr: str,
        *,
        dns: str = "",
        port: int = 0,
        direct: Iterable[str] = (),
        guarded: bool = True,
    ) -> None:
        self.bridge = bridge
        self.cluster_cidr = cluster_cidr
        self.table = (
            "navarch" if bridge == "navarch0" else f"navarch_{bridge.replace('-', '_').replace('.', '_')}"
        )
        #: The service proxy's table of this kubelet.
        self.services_table = f"{self.table}_services"
        self._dns = dns
        self._port = port
        self._guarded = guarded
        self._guard = ("blackhole", cluster_cidr, "metric", _METRIC)
        ranges = [ipaddress.IPv4Network(cidr) for cidr in (cluster_cidr, *direct)]
        self._direct = ", ".join(map(str, ipaddress.collapse_addresses(ranges)))
        self._accepts = Accepts(self.table, [])
        self._pod_cidr = ""
        self._bridged = True
        self._ports: dict[str, list[PortMapping]] = {}
        self._loaded = ""
        self._rules = 0
        self._lock = asyncio.Lock()

    def restore(self, ports: Mapping[str, list[PortMapping]]) -> None:
        """The host ports that pods had in an earlier life, before the first `apply`."""
        self._ports = {uid: mappings for uid, mappings in ports.items() if mappings}

    async def apply(self, pod_cidr: str, *, bridged: bool = True) -> None:
        """Bring the host to what it must be; bridged: our bridge is what pods are on.

        Raises HostNetworkError.
        """
        async with self._lock:
            self._pod_cidr, self._bridged = pod_cidr, bridged
            self._sysctl("net/ipv4/ip_forward", "1")
            self._accepts.set_rules(self.accepts())
            if not self._guarded:  # that of an earlier setting
                with contextlib.suppress(HostNetworkError):
                    await process.command("ip", "route", "del", *self._guard)
            await self._put_back()

    async def keep_only(self, ranges: Iterable[str]) -> None:
        """Take from the bridge the addresses of the cluster's other ranges: they lead here what is for the
        nodes that have those now. Raises HostNetworkError.
        """
        if not Path("/sys/class/net", self.bridge).exists():
            return
        said = await process.command("ip", "-j", "-4", "address", "show", "dev", self.bridge)
        cluster, own = ipaddress.ip_network(self.cluster_cidr), list(map(ipaddress.ip_network, ranges))
        for entry in (entry for link in json.loads(said) for entry in link.get("addr_info", ())):
            ip = ipaddress.ip_address(entry["local"])
            if ip in cluster and not any(ip in range for range in own):
                log.info("%s has the address %s of another range no longer", self.bridge, ip)
                await process.command(
                    "ip", "address", "del", f"{ip}/{entry['prefixlen']}", "dev", self.bridge
                )

    async def keep(self, lost: Callable[[], None] = lambda: None) -> None:
        """After `apply`, put back what others take away, until cancelled.

        lost: called when somebody took away something, perhaps not ours.
        """
        wake = asyncio.Event()
        sock = netlink.listen(nftables.FAMILY, (nftables.GROUP,))
        with netlink.heard(sock, nftables.takes_away, wake.set):
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK):
                        await wake.wait()
                if wake.is_set():
                    await asyncio.sleep(_SETTLE)
                    wake.clear()
                    lost()
                try:
                    async with self._lock:
                        if self._pod_cidr:
                            await self._put_back()
                except (HostNetworkError, OSError, TimeoutError) as error:
                    log.warning("node network: %s", error)
                await asyncio.sleep(_REST)

    async def set_ports(self, uid: str, ports: list[PortMapping]) -> None:
        """The host ports of a pod ([]: none any more). Raises HostNetworkError."""
        async with self._lock:
            old = self._ports.get(uid, [])
            if old == ports:
                return
            if ports:
                self._ports[uid] = ports
            else:
                self._ports.pop(uid, None)
            if not self._pod_cidr:
                return
            await self._load()
            # Who speaks on and on by UDP would be led where its first packet was.
            if stale := self._conversations({*old, *ports}):
                await asyncio.to_thread(conntrack.forget, stale)

    def _conversations(self, changed: Iterable[PortMapping]) -> dict[Address, frozenset[Backend]]:
        """The UDP ones of these ports, with where each may lead now."""
        found: dict[Address, frozenset[Backend]] = {}
        now = [port for ports in self._ports.values() for port in ports]
        for port in changed:
            if port.protocol == "udp":
                found[_address(port)] = frozenset(
                    Backend(other.pod_ip, other.pod_port)
                    for other in now
                    if _address(other) == _address(port)
                )
        return found

    async def remove(self) -> None:
        """Take everything of ours off the host again, the bridge included (teardown, tests)."""
        self._pod_cidr = ""
        try:
            await self._accepts.remove()
        except HostNetworkError as error:
            log.debug("%s", error)
        for command in (
            ("nft", "delete", "table", "ip", self.table),
            ("nft", "delete", "table", "ip", self.services_table),
            ("ip", "route", "del", *self._guard),
            ("ip", "link", "del", self.bridge),
        ):
            try:
                await process.command(*command)
            except HostNetworkError as error:
                log.debug("%s", error)

    def _sysctl(self, name: str, value: str) -> None:
        path = Path("/proc/sys", name)
        try:
            if path.read_text().strip() != value:
                path.write_text(value)
        except OSError as error:
            log.warning("cannot set %s to %s: %s", name.replace("/", "."), value, error.strerror)

    def accepts(self) -> list[list[str]]:
        """What iptables must let through, as it prints it.

        What pods say and hear, and what goes on from a service to another node's pod; to the node itself,
        what pods ask its DNS and its kubelet and whatever a service led there. A user's own network has its
        pods in the cluster's range, or its own accepts.
        """
        translated = ["-m", "conntrack", "--ctstate", "DNAT"]
        cluster = [[way, self.cluster_cidr] for way in ("-s", "-d")]
        # From a service also to endpoints that are no pods, such as those on other hosts' own networks.
        found = [
            ["INPUT", *translated],
            ["FORWARD", "-m", "connmark", "--mark", f"{TRANSLATED:#x}/{TRANSLATED:#x}"],
        ]
        if self._dns:
            found.append(["INPUT", "-d", f"{self._dns}/32"])
        if not self._bridged:
            return [*found, *(["FORWARD", *way] for way in cluster)]
        if self._port:
            found.append(["INPUT", "-i", self.bridge, "-p", "tcp", "-m", "tcp", "--dport", str(self._port)])
        return [
            *found,
            *(["FORWARD", way, self.bridge] for way in ("-i", "-o")),
            *(["FORWARD", *way, *translated] for way in cluster),
        ]

    def ruleset(self) -> str:
        """The whole table, as `nft -f -` takes it: replaced in one transaction."""
        dnat = []
        for ports in self._ports.values():
            for port in ports:
                host = _address(port).ip
                where = f"ip daddr {host} " if host else ""
                to = f"{port.pod_ip}:{port.pod_port}"
                dnat.append(f"    {where}{port.protocol.lower()} dport {port.host_port} dnat to {to}")
        rules = "\n".join(sorted(dnat))
        hide = "\n    ".join(self._hide())
        return f"""\
table ip {self.table} {{}}
flush table ip {self.table}
table ip {self.table} {{
  chain hostports {{
{rules}
  }}
  chain prerouting {{
    type nat hook prerouting priority -110; policy accept;
    fib daddr type local jump hostports
  }}
  chain output {{
    type nat hook output priority -110; policy accept;
    fib daddr type local jump hostports
  }}
  chain postrouting {{
    type nat hook postrouting priority 90; policy accept;
    {hide}
  }}
}}
"""

    def _hide(self) -> list[str]:
        """Rules for what must leave as this node.

        Of pods on one bridge that meet by a port of the node the answer must come by the node, to be
        translated back. It does when rules see bridged packets (Docker and others turn that on); only who
        reached itself is hidden then.
        """
        if not self._bridged:
            return []
        inside = f'oifname "{self.bridge}" masquerade'
        found = [f"ct status dnat ip saddr 127.0.0.0/8 {inside}"]
        if _sees_bridged():
            pods = {port.pod_ip for ports in self._ports.values() for port in ports}
            found += [f"ct status dnat ip saddr {ip} ip daddr {ip} {inside}" for ip in sorted(pods)]
        else:
            found.append(f"ct status dnat ip saddr {self._pod_cidr} {inside}")
        outside = f'ip daddr != {{ {self._direct} }} oifname != "{self.bridge}" masquerade'
        return [*found, f"ip saddr {self._pod_cidr} {outside}"]

    async def _put_back(self) -> None:
        if self._guarded:
            await process.command("ip", "route", "replace", *self._guard)
        if await self._accepts.apply():
            log.info("accepts for pods are in iptables")
        if self.ruleset() == self._loaded:
            self._route_localnet()
            if nftables.rules(self.table) == self._rules:
                return
            log.info("the nftables table %s is not as it was: loading it again", self.table)
        await self._load()

    def _route_localnet(self) -> None:
        """Let connections of the node itself to 127.0.0.1:hostPort leave by the bridge, once there is one."""
        if self._ports and self._bridged and Path("/sys/class/net", self.bridge).exists():
            self._sysctl(f"net/ipv4/conf/{self.bridge}/route_localnet", "1")

    async def _load(self) -> None:
        wanted = self.ruleset()
        self._route_localnet()
        self._loaded = ""
        await process.command("nft", "-f", "-", stdin=wanted)
        self._loaded, self._rules = wanted, nftables.rules(self.table)


def _address(port: PortMapping) -> Address:
    """Where clients connect to."""
    return Address("" if port.host_ip == "0.0.0.0" else port.host_ip, port.protocol, port.host_port)


def _sees_bridged() -> bool:
    try:
        return Path("/proc/sys/net/bridge/bridge-nf-call-iptables").read_text().strip() == "1"
    except OSError:
        return False
