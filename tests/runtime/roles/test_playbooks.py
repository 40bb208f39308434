# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks over an inventory that has no master, or two: one line says so, and nothing was done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_options import ROOT, tool

NONE = "The group masters has no host: name the master there, in the inventory that -i gives."
TWO = "The group masters has 2 hosts; one is what this version runs."
PLAYBOOKS = ["site", "upgrade", "rollback", "scale_out", "rotate_certificates", "backup", "restore", "drain"]


def play(name: str, inventory: dict[str, Any], folder: Path) -> subprocess.CompletedProcess[str]:
    """In check mode, against this machine, should the playbook go on."""
    settings = {"ansible_connection": "local", "ansible_become": False}
    (folder / "inventory.json").write_text(json.dumps({"all": {"vars": settings, "children": inventory}}))
    collections = folder / "collections/ansible_collections/navarch"
    collections.mkdir(parents=True)
    (collections / "cluster").symlink_to(ROOT)
    return subprocess.run(
        [
            *(
                tool("ansible-playbook"),
                "--check",
                "-i",
                folder / "inventory.json",
                f"navarch.cluster.{name}",
            ),
            *("-e", "navarch_nodes=a", "-e", "navarch_backup=none.tar.gz"),
        ],
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_an_inventory_without_a_master_is_refused(name: str, tmp_path: Path) -> None:
    done = play(name, {"nodes": {"hosts": {"a": {}}}}, tmp_path)
    assert done.returncode == 2, done.stdout
    assert f'"msg": "{NONE}"' in done.stdout


@pytest.mark.parametrize("name", ["upgrade", "backup"])
def test_two_masters_are_refused(name: str, tmp_path: Path) -> None:
    hosts: dict[str, Any] = {"hosts": {"a": {}, "b": {}}}
    done = play(name, {"masters": hosts, "nodes": hosts}, tmp_path)
    assert done.returncode == 2, done.stdout
    assert f'"msg": "{TWO}"' in done.stdout
