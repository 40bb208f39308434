# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods on three real hosts talk by every overlay, through restarts, reboots and cuts; nothing is left."""

from __future__ import annotations

import json
import subprocess
import time

import pytest

from .conftest import NAME, NODES, SUBNET, Hosts, run, until


@pytest.mark.parametrize("overlay", ["vxlan", "host-gw"])
def test_every_pair_by_every_overlay(hosts: Hosts, overlay: str) -> None:
    hosts.playbook("site", "-e", f"kubelet_overlay={overlay}", "--tags", "kubelet")
    until(lambda: len(hosts.ready()) == 3, 60, "three ready nodes")
    links = [hosts.on(node, "ip", "-o", "link", "show", "type", "vxlan") for node in NODES]
    assert [("navarch-vx" in link, "mtu 1450" in link) for link in links] == [(overlay == "vxlan",) * 2] * 3
    assert hosts.every_pair(overlay) == 3 * 7 * 6


def test_traffic_goes_on_while_every_kubelet_restarts(hosts: Hosts) -> None:
    hosts.playbook("site", "-e", "kubelet_overlay=vxlan", "--tags", "kubelet")
    spots = hosts.spots("vxlan")
    hosts.serve(spots)
    one, other = (next(s for s in spots if s.name == name) for name in ("node1-1", "node2-1"))
    before = [spot.pid for spot in spots]
    flow = subprocess.Popen(hosts.at(one, "flow", other.address, "15"), stdout=subprocess.PIPE, text=True)
    for node in NODES:
        hosts.on(node, "systemctl", "restart", "navarch-kubelet")
    out, _ = flow.communicate(timeout=30)
    result = json.loads(out)
    assert result["asked"] == result["answered"] > 500, result
    until(lambda: len(hosts.ready()) == 3, 60, "three ready nodes")
    assert [spot.pid for spot in hosts.spots("vxlan")] == before


def test_a_host_cut_off_and_back(hosts: Hosts) -> None:
    address = hosts.address("node3")
    hosts.serve(hosts.spots("vxlan"))
    assert run("docker", "network", "disconnect", NAME, f"{NAME}-3").returncode == 0
    time.sleep(3)
    assert run("docker", "network", "connect", "--ip", address, NAME, f"{NAME}-3").returncode == 0
    until(lambda: len(hosts.ready()) == 3, 90, "three ready nodes")
    assert hosts.every_pair("vxlan") == 3 * 7 * 6


def test_a_host_rebooted_with_another_address(hosts: Hosts) -> None:
    old = hosts.address("node2")
    new = SUBNET.partition("0/")[0] + "99"
    hosts.silence()
    assert run("docker", "network", "disconnect", NAME, f"{NAME}-2").returncode == 0
    assert run("docker", "network", "connect", "--ip", new, NAME, f"{NAME}-2").returncode == 0
    assert run("docker", "restart", f"{NAME}-2").returncode == 0

    def back() -> bool:
        node = hosts.get("node", "node2")
        return any(a["address"] == new for a in node["status"]["addresses"])

    until(back, 90, "node2 has its new address")
    until(lambda: len(hosts.ready()) == 3, 90, "three ready nodes")
    until(
        lambda: all(p["status"]["containerStatuses"][0]["ready"] for p in hosts.get("pods")["items"]),
        60,
        "pods run",
    )
    until(lambda: hosts.every_pair("vxlan"), 30, "every pair")
    for node in ("node1", "node3"):
        assert old not in hosts.on(node, "bridge", "fdb", "show", "dev", "navarch-vx")


def test_teardown_leaves_no_link_and_no_route(hosts: Hosts) -> None:
    hosts.silence()
    hosts.write_inventory()
    hosts.playbook("teardown", "-e", "navarch_hosts=all")
    for node in NODES:
        left = hosts.on(node, "ip", "route") + hosts.on(node, "ip", "-o", "link")
        assert "navarch" not in left
        assert "proto 86" not in left
        assert hosts.on(node, "nft", "list", "tables").count("navarch") == 0
