# SPDX-License-Identifier: GPL-3.0-or-later
"""Every example of the documentation is run as it stands there, against a real master.

What must be there before lies beside each plugin's name. Examples that need containers that run are not here:
the tests of those modules have a node with an Engine.
"""

from __future__ import annotations

import ast
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_support import ROOT, tool

Task = dict[str, Any]
PLUGINS = ROOT / "plugins"
#: Modules whose examples need what no simulated node has: containers that run, an Engine, a cloud.
ELSEWHERE = {"pod_exec", "pod_copy", "pod_logs", "image", "image_info"}
ELSEWHERE |= {"cloud_node", "cloud_node_info", "gce_resource"}
#: Single examples for the same reason.
NEVER_ENDS = {"A job runs to its end"}

WAITING = {"name": "web", "scheduler_name": "nobody", "containers": [{"name": "c", "image": "i"}]}
SETTINGS = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}, "data": {"level": "info"}}


def ours(module: str, **options: Any) -> Task:
    return {f"navarch.cluster.{module}": options}


NODES = [
    ours("manifest", definition=[{"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}])
    for name in ("node-1", "node-2")
]
NODES_GONE = [ours("node", name=name, state="absent") for name in ("node-1", "node-2")]
SHOP_GONE = [ours("namespace", name="shop", state="absent", wait=True)]
BEFORE: dict[str, list[Task]] = {
    "config_map_info": [ours("manifest", definition=SETTINGS)],
    "node": NODES,
    "schedule": [*NODES, ours("pod", **WAITING)],
    "secret_info": [ours("secret", name="database", string_data={"password": "p"})],
    "object": [ours("service", name="web", ports=[{"port": 80}])],
    "service_info": [ours("service", name="web", ports=[{"port": 80}])],
}
AFTER: dict[str, list[Task]] = {
    "config_map_info": [ours("config_map", name="web", state="absent")],
    "manifest": SHOP_GONE,
    "node": NODES_GONE,
    "schedule": [ours("pod", name="web", state="absent", delete_grace_period=0), *NODES_GONE],
    "secret_info": [ours("secret", name="database", state="absent")],
    "object": [ours("service", name="web", state="absent")],
    "service_info": [ours("service", name="web", state="absent")],
    "merge_manifests": [ours("replication_controller", name="web", state="absent", wait=True)],
}


def documented() -> dict[str, Path]:
    """The file of each plugin with examples, by name."""
    found = [path for kind in ("modules", "lookup", "filter") for path in (PLUGINS / kind).glob("*.py")]
    return {path.stem: path for path in sorted(found) if path.stem not in ELSEWHERE}


def examples(path: Path) -> list[Task]:
    """The tasks of a plugin's documentation."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "EXAMPLES":
            return yaml.safe_load(ast.literal_eval(node.value))
    return []


@pytest.fixture(scope="module")
def recaps(
    environment: dict[str, str], kubeconfig: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """What Ansible said of the examples of each plugin: one play for each, in one run."""
    folder = tmp_path_factory.mktemp("examples")
    home = folder / "files" / "manifests"
    home.mkdir(parents=True)
    shop = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    (home / "web.yml").write_text(json.dumps(SETTINGS))
    templates = folder / "templates" / "manifests"
    templates.mkdir(parents=True)
    (templates / "settings.yml.j2").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {level: '{{ level }}'}\n"
    )
    (home / "shop.json").write_text(json.dumps(shop))
    plays = []
    for name, path in documented().items():
        tasks = [task for task in examples(path) if task.get("name") not in NEVER_ENDS]
        plays.append(
            {
                "hosts": name,
                "gather_facts": False,
                "vars": {"vault_database_password": "p"},
                "tasks": [
                    {  # a play that fails would keep the next ones from running
                        "block": BEFORE.get(name, []) + tasks,
                        "rescue": [{"ansible.builtin.debug": {"msg": "an example failed"}}],
                        "always": [task | {"ignore_errors": True} for task in AFTER.get(name, [])],
                    }
                ],
            }
        )
    book = folder / "play.json.yml"
    book.write_text(json.dumps(plays))
    variables = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    hosts = {"all": {"hosts": dict.fromkeys(documented()), "vars": variables}}
    (folder / "hosts.yml").write_text(json.dumps(hosts))
    done = subprocess.run(
        [tool("ansible-playbook"), "-i", str(folder / "hosts.yml"), str(book)],
        env=environment | {"K8S_AUTH_KUBECONFIG": kubeconfig},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    said = {part.split("]", 1)[0]: part for part in done.stdout.split("PLAY [")[1:]}
    recap = done.stdout.rpartition("PLAY RECAP")[2]
    assert recap, done.stdout[-2000:] + done.stderr[-2000:]
    return {name: _trouble(recap, name, said) for name in documented()}


def _trouble(recap: str, name: str, said: dict[str, str]) -> str:
    line = next((line for line in recap.splitlines() if line.split(":")[0].strip() == name), "")
    if all(word in line for word in ("failed=0", "unreachable=0", "rescued=0", "ignored=0")):
        return ""
    return said.get(name) or "its play was not run"


@pytest.mark.parametrize("name", documented())
def test_examples_run(recaps: dict[str, str], name: str) -> None:
    assert examples(documented()[name]), "a plugin has examples"
    assert recaps[name] == "", recaps[name][-3000:]
