# SPDX-License-Identifier: GPL-3.0-or-later
"""The proxy's rules together with the node's own, for pods on one bridge as the CNI plugin has them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from proxy_ground import GATEWAY, NODE, OUTSIDE, Ground, ground

from navarch.network.proxy.model import Address, Backend, Frontend, Plan
from navarch.network.proxy.table import Table

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("nft") is None, reason="needs root and nftables"),
]

VIP = "10.96.0.10"
SOURCE = Path(__file__).parents[3] / "src"

_HOST = """
import asyncio
from navarch.network.host import HostNetwork, PortMapping
async def main():
    host = HostNetwork("navarch0", "10.244.0.0/16")
    await host.apply("10.244.1.0/24")
    await host.set_ports("u", [PortMapping(31000, "tcp", "", "10.244.1.11", 8080)])
asyncio.run(main())
"""


_PORTS = """
import asyncio, json, sys
from navarch.network.host import HostNetwork, PortMapping
async def main():
    host = HostNetwork("navarch0", "10.244.0.0/16")
    before, now = ([PortMapping(*port) for port in ports] for ports in json.loads(sys.argv[1]))
    host.restore({"u": before})
    await host.apply("10.244.1.0/24")
    await host.set_ports("u", now)
asyncio.run(main())
"""


def host_ports(land: Ground, before: list[tuple[int, str, str, str, int]], now: list[Any]) -> None:
    """The node's rules as a kubelet makes them that finds some host ports there and is to have others."""
    subprocess.run(
        ["ip", "netns", "exec", land.node, sys.executable, "-c", _PORTS, json.dumps([before, now])],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        check=True,
        timeout=20,
    )


def load(land: Ground, *pods: str, path: str = os.environ["PATH"]) -> None:
    """The node's rules by their own code, run there, and a service of the pods (or of a host's port 9000)."""
    subprocess.run(
        ["ip", "netns", "exec", land.node, sys.executable, "-c", _HOST],
        env={**os.environ, "PYTHONPATH": str(SOURCE), "PATH": path},
        check=True,
        timeout=20,
    )
    backends = tuple(Backend(land[p].ip, 8080 if p.startswith("pod") else 9000) for p in pods)
    table = Table("navarch_services", "10.96.0.0/16", "10.244.0.0/16")
    frontend = Frontend("default/web:/tcp", backends)
    outer = frontend._replace(external=True)
    frontends = {Address(VIP, "tcp", 80): frontend, Address("", "tcp", 30080): outer}
    table.change({("default", "web"): Plan(frontends, frozenset(b.ip for b in backends))})
    subprocess.run(
        ["ip", "netns", "exec", land.node, "nft", "-f", "-"], input=table.whole(), text=True, check=True
    )


def test_pods_of_one_bridge_by_a_service_and_by_a_host_port() -> None:
    with ground(pods=3, bridge="navarch0") as land:
        for pod in ("pod1", "pod2"):
            land[pod].serve("tcp", 8080)
        load(land, "pod1", "pod2")
        path = "/proc/sys/net/bridge/bridge-nf-call-iptables"
        sees = Path(path).exists() and Path(path).read_text().strip() == "1"
        answers = set(land["pod3"].tcp(VIP, 80, 30))
        assert {answer.split()[0] for answer in answers} == {"pod1", "pod2"}
        if sees:
            assert answers == {f"pod1 {land['pod3'].ip}", f"pod2 {land['pod3'].ip}"}
        # Itself among others, by the service and by its host port.
        assert {answer.split()[0] for answer in land["pod1"].tcp(VIP, 80, 30)} == {"pod1", "pod2"}
        assert land["pod1"].tcp(NODE, 31000)[0].startswith("pod1")
        assert land["pod3"].tcp(NODE, 31000)[0].startswith("pod1")
        assert {answer.split()[0] for answer in land["outside"].tcp(NODE, 30080, 30)} == {"pod1", "pod2"}
        assert land["outside"].tcp(NODE, 31000) == [f"pod1 {land['outside'].ip}"]
        assert {answer.split()[0] for answer in land["node"].tcp(VIP, 80, 30)} == {"pod1", "pod2"}
        assert land["pod3"].tcp("10.96.9.9", 80) == ["ConnectionRefusedError"]


def test_host_ports_of_both_protocols_and_of_one_address() -> None:
    with ground(pods=3, bridge="navarch0") as land:
        for pod in ("pod1", "pod2"):
            land[pod].serve("tcp", 8080)
            land[pod].serve("udp", 8053)
        one, two = land["pod1"].ip, land["pod2"].ip
        ports = [
            (31001, "tcp", "", one, 8080),
            (31001, "udp", "0.0.0.0", two, 8053),
            (31002, "tcp", NODE, one, 8080),
            (31002, "tcp", "127.0.0.1", two, 8080),
        ]
        # Somebody who has asked before there was anything, and does not stop.
        assert land["outside"].udp("talk", NODE, 31001) != "pod2"
        host_ports(land, [], ports)
        assert land["outside"].tcp(NODE, 31001) == [f"pod1 {OUTSIDE}"]
        assert land["outside"].udp("talk", NODE, 31001) == f"pod2 {OUTSIDE}"
        assert land["outside"].tcp(NODE, 31002) == [f"pod1 {OUTSIDE}"]
        assert land["node"].tcp("127.0.0.1", 31002)[0].startswith("pod2 ")
        assert land["node"].tcp(NODE, 31002)[0].startswith("pod1 ")
        assert land["pod3"].tcp(GATEWAY, 31002) == ["ConnectionRefusedError"]
        # The pod behind a UDP port is another one now.
        host_ports(land, ports, [*ports[:1], (31001, "udp", "", one, 8053)])
        assert land["outside"].udp("talk", NODE, 31001) == f"pod1 {OUTSIDE}"
        assert land["outside"].tcp(NODE, 31002) == ["ConnectionRefusedError"]


@pytest.mark.parametrize("flavour", ["iptables-nft", "iptables-legacy"])
def test_a_node_port_leads_to_other_hosts_where_forwarding_is_dropped(tmp_path: Path, flavour: str) -> None:
    """As the Engine sets it; the other host's own network is in nobody's pod range."""
    command = shutil.which(flavour, path="/usr/sbin:/sbin:/usr/bin")
    if command is None:
        pytest.skip(f"needs {flavour}")
    (tmp_path / "iptables").symlink_to(command)
    with ground(pods=2, bridge="navarch0") as land:
        drop = ["ip", "netns", "exec", land.node, command, "-P", "FORWARD", "DROP"]
        if subprocess.run(drop, check=False, capture_output=True).returncode:
            pytest.skip(f"{flavour} does not work on this kernel")
        land["outside"].serve("tcp", 9000)
        load(land, "outside", path=f"{tmp_path}:{os.environ['PATH']}")
        for who, ip, port in (
            *(("outside", NODE, 30080), ("node", NODE, 30080), ("pod1", NODE, 30080)),
            *(("pod1", VIP, 80), ("node", VIP, 80), ("outside", VIP, 80)),
        ):
            assert land[who].tcp(ip, port)[0].startswith("outside "), (who, ip)
