# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host needs so that pods reach each other and the outside: forwarding, our nftables table, a guard
route.

All of it is idempotent and ours alone: one nftables table, one pair of FORWARD accepts (Docker's policy there
is DROP, and a drop in one table is final whatever another accepts), one blackhole route that keeps packets
for the cluster's pods off the default route.
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import msgspec

from navarch.network import process

log = logging.getLogger(__name__)

_METRIC = "9999"


class HostNetworkError(Exception):
    """A command failed; the text holds it and what it said."""


class PortMapping(msgspec.Struct, frozen=True, order=True):
    """A port of the node that leads to a pod. host_ip "" is every address of the node."""

    host_port: int
    protocol: str
    host_ip: str
    pod_ip: str
    pod_port: int


class HostNetwork:
    """The rules of one bridge.

    The table is `navarch`, or `navarch_BRIDGE` for another bridge than navarch0.
    """

    def __init__(self, bridge: str, cluster_cidr: str) -> None:
        self.bridge = bridge
        self.cluster_cidr = cluster_cidr
        self.table = (
            "navarch" if bridge == "navarch0" else f"navarch_{bridge.replace('-', '_').replace('.', '_')}"
        )
        #: The service proxy's table of this kubelet.
        self.services_table = f"{self.table}_services"
        self._pod_cidr = ""
        self._ports: dict[str, list[PortMapping]] = {}
        self._loaded = ""
        self._lock = asyncio.Lock()

    async def apply(self, pod_cidr: str) -> None:
        """Bring the host to what it must be.

        Called at start, and now and then, as others flush tables. Raises HostNetworkError.
        """
        async with self._lock:
            self._pod_cidr = pod_cidr
            self._sysctl("net/ipv4/ip_forward", "1")
            await _run("ip", "route", "replace", "blackhole", self.cluster_cidr, "metric", _METRIC)
            await self._accept_forwarding()
            await self._load(check=True)

    async def set_ports(self, uid: str, ports: list[PortMapping]) -> None:
        """The host ports of a pod ([]: none any more). Raises HostNetworkError."""
        async with self._lock:
            if self._ports.get(uid, []) == ports:
                return
            if ports:
                self._ports[uid] = ports
            else:
                self._ports.pop(uid, None)
            await self._load(check=False)

    async def remove(self) -> None:
        """Take everything of ours off the host again, the bridge included (teardown, tests)."""
        for command in (
            ("nft", "delete", "table", "ip", self.table),
            ("nft", "delete", "table", "ip", self.services_table),
            ("ip", "route", "del", "blackhole", self.cluster_cidr, "metric", _METRIC),
            *(("iptables", "-w", "-D", *rule) for rule in self._forward_rules()),
            ("ip", "link", "del", self.bridge),
        ):
            try:
                await _run(*command)
            except HostNetworkError as error:
                log.debug("%s", error)

    def _sysctl(self, name: str, value: str) -> None:
        path = Path("/proc/sys", name)
        try:
            if path.read_text().strip() != value:
                path.write_text(value)
        except OSError as error:
            log.warning("cannot set %s to %s: %s", name.replace("/", "."), value, error.strerror)

    def _forward_rules(self) -> list[list[str]]:
        """What the bridge's pods say and hear, and what goes on from a service to another node's pod."""
        pods = [["-i", self.bridge], ["-o", self.bridge]]
        services = [[way, self.cluster_cidr, "-m", "conntrack", "--ctstate", "DNAT"] for way in ("-s", "-d")]
        return [
            *(["FORWARD", *rule, *_comment("navarch pods"), "-j", "ACCEPT"] for rule in pods),
            *(["FORWARD", *rule, *_comment("navarch services"), "-j", "ACCEPT"] for rule in services),
        ]

    async def _accept_forwarding(self) -> None:
        for rule in self._forward_rules():
            try:
                await _run("iptables", "-w", "-C", *rule)
            except FileNotFoundError:
                return  # without iptables there is no such policy either
            except HostNetworkError:
                await _run("iptables", "-w", "-I", *rule)

    def ruleset(self) -> str:
        """The whole table, as `nft -f -` takes it: replaced in one transaction."""
        bridge, cluster = self.bridge, self.cluster_cidr
        dnat = []
        for ports in self._ports.values():
            for port in ports:
                where = f"ip daddr {port.host_ip} " if port.host_ip not in ("", "0.0.0.0") else ""
                to = f"{port.pod_ip}:{port.pod_port}"
                dnat.append(f"    {where}{port.protocol.lower()} dport {port.host_port} dnat to {to}")
        rules = "\n".join(sorted(dnat))
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
    ct status dnat ip saddr 127.0.0.0/8 oifname "{bridge}" masquerade
    {self._same_bridge()}
    ip saddr {self._pod_cidr} ip daddr != {cluster} oifname != "{bridge}" masquerade
  }}
}}
"""

    def _same_bridge(self) -> str:
        """Hide a pod from the pod of the same bridge that it reached by a port of the node, where needed.

        The answer must come by the node to be translated back. It does when rules see bridged packets
        (Docker and others turn that on); only who reached itself is hidden then.
        """
        where = f'oifname "{self.bridge}" masquerade'
        if not _sees_bridged():
            return f"ct status dnat ip saddr {self._pod_cidr} {where}"
        pods = {port.pod_ip for ports in self._ports.values() for port in ports}
        return "\n    ".join(f"ct status dnat ip saddr {ip} ip daddr {ip} {where}" for ip in sorted(pods))

    async def _load(self, *, check: bool) -> None:
        if not self._pod_cidr:
            return
        wanted = self.ruleset()
        if wanted == self._loaded and check:
            try:
                await _run("nft", "list", "chain", "ip", self.table, "postrouting")
                return
            except HostNetworkError:
                log.info("the nftables table %s is gone: loading it again", self.table)
        if self._ports:
            # Connections of the node itself to 127.0.0.1:hostPort leave by the bridge.
            self._sysctl(f"net/ipv4/conf/{self.bridge}/route_localnet", "1")
        await _run("nft", "-f", "-", stdin=wanted)
        self._loaded = wanted


def _sees_bridged() -> bool:
    try:
        return Path("/proc/sys/net/bridge/bridge-nf-call-iptables").read_text().strip() == "1"
    except OSError:
        return False


def _comment(text: str) -> list[str]:
    return ["-m", "comment", "--comment", text]


async def _run(*command: str, stdin: str = "") -> str:
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin"
    code, out, err = await process.run(*command, stdin=stdin.encode(), env={"PATH": path})
    if code != 0:
        text = err.decode(errors="replace").strip() or f"exit code {code}"
        raise HostNetworkError(f"{' '.join(command)}: {text}")
    return out.decode(errors="replace")
