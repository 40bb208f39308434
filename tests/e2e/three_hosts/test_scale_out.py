# SPDX-License-Identifier: GPL-3.0-or-later
"""A node more costs what one node costs: playbook scale_out asks no other node, however many there are. Other
playbooks with --limit do so, too.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from .conftest import BIN, NAME, ROOT, Hosts, image, run, until

#: Nodes of the inventory that nobody can reach: a task for one of them would end the play.
OTHERS = 50
NOWHERE = {"ansible_host": "127.0.0.1", "ansible_port": 9, "navarch_address": "192.0.2.1"}


def test_only_the_new_node_and_the_master_are_asked(hosts: Hosts, tmp_path: Path) -> None:
    others = tmp_path / "others.yml"
    others.write_text(
        json.dumps({"nodes": {"hosts": {f"other{number}": NOWHERE for number in range(OTHERS)}}})
    )
    done = run(
        BIN / "ansible-playbook",
        *("-i", ROOT / "build/hosts" / NAME / "inventory.yml", "-i", others),
        *("navarch.cluster.scale_out", "-e", "navarch_new=node3"),
        seconds=300,
        ANSIBLE_PIPELINING="true",
        ANSIBLE_NOCOLOR="true",
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    asked = set(re.findall(r"^\w+: \[(.+?)\]", done.stdout, re.M))
    # The first task checks the inventory, here.
    assert {name.partition(" ")[0] for name in asked} == {"localhost", "node3"}
    assert {name.partition(" -> ")[2].partition("(")[0] for name in asked} <= {"", "node1", "localhost"}
    assert re.search(r"^node3 +: ok=\d+ +changed=0 +unreachable=0 +failed=0", done.stdout, re.M)
    until(lambda: len(hosts.ready()) == 3, 60, "three ready nodes")


def test_a_new_node_gets_the_images_that_others_were_given(hosts: Hosts, tmp_path: Path) -> None:
    """By a play of the user's, whose variables scale_out knows nothing of."""
    (tmp_path / "given.tar").write_bytes(image())
    images = [{"name": "given:1", "src": "given.tar", "command": ["/bin/sh"]}]
    role = {"role": "navarch.cluster.images", "vars": {"images_list": images}}
    play = {"hosts": "node1,node2", "become": True, "gather_facts": False, "roles": [role]}
    (tmp_path / "images.yml").write_text(json.dumps([play]))
    hosts.playbook(str(tmp_path / "images.yml"))
    command = ("docker", "image", "inspect", "-f", "{{.Config.Cmd}}", "given:1")
    try:
        hosts.playbook("scale_out", "-e", "navarch_new=node3")
        assert hosts.on("node3", *command).strip() == "[/bin/sh]"
        again = hosts.playbook("scale_out", "-e", "navarch_new=node3")
        assert re.search(r"^node3 +: ok=\d+ +changed=0 ", again, re.M), again
    finally:
        images[0] = {"name": "given:1", "state": "absent"}
        (tmp_path / "images.yml").write_text(json.dumps([play | {"hosts": "nodes"}]))
        hosts.playbook(str(tmp_path / "images.yml"))


@pytest.mark.parametrize("playbook", ["site", "upgrade"])
def test_one_node_by_limit_learns_where_the_master_is(hosts: Hosts, tmp_path: Path, playbook: str) -> None:
    """From the master itself, as the inventory does not say it."""
    lines = (ROOT / "build/hosts" / NAME / "inventory.yml").read_text().splitlines()
    plain = tmp_path / "plain.yml"
    plain.write_text("\n".join(line for line in lines if "navarch_address" not in line))
    done = run(
        *(BIN / "ansible-playbook", "-i", plain, f"navarch.cluster.{playbook}", "--limit", "node3"),
        seconds=300,
        ANSIBLE_NOCOLOR="true",
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    recap = re.findall(r"^(\w+) +: ok=\d+ +changed=(\d+)", done.stdout, re.M)
    assert [row for row in recap if row[0] != "localhost"] == [("node3", "0")]
