# SPDX-License-Identifier: GPL-3.0-or-later
"""What the teardown leaves on three hosts, after all that the other tests did: nothing."""

from __future__ import annotations

from .conftest import NODES, Hosts


def test_teardown_leaves_no_link_and_no_route(hosts: Hosts) -> None:
    hosts.silence()
    hosts.playbook("teardown", "-e", "navarch_hosts=all")
    for node in NODES:
        left = hosts.on(node, "ip", "route") + hosts.on(node, "ip", "-o", "link")
        assert "navarch" not in left
        assert "proto 86" not in left
        assert hosts.on(node, "nft", "list", "tables").count("navarch") == 0
