# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory of pods: hosts, groups and variables as ansible-inventory sees them, and a play in them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_support import list_inventory, tool
from pods_support import IMAGE, Live

pytestmark = [pytest.mark.docker, pytest.mark.root]
Inventory = Callable[..., dict[str, Any]]
HOSTS = ["inv-one.default", "inv-two.default"]


@pytest.fixture(scope="module")
def pods(live: Live) -> None:
    live.pod("inv-one")
    live.pod("inv-two", {"name": "main"}, {"name": "side"})
    live.pod("inv-done", {"name": "main", "command": ["true"]}, met=ended, restartPolicy="Never")


def ended(pod: Any) -> bool:
    return bool(pod.status and pod.status.phase == "Succeeded")


@pytest.fixture
def inventory(environment: dict[str, str], live: Live, pods: None, tmp_path: Path) -> Inventory:
    """inventory(**options): what ansible-inventory --list prints for a file of these options."""

    def run(**options: Any) -> dict[str, Any]:
        path = tmp_path / "test.navarch_pods.yml"
        content = {"plugin": "navarch.cluster.pods", "kubeconfig": str(live.admin), "strict": True}
        content |= {"label_selectors": ["app in (inv-one, inv-two, inv-done)"]} | options
        return list_inventory(environment, path, content)

    return run


def plain(value: Any) -> Any:
    """Values without the marks of what must not be evaluated."""
    if isinstance(value, dict):
        return value.get("__ansible_unsafe") or {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def test_running_pods_are_hosts_in_their_groups(inventory: Inventory, live: Live) -> None:
    listed = inventory(
        compose={"rank": "pod_name.split('-') | last"},
        groups={"pairs": "pod_containers | length == 2"},
        keyed_groups=[{"key": "pod_image", "prefix": "image"}],
    )
    for group in ("pods", "namespace_default", "node_kubelet_test", "phase_Running"):
        assert listed[group]["hosts"] == HOSTS
    assert listed["label_app_inv_one"]["hosts"] == HOSTS[:1]
    assert listed["pairs"]["hosts"] == HOSTS[1:]
    assert listed["image_" + re.sub("[/:]", "_", IMAGE).replace("-", "_")]["hosts"] == HOSTS
    unsafe = listed["_meta"]["hostvars"][HOSTS[1]]["pod_labels"]["app"]
    assert unsafe == {"__ansible_unsafe": "inv-two"}
    variables = plain(listed["_meta"]["hostvars"][HOSTS[1]])
    assert variables["rank"] == "two"
    assert variables["pod_container"] == variables["ansible_pod_container"] == "main"
    assert variables["ansible_connection"] == "navarch.cluster.pod"
    assert variables["ansible_pod_kubeconfig"] == str(live.admin)
    assert (variables["pod_phase"], variables["pod_ready"], variables["pod_restarts"]) == ("Running", True, 0)


def test_containers_phases_and_names(inventory: Inventory) -> None:
    every = inventory(containers="all", group_by=["phase"])
    assert every["pods"]["hosts"] == ["inv-one.default", "inv-two.default", "side.inv-two.default"]
    assert "namespace_default" not in every
    done = inventory(phases=["Succeeded"], hostvars_prefix="k_", hostnames=["k_labels.nothing", "k_name"])
    assert "hostnames: k_labels.nothing" in done["failed"]
    done = inventory(phases=["Succeeded"], hostvars_prefix="k_", hostnames=["k_labels.app ~ '-x'"])
    assert done["pods"]["hosts"] == ["inv-done-x"]
    none = inventory(namespaces=["kube-system", "nowhere"])
    assert "pods" not in none
    by_node = inventory(field_selectors=["spec.nodeName=other"], phases=[])
    assert "pods" not in by_node


def test_mistakes_are_told(inventory: Inventory) -> None:
    assert "hostnames: one is the name of two hosts" in inventory(hostnames=["'one'"])["failed"]
    assert "group_by: must be of namespace, node, phase" in inventory(group_by=["zone"])["failed"]
    assert "hostnames: must have" in inventory(hostnames=[])["failed"]
    assert "kubeconfig: there is no file /not/there" in inventory(kubeconfig="/not/there")["failed"]
    assert "401 Unauthorized" in inventory(api_key="wrong-secret")["failed"]
    assert "wrong-secret" not in inventory(api_key="wrong-secret")["failed"]
    assert "containers" in inventory(containers="some")["failed"]


def test_the_cache_answers_and_a_play_in_all_pods_works(
    inventory: Inventory, environment: dict[str, str], tmp_path: Path
) -> None:
    cached = {
        "cache": True,
        "cache_plugin": "ansible.builtin.jsonfile",
        "cache_connection": str(tmp_path / "cache"),
    }
    assert inventory(**cached) == inventory(**cached)
    assert list((tmp_path / "cache").iterdir())
    task = {"name": "Say who", "raw": "echo {{ inventory_hostname }} is $(hostname)"}
    path = tmp_path / "play.yml"
    path.write_text(json.dumps([{"hosts": "pods", "gather_facts": False, "tasks": [task]}]))
    command = [tool("ansible-playbook"), "-v", "-i", str(tmp_path / "test.navarch_pods.yml"), str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "inv-one.default is inv-one" in done.stdout
    assert "inv-two.default is inv-two" in done.stdout
