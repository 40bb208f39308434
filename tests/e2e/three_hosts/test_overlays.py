# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods and nodes on three hosts reach each other, every pair by every overlay."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .conftest import NODES, Hosts, until


@contextmanager
def cloud_routes(hosts: Hosts) -> Iterator[None]:
    """What a cloud's own routing does for pods: each node is the way to its range. Who makes them takes them
    away again."""
    ranges = {node["metadata"]["name"]: node["spec"]["podCIDR"] for node in hosts.get("nodes")["items"]}
    ways = {(node, cidr): hosts.address(to) for to, cidr in ranges.items() for node in NODES if node != to}
    for (node, cidr), address in ways.items():
        hosts.on(node, "ip", "route", "add", cidr, "via", address, "proto", "static")
    try:
        yield
    finally:
        for node, cidr in ways:
            hosts.on(node, "ip", "route", "del", cidr, "proto", "static")


def switch(hosts: Hosts, overlay: str) -> None:
    hosts.playbook("site", "-e", f"kubelet_overlay={overlay}", "--tags", "kubelet")
    until(lambda: len(hosts.ready()) == 3, 60, "three ready nodes")
    links = [hosts.on(node, "ip", "-o", "link", "show", "type", "vxlan") for node in NODES]
    assert [("navarch-vx" in link, "mtu 1450" in link) for link in links] == [(overlay == "vxlan",) * 2] * 3


def test_every_pair_by_host_gw(hosts: Hosts) -> None:
    switch(hosts, "host-gw")
    assert hosts.every_pair("host-gw") == 3 * 7 * 6


def test_every_pair_by_the_routes_of_a_cloud(hosts: Hosts) -> None:
    switch(hosts, "none")
    ours = [hosts.on(node, "ip", "route", "show", "proto", "86") for node in NODES]
    assert ours == [""] * 3
    with cloud_routes(hosts):
        assert hosts.every_pair("none") == 3 * 7 * 6


# The default comes last: the other tests find it, and what the ones before made has to go.
def test_every_pair_by_vxlan(hosts: Hosts) -> None:
    switch(hosts, "vxlan")
    assert hosts.every_pair("vxlan") == 3 * 7 * 6
