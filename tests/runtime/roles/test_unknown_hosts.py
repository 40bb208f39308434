# SPDX-License-Identifier: GPL-3.0-or-later
"""Role kubelet where the play or the inventory does not say what it needs: one line that names the option."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from test_options import ROOT, tool

ROLE = "navarch.cluster.kubelet"
#: A host that is this machine; the role does not come so far as to change it.
HERE = {"ansible_connection": "local", "ansible_become": False}


def said(
    folder: Path, task: dict[str, Any], children: dict[str, Any] | None = None, *words: str, facts: bool
) -> str:
    """Why the one host of the inventory fails, which is outside of all groups."""
    inventory = {"all": {"hosts": {"node1": HERE}, "children": children or {}}}
    (folder / "inventory.json").write_text(json.dumps(inventory))
    kept = {"content": "{{ ansible_failed_result.msg }}", "dest": f"{folder}/said", "mode": "0600"}
    step = {"block": [task], "rescue": [{"ansible.builtin.copy": kept, "check_mode": False}]}
    play = {"hosts": "node1", "gather_facts": facts, "tasks": [step]}
    (folder / "play.yml").write_text(json.dumps([play]))
    collections = folder / "collections/ansible_collections/navarch"
    collections.mkdir(parents=True)
    (collections / "cluster").symlink_to(ROOT)
    done = subprocess.run(
        [tool("ansible-playbook"), "-i", folder / "inventory.json", folder / "play.yml", *words],
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return (folder / "said").read_text()


def role(**variables: Any) -> dict[str, Any]:
    return {"ansible.builtin.include_role": {"name": ROLE}, "vars": variables}


def test_a_host_without_facts_needs_a_name(tmp_path: Path) -> None:
    assert said(tmp_path, role(), None, "--check", facts=False) == (
        "Task failed: kubelet_node_name: nothing is known of this host; have the play gather its facts "
        "(gather_facts: true), or name the node"
    )


def test_a_master_of_which_nothing_is_known_needs_an_address(tmp_path: Path) -> None:
    masters = {"masters": {"hosts": {"m1": {}}}}
    assert said(tmp_path, role(), masters, "--check", facts=True) == (
        "Task failed: kubelet_master_address: nothing is known of m1; give it navarch_address in the "
        "inventory, or have the play gather its facts"
    )


def test_a_master_outside_of_the_inventory_is_named(tmp_path: Path) -> None:
    variables = {"kubelet_master_host": "m1", "kubelet_master_address": "192.0.2.1"}
    assert said(tmp_path, role(**variables), None, "--check", facts=True) == (
        "kubelet_master_host: m1 is not in the inventory; name the host of the master there, in the group "
        "masters"
    )


def test_without_a_group_of_masters_the_option_is_named(tmp_path: Path) -> None:
    """By the join: the host that is taken for the master has no master."""
    task = {
        "ansible.builtin.include_role": {"name": ROLE, "tasks_from": "join.yml"},
        "vars": {"runtime_home": f"{tmp_path}/none", "kubelet_master_config_dir": f"{tmp_path}/none"},
    }
    message = said(tmp_path, task, facts=True)
    assert message.startswith(
        "kubelet_master_host: the inventory has no group masters, so this host is taken for the master; name "
        "the master there. node1 makes no join token: "
    )
    assert len(message.splitlines()) == 1
