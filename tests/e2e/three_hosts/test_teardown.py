# SPDX-License-Identifier: GPL-3.0-or-later
"""What the teardown leaves on three hosts, after all that the other tests did: nothing."""

from __future__ import annotations

from .conftest import NODES, Hosts


def test_teardown_leaves_no_link_and_no_route(hosts: Hosts) -> None:
    hosts.silence()
    said = hosts.playbook("teardown", "-e", "navarch_confirm=false")
    assert "removes the cluster, its containers and all of its data from node1, node2, node3" in " ".join(
        said.split()
    )
    assert "WARNING" not in said
    for node in NODES:
        left = hosts.on(node, "ip", "route") + hosts.on(node, "ip", "-o", "link")
        assert "navarch" not in left
        assert "proto 86" not in left
        assert hosts.on(node, "nft", "list", "tables").count("navarch") == 0
