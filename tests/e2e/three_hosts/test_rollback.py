# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbook rollback, whole and after a first try that ended half way. The version before is a copy of the one
that there is.
"""

from __future__ import annotations

import re

from .conftest import NODES, Hosts

COPY = """
cd /opt/navarch; now=$(readlink venv); rm -rf versions/before; cp -al "$now" versions/before
sed -i "s|/opt/navarch/$now/|/opt/navarch/versions/before/|" versions/before/bin/navarch
rm versions/before/installed; echo before >versions/before/installed; ln -sfn versions/before previous
"""


def versions(hosts: Hosts) -> list[str]:
    return [hosts.on(node, "cat", "/opt/navarch/venv/installed").strip() for node in NODES]


def changed(said: str) -> dict[str, int]:
    return {node: int(many) for node, many in re.findall(r"^(node\d) +:.* changed=(\d+)", said, re.M)}


def test_a_second_try_finishes_what_the_first_began(hosts: Hosts) -> None:
    for node in NODES:
        hosts.on(node, "sh", "-ec", COPY)
    new = versions(hosts)[0]

    checked = hosts.playbook("rollback", "--check")
    assert all(changed(checked).values()), checked
    assert versions(hosts) == [new] * 3, "check mode changed something"

    hosts.playbook("rollback", "--limit", "node2")
    assert versions(hosts) == [new, "before", new]
    rest = hosts.playbook("rollback")
    assert versions(hosts) == ["before"] * 3
    assert changed(rest)["node2"] == 0, rest
    for node in NODES:
        hosts.on(node, "sh", "-c", "grep -q versions/before /proc/$(pgrep -fo 'navarch kubelet')/maps")

    again = hosts.playbook("rollback")
    assert versions(hosts) == ["before"] * 3, "no host keeps an older one, and forward leads upgrade"
    assert not any(changed(again).values()), again
    said = " ".join(again.split())
    assert f"node1 went back from {new} to before before this run, and no older version is kept" in said

    hosts.playbook("upgrade")
    assert versions(hosts) == [new] * 3
    hosts.playbook("rollback", "--check")
    assert "went back from" not in hosts.playbook("rollback", "--check"), "an upgrade begins a new history"
