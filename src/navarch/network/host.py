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
            ("ip", "route", "del", "blackhole", self.cluster_cidr, "metric", _METRIC),
            ("iptables", "-w", "-D", *self._forward_rule("-i")),
            ("iptables", "-w", "-D", *self._forward_rule("-o")),
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

    def _forward_rule(self, direction: str) -> list[str]:
        return [
            "FORWARD",
            direction,
            self.bridge,
            "-m",
            "comment",
            "--comment",
            "navarch pods",
            "-j",
            "ACCEPT",
        ]

    async def _accept_forwarding(self) -> None:
        for direction in ("-i", "-o"):
            rule = self._forward_rule(direction)
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
    ct status dnat ip saddr {self._pod_cidr} oifname "{bridge}" masquerade
    ip saddr {self._pod_cidr} ip daddr != {cluster} oifname != "{bridge}" masquerade
  }}
}}
"""

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


async def _run(*command: str, stdin: str = "") -> str:
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin"
    code, out, err = await process.run(*command, stdin=stdin.encode(), env={"PATH": path})
    if code != 0:
        text = err.decode(errors="replace").strip() or f"exit code {code}"
        raise HostNetworkError(f"{' '.join(command)}: {text}")
    return out.decode(errors="replace")
