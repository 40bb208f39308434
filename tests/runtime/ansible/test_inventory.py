# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory as ansible-inventory sees it: hosts, variables, groups, cache, and data that stays data."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_support import control_plane, list_inventory, tool

Inventory = Callable[..., dict[str, Any]]


@pytest.fixture
def inventory(environment: dict[str, str], kubeconfig: str, tmp_path: Path) -> Inventory:
    """inventory(**options): what ansible-inventory --list prints for a file of these options."""

    def run(**options: Any) -> dict[str, Any]:
        path = tmp_path / "test.navarch.yml"
        content = {"plugin": "navarch.cluster.nodes", "kubeconfig": kubeconfig, "strict": True} | options
        return list_inventory(environment, path, content)

    return run


def plain(value: Any) -> Any:
    """Values without the marks of what must not be evaluated; a value that lacks its mark fails."""
    if isinstance(value, dict):
        if set(value) == {"__ansible_unsafe"}:
            return value["__ansible_unsafe"]
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    assert not isinstance(value, str), f"{value!r} could be evaluated as a template"
    return value


def test_nodes_are_hosts(inventory: Inventory) -> None:
    listed = inventory(
        compose={"cores": "capacity.cpu | int"},
        groups={"well": "ready and schedulable"},
        keyed_groups=[{"key": "labels['kubernetes.io/os']", "prefix": "os"}],
    )
    hosts = sorted(listed["nodes"]["hosts"])
    assert len(hosts) == 3
    assert sorted(listed["well"]["hosts"]) == sorted(listed["os_linux"]["hosts"]) == hosts
    variables = plain(listed["_meta"]["hostvars"][hosts[0]])
    internal = [a["address"] for a in variables["addresses"] if a["type"] == "InternalIP"]
    assert variables["ansible_host"] == internal[0]
    assert variables["labels"]["kubernetes.io/hostname"] == hosts[0]
    assert (variables["ready"], variables["schedulable"], variables["taints"]) == (True, True, [])
    assert variables["cores"] == int(variables["capacity"]["cpu"])
    assert set(variables["allocatable"]) >= {"cpu", "memory", "pods"}


def test_only_nodes_that_match(inventory: Inventory) -> None:
    all_of_them = inventory()["nodes"]["hosts"]
    chosen = inventory(
        label_selectors=[f"kubernetes.io/hostname={all_of_them[0]}"], hostvars_prefix="navarch_"
    )
    assert chosen["nodes"]["hosts"] == all_of_them[:1]
    assert set(chosen["_meta"]["hostvars"][all_of_them[0]]) >= {
        "ansible_host",
        "navarch_ready",
        "navarch_zone",
    }
    assert "nodes" not in inventory(label_selectors=["no=such"])


def test_what_the_cluster_says_is_never_evaluated(
    inventory: Inventory,
    environment: dict[str, str],
    kubeconfig: str,
    call: Callable[..., Any],
    tmp_path: Path,
) -> None:
    host = inventory()["nodes"]["hosts"][0]
    trap = "{{ lookup('ansible.builtin.pipe', 'touch %s') }}" % (tmp_path / "sprung")  # braces
    call("PATCH", f"/api/v1/nodes/{host}", {"metadata": {"annotations": {"note": trap}}})
    cached = {
        "cache": True,
        "cache_plugin": "ansible.builtin.jsonfile",
        "cache_connection": str(tmp_path / "cache"),
    }
    path = tmp_path / "trap.navarch.yml"
    path.write_text(json.dumps({"plugin": "navarch.cluster.nodes", "kubeconfig": kubeconfig} | cached))
    for _run in ("from the cluster", "from the cache"):
        done = subprocess.run(
            [tool("ansible"), "-i", str(path), host, "-m", "debug", "-a", "var=annotations.note"],
            env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert "lookup(" in done.stdout, done.stdout + done.stderr
        assert not (tmp_path / "sprung").exists()


def test_the_cache_answers_when_the_cluster_is_gone(inventory: Inventory, tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    options = {
        "kubeconfig": str(path),
        "cache": True,
        "cache_plugin": "ansible.builtin.jsonfile",
        "cache_connection": str(tmp_path / "cache"),
    }
    with control_plane(tmp_path, 1):
        fresh = inventory(**options)
    assert inventory(**options) == fresh
    assert "cannot reach the cluster" in inventory(kubeconfig=str(path))["failed"]


def test_mistakes_are_told(inventory: Inventory) -> None:
    assert "kubeconfig: there is no file /not/there" in inventory(kubeconfig="/not/there")["failed"]
    assert "401 Unauthorized" in inventory(api_key="wrong")["failed"]
    assert "sources[0].type" in inventory(sources=[{"type": "elsewhere"}])["failed"]
