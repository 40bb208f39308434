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
OVERLAPPING = "master_service_cidr: 10.96.0.0/16 overlaps clusterCIDR 10.96.0.0/16: choose another range"


@pytest.mark.parametrize(
    ("part", "option", "value", "line"),
    [
        ("kubelet", "kubelet_cni_bin_dirs", ["/nowhere"], LACKING),
        ("master", "master_cluster_cidr", "10.96.0.0/16", OVERLAPPING),
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
