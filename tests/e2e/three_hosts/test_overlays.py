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

    def switched() -> bool:  # a kubelet that starts is ready, as it was, before its overlay is another one
        links = [hosts.on(node, "ip", "-o", "link", "show", "type", "vxlan") for node in NODES]
        found = [("navarch-vx" in link, "mtu 1450" in link) for link in links]
        assert found == [(overlay == "vxlan",) * 2] * 3
        return True

    until(switched, 60, f"overlay {overlay} on every node")


def test_every_pair_by_host_gw(hosts: Hosts) -> None:
    switch(hosts, "host-gw")
    until(lambda: hosts.every_pair("host-gw") == 3 * 7 * 6, 90, "every pair")


def test_every_pair_by_the_routes_of_a_cloud(hosts: Hosts) -> None:
    switch(hosts, "none")

    def unrouted() -> bool:
        ours = [hosts.on(node, "ip", "route", "show", "proto", "86") for node in NODES]
        assert ours == [""] * 3
        return True

    until(unrouted, 60, "the routes of the overlay before are gone")
    with cloud_routes(hosts):
        until(lambda: hosts.every_pair("none") == 3 * 7 * 6, 90, "every pair")


# The default comes last: the other tests find it, and what the ones before made has to go.
def test_every_pair_by_vxlan(hosts: Hosts) -> None:
    switch(hosts, "vxlan")
    until(lambda: hosts.every_pair("vxlan") == 3 * 7 * 6, 90, "every pair")
