# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that cannot be: the role names the option and what to do, and the cluster goes on as it is."""

from __future__ import annotations

import json

import pytest

from .conftest import Hosts

LACKING = (
    "kubelet_cni_bin_dirs: CNI plugin 'bridge' is in none of /nowhere:"
    " install containernetworking-plugins, or name its folder in cniBinDirs"
)
RANGES = (
    "master_cluster_cidr and master_service_cidr: this cluster has 10.244.0.0/16 and 10.96.0.0/16, of which"
    " its nodes and services have their addresses, and is asked for 10.200.0.0/16 and 10.96.0.0/16. Other"
    " ranges want a new cluster (navarch.cluster.teardown, then navarch.cluster.site)."
)
GRACE = "master_node_monitor_grace_period: 'soon' is no duration such as 40s, 5m or 1h30m"
NAMED = (
    "kubelet_node_name: this host joined as node1. To have it join as other, say kubelet_rejoin=true, and"
    " delete the node node1."
)


@pytest.mark.parametrize(
    ("part", "option", "value", "line"),
    [
        ("kubelet", "kubelet_cni_bin_dirs", ["/nowhere"], LACKING),
        ("kubelet", "kubelet_node_name", "other", NAMED),
        ("master", "master_node_monitor_grace_period", "soon", GRACE),
        ("master", "master_cluster_cidr", "10.200.0.0/16", RANGES),
    ],
)
def test_the_role_says_it_in_one_line(hosts: Hosts, part: str, option: str, value: object, line: str) -> None:
    files = ("sha256sum", f"/etc/navarch/{part}.yaml")
    before = hosts.on("node1", *files)
    words = ("--tags", part, "--limit", "node1", "-e", json.dumps({option: value}))
    with pytest.raises(AssertionError) as refused:
        hosts.playbook("site", *words)
    # As YAML has it: folded, in quotes, its own quotes twice.
    said = " ".join(str(refused.value).split()).replace("''", "'")
    assert f"msg: '{line}'" in said
    assert hosts.on("node1", *files) == before
    assert hosts.on("node1", "systemctl", "is-active", f"navarch-{part}") == "active\n"


def test_a_drain_names_the_nodes_that_are_not_there(hosts: Hosts) -> None:
    with pytest.raises(AssertionError) as refused:
        hosts.playbook("drain", "-e", "navarch_nodes=node1,nope")
    said = " ".join(str(refused.value).split())
    assert "navarch_nodes: the cluster has no node nope; it has node1, node2, node3" in said
    assert not hosts.get("node", "node1")["spec"].get("unschedulable")
