# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods and nodes on three hosts reach each other, every pair by every overlay."""

from __future__ import annotations

import pytest

from .conftest import NODES, Hosts, until


# The default comes last: the other tests find it, and what the one before made has to go.
@pytest.mark.parametrize("overlay", ["host-gw", "vxlan"])
def test_every_pair_by_every_overlay(hosts: Hosts, overlay: str) -> None:
    hosts.playbook("site", "-e", f"kubelet_overlay={overlay}", "--tags", "kubelet")
    until(lambda: len(hosts.ready()) == 3, 60, "three ready nodes")
    links = [hosts.on(node, "ip", "-o", "link", "show", "type", "vxlan") for node in NODES]
    assert [("navarch-vx" in link, "mtu 1450" in link) for link in links] == [(overlay == "vxlan",) * 2] * 3
    assert hosts.every_pair(overlay) == 3 * 7 * 6
