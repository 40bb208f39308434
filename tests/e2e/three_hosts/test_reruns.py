# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run left behind that ended early, and what other settings mean for those who have joined."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .conftest import NODES, Hosts, pod, until

SERVICES = {"master": "/etc/navarch/pki/ca.crt", "kubelet": "/etc/navarch/kubelet.yaml"}


def changes(said: str) -> dict[str, int]:
    return {node: int(count) for node, count in re.findall(r"(node\d) +:.* changed=(\d+)", said)}


def process(hosts: Hosts, part: str) -> str:
    return hosts.on("node1", "systemctl", "show", "-p", "MainPID", "--value", f"navarch-{part}").strip()


def test_what_was_written_before_a_run_ended_is_taken_over_by_the_next(hosts: Hosts) -> None:
    """The run before wrote a file and did not come to the restart."""
    before = {part: process(hosts, part) for part in SERVICES}
    for file in SERVICES.values():
        hosts.on("node1", "touch", file)
    words = ("--limit", "node1")
    said = hosts.playbook("site", "--check", *words)
    for part, file in SERVICES.items():
        assert re.search(f"navarch-{part} runs since before .*{file}.* changed", said), said
    assert {part: process(hosts, part) for part in SERVICES} == before
    hosts.playbook("site", *words)
    after = {part: process(hosts, part) for part in SERVICES}
    assert all(after[part] != before[part] for part in SERVICES)
    assert set(changes(hosts.playbook("site", *words)).values()) == {0}
    assert {part: process(hosts, part) for part in SERVICES} == after


def test_the_api_moves_to_another_port_and_all_follow(hosts: Hosts, tmp_path: Path) -> None:
    config = hosts.folder / "admin.conf"
    kept = config.read_text()
    try:
        hosts.playbook("site", "-e", "navarch_port=7443")
        config.write_text(kept.replace(":6443", ":7443"))
        for node in NODES:
            assert ':7443"' in hosts.on(node, "grep", "server", "/etc/navarch/kubelet.conf")
        # A kubelet that did not reach the API would start nothing.
        hosts.apply(pod("moved", "node2"))
        hosts.kubectl("wait", "--for=condition=Ready", "pod/moved", "--timeout=60s")
        hosts.kubectl("delete", "pod/moved")
    finally:
        hosts.playbook("site")
        config.write_text(kept)
    until(lambda: sorted(hosts.ready()) == list(NODES), 60, "three ready nodes")


def test_a_host_whose_kubeconfig_is_lost_joins_again_and_another_does_not_take_its_name(hosts: Hosts) -> None:
    words = ("--limit", "node2")
    own = hosts.on("node2", "cat", "/etc/machine-id")
    before = hosts.get("node", "node2")["metadata"]["uid"]
    hosts.on("node2", "rm", "/etc/navarch/kubelet.conf")
    try:
        hosts.on("node2", "tee", "/etc/machine-id", stdin="0" * 32 + "\n")
        with pytest.raises(AssertionError, match=r"kubelet_node_name: the cluster has a node node2 already"):
            hosts.playbook("site", *words)
    finally:
        hosts.on("node2", "tee", "/etc/machine-id", stdin=own)
    hosts.playbook("site", *words)
    hosts.on("node2", "ls", "/etc/navarch/kubelet.conf")
    assert hosts.get("node", "node2")["metadata"]["uid"] == before


def test_hosts_of_one_name_are_refused(hosts: Hosts) -> None:
    with pytest.raises(AssertionError) as refused:
        hosts.playbook("site", "--tags", "kubelet", "-e", "kubelet_node_name=same")
    said = " ".join(str(refused.value).split())
    assert "kubelet_node_name: node1 and node2 and node3 would all be the node same" in said
