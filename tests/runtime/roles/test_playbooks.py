# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks over an inventory that is not what they act on: one line says so, rc is not 0, nothing was done.

Belongs here: what holds for every playbook, taken from their own files. Not here: what a playbook does.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_options import ROOT, tool

NONE = "The group masters has no host: name the master there, in the inventory that -i gives."
TWO = "The group masters has 2 hosts; one is what this version runs."
PLAYBOOKS = sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml"))
#: The options that playbooks ask for, so that they come to the question of hosts.
ASKED = ("-e", "navarch_nodes=a", "-e", "navarch_backup=none.tar.gz")
FLEET: dict[str, Any] = {"masters": {"hosts": {"a": {}}}, "nodes": {"hosts": {"a": {}, "b": {}, "c": {}}}}


def play(
    name: str, inventory: dict[str, Any], folder: Path, *words: str, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """In check mode, against this machine, should the playbook go on. Without a terminal, as in CI."""
    settings = {"ansible_connection": "local", "ansible_become": False}
    whole = {"all": {"vars": settings, "children": inventory}} if inventory else {}
    (folder / "inventory.json").write_text(json.dumps(whole))
    collections = folder / "collections/ansible_collections/navarch"
    collections.mkdir(parents=True)
    (collections / "cluster").symlink_to(ROOT)
    return subprocess.run(
        [
            *(tool("ansible-playbook"), "-i", folder / "inventory.json", f"navarch.cluster.{name}"),
            *(["--check"] if check else []),
            *ASKED,
            *words,
        ],
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
            "ANSIBLE_NOCOLOR": "1",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of the failure. Nothing else failed, nothing changed."""
    assert done.returncode == 2, done.stdout + done.stderr
    failed = re.findall(r"^fatal: \[\S+\]: FAILED! => (\{.*\})$", done.stdout, re.M)
    messages = {json.loads(one)["msg"] for one in failed}
    assert len(messages) == 1, done.stdout + done.stderr
    assert not re.search(r"changed=[1-9]", done.stdout), done.stdout
    return str(messages.pop())


def plays(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((ROOT / f"playbooks/{name}.yml").read_text())
    return found


def is_of_this_machine(name: str) -> bool:
    """Whether a playbook acts on this machine by its nature: each of its own plays says so."""
    own = [play["hosts"] for play in plays(name) if "hosts" in play]
    return set(own[1:]) == {"localhost"}


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_a_playbook_begins_with_the_question_of_hosts(name: str) -> None:
    first = plays(name)[0]
    assert first["hosts"] == "localhost:all", "a play that --limit or an empty inventory leaves without hosts"
    assert first["tasks"][0]["ansible.builtin.import_tasks"] == "tasks/hosts.yml"
    assert "always" in first["tags"]


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_an_empty_inventory_is_refused(name: str, tmp_path: Path) -> None:
    if is_of_this_machine(name):
        return  # such as quickstart, whose inventory is empty as a rule
    said = refusal(play(name, {}, tmp_path))
    assert said == NONE or said.startswith("navarch_"), said


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_a_limit_that_leaves_no_host_is_refused(name: str, tmp_path: Path) -> None:
    inventory = FLEET if not is_of_this_machine(name) else {}
    done = play(name, {**inventory, "others": {"hosts": {"other": {}}}}, tmp_path, "--limit", "other")
    said = refusal(done)
    assert said.startswith("--limit other leaves out "), said
    assert said.endswith("nothing was done")


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_an_inventory_without_a_master_is_refused(name: str, tmp_path: Path) -> None:
    said = refusal(play(name, {"nodes": {"hosts": {"a": {}}}}, tmp_path))
    assert said == NONE or "inventory" in said or said.startswith("navarch_machine:"), said


@pytest.mark.parametrize("name", ["site", "upgrade", "rollback", "scale_out", "demo", "teardown"])
def test_an_inventory_without_nodes_is_refused(name: str, tmp_path: Path) -> None:
    said = refusal(play(name, {"masters": {"hosts": {"a": {}}}}, tmp_path))
    assert said == "The group nodes has no host: name its hosts there, in the inventory that -i gives."


@pytest.mark.parametrize("name", ["upgrade", "backup"])
def test_two_masters_are_refused(name: str, tmp_path: Path) -> None:
    hosts: dict[str, Any] = {"hosts": {"a": {}, "b": {}}}
    assert refusal(play(name, {"masters": hosts, "nodes": hosts}, tmp_path)) == TWO


@pytest.mark.parametrize(
    ("name", "option", "value", "line"),
    [
        (
            "scale_out",
            "navarch_new",
            "c,node9",
            "node9 is not in the inventory that -i gives; it has a, b, c",
        ),
        (
            "scale_out",
            "navarch_new",
            "all:!oops",
            "oops is not in the inventory that -i gives; it has a, b, c",
        ),
        ("scale_out", "navarch_new", "x*", "no host of the inventory matches x*"),
        ("scale_out", "navarch_new", "localhost", "localhost is not in the group nodes"),
        ("teardown", "navarch_hosts", "node9", "node9 is not in the inventory that -i gives; it has a, b, c"),
    ],
)
def test_hosts_by_an_option_must_be_in_the_inventory(
    name: str, option: str, value: str, line: str, tmp_path: Path
) -> None:
    said = refusal(play(name, FLEET, tmp_path, "-e", f"{option}={value}"))
    assert said == f"{option}: {line}"


@pytest.mark.parametrize("value", ["b,c", "nodes[1:]:!a"])
def test_hosts_by_an_option_may_be_a_pattern(value: str, tmp_path: Path) -> None:
    listed = play("scale_out", FLEET, tmp_path, "-e", f"navarch_new={value}", "--tags", "none", check=False)
    assert listed.returncode == 0, listed.stdout
    assert "Check that the inventory has the hosts" in listed.stdout


def test_teardown_names_the_hosts_of_the_inventory_and_waits(tmp_path: Path) -> None:
    """In check mode, and up to the first task that would look at a host."""
    words = ("-e", "kubelet_data_dir=wrong")  # refused, on each host, before anything is looked at
    done = play("teardown", FLEET, tmp_path, *words, check=False)
    assert done.returncode == 2
    assert "from a, b, c" in done.stdout
    assert "Pausing for 10 seconds" in done.stdout
    recap = re.findall(r"^(\S+) +: .*failed=1", done.stdout, re.M)
    assert sorted(recap) == ["a", "b", "c"], "not this machine, but the hosts of the inventory"


@pytest.mark.parametrize("value", ["false", "no"])
def test_teardown_goes_on_at_once_when_told(value: str, tmp_path: Path) -> None:
    words = ("-e", "kubelet_data_dir=wrong", "-e", f"navarch_confirm={value}", "--limit", "b")
    done = play("teardown", FLEET, tmp_path, *words, check=False)
    assert "from b" in done.stdout
    assert "Pausing" not in done.stdout
    assert re.findall(r"^(\S+) +: .*failed=1", done.stdout, re.M) == ["b"]


def test_quickstart_leaves_the_hosts_of_an_inventory_alone(tmp_path: Path) -> None:
    said = refusal(play("quickstart", FLEET, tmp_path))
    assert said.startswith("quickstart makes this machine a cluster, and the inventory has a, b, c")
