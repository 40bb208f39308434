# SPDX-License-Identifier: GPL-3.0-or-later
"""Several sources in one inventory file: Google, Amazon (moto), a list and a real cluster."""

from __future__ import annotations

import ast
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_support import ROOT, control_plane, request
from gce_emulator import Gce

Inventory = Callable[..., dict[str, Any]]
ZONE = "us-central1-a"


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The kubeconfig of a control plane with two simulated nodes."""
    with control_plane(tmp_path_factory.mktemp("cluster"), 2) as path:
        yield path


def google(gce: Gce, **more: Any) -> dict[str, Any]:
    url = gce.url + "/compute/v1"
    return {"type": "gce", "api_url": url, "access_token": "token-1", "projects": ["ship"]} | more


def amazon(moto: str, **more: Any) -> dict[str, Any]:
    credentials = {"key": "AKIASHIP", "secret": "whispered"}
    return {"type": "libcloud", "provider": "ec2", "url": moto, "region": "us-east-1"} | credentials | more


def ec2_machine(moto: str, task: Callable[..., Any], name: str) -> dict[str, Any]:
    options = {name: value for name, value in amazon(moto).items() if name != "type"}
    made = task(
        "cloud_node", **options, name=name, size="t3.micro", image="ami-03cf127a", labels={"role": "web"}
    )
    return made["machine"]


def test_cloud_facts_stand_beside_what_the_cluster_knows(
    gce: Gce, moto: str, task: Callable[..., Any], inventory: Inventory, kubeconfig: str
) -> None:
    nodes = request(kubeconfig, "GET", "/api/v1/nodes")["items"]
    first, second = (node["metadata"]["name"] for node in nodes)
    address = next(a["address"] for a in nodes[0]["status"]["addresses"] if a["type"] == "InternalIP")
    gce._addresses = iter([address])
    gce.add_instance("ship", ZONE, "web-1", labels={"role": "web"})
    machine = ec2_machine(moto, task, "web-2")
    cellar = {"name": "cellar", "instance_id": machine["instance_id"], "variables": {"shelf": 3}}
    listed = inventory(
        google(gce),
        amazon(moto, name="frankfurt"),
        {"type": "static", "hosts": ["192.0.2.9", cellar]},
        {"type": "cluster", "kubeconfig": kubeconfig},
        groups={"not_joined": "'cluster' not in sources"},
        keyed_groups=[{"key": "sources", "prefix": "of"}],
    )
    hosts = listed["hosts"]
    assert set(hosts) == {"web-1", "web-2", "192.0.2.9", second}
    joined = hosts["web-1"]
    assert (joined["provider"], joined["ready"], joined["schedulable"], joined["pods"]) == (
        "gce",
        True,
        True,
        [],
    )
    assert (joined["node_name"], joined["sources"], joined["zone"]) == (first, ["gce", "cluster"], ZONE)
    assert joined["labels"]["role"] == "web" and joined["labels"]["kubernetes.io/hostname"] == first
    assert (hosts["web-2"]["shelf"], hosts["web-2"]["sources"]) == (3, ["frankfurt", "static"])
    assert hosts["web-2"]["ansible_host"] == machine["public_ip"]
    assert sorted(listed["not_joined"]["hosts"]) == ["192.0.2.9", "web-2"]
    assert listed["of_frankfurt"]["hosts"] == ["web-2"]
    apart = inventory(google(gce), {"type": "cluster", "kubeconfig": kubeconfig}, merge_by=["instance_id"])
    assert set(apart["hosts"]) == {"web-1", first, second}
    for secret in ("whispered", "token-1"):
        assert secret not in listed["said"]


def test_one_failing_source_is_told_by_name(gce: Gce, inventory: Inventory) -> None:
    gce.add_instance("ship", ZONE, "web-1")
    away = amazon("http://127.0.0.1:1", name="frankfurt")
    assert "source frankfurt: cannot reach ec2: connection refused" in inventory(google(gce), away)["failed"]
    listed = inventory(google(gce), away | {"on_error": "warn"})
    assert set(listed["hosts"]) == {"web-1"}
    assert "source frankfurt: cannot reach ec2: connection refused" in listed["warned"]
    lost = {"type": "cluster", "name": "home", "host": "https://127.0.0.1:1"}
    assert "source home: cannot reach the cluster" in inventory(lost)["failed"]
    unknown = amazon("http://127.0.0.1:1", provider="moonbase")
    assert "source libcloud: provider: libcloud knows no moonbase" in inventory(unknown)["failed"]


def test_sources_are_asked_at_the_same_time(gce: Gce, inventory: Inventory) -> None:
    gce.add_instance("ship", ZONE, "web-1")
    pause = {"error": {"code": 503, "message": "soon"}}

    def seconds(count: int) -> float:
        for number in range(count):
            gce.projects[f"p{number}"] = ""
            gce.fail(f"/p{number}/", 503, pause, Retry_After="4")
        began = time.monotonic()
        inventory(*(google(gce, name=f"s{number}", projects=[f"p{number}"]) for number in range(count)))
        return time.monotonic() - began

    one = seconds(1)
    assert seconds(4) < one + 8, "four sources of four seconds each took turns"


def test_only_what_is_missing_is_asked_again(gce: Gce, inventory: Inventory, tmp_path: Path) -> None:
    gce.add_instance("ship", ZONE, "web-1")
    gce.add_instance("boat", ZONE, "web-2")
    folder = str(tmp_path / "cache")
    cache = {"cache": True, "cache_plugin": "ansible.builtin.jsonfile", "cache_connection": folder}
    sources = [google(gce), google(gce, name="boat", projects=["boat"], on_error="warn")]
    sources.append({"type": "static", "hosts": [{"name": "cellar", "variables": {"twice": "{{ 1 + 1 }}"}}]})
    gce.fail("/boat/", 403, {"error": {"code": 403, "message": "no"}})
    assert set(inventory(*sources, **cache)["hosts"]) == {"web-1", "cellar"}
    gce.asked.clear()
    listed = inventory(*sources, **cache)
    assert set(listed["hosts"]) == {"web-1", "web-2", "cellar"}
    assert all("/boat/" in one for one in gce.asked)
    gce.asked.clear()
    assert inventory(*sources, **cache)["hosts"] == listed["hosts"]
    assert gce.asked == []
    assert json.dumps(listed["_meta"]["hostvars"]["cellar"]["twice"]) == '"{{ 1 + 1 }}"', (
        "a template of our own"
    )


def test_static_variables_may_be_whatever_yaml_has(inventory: Inventory, tmp_path: Path) -> None:
    more = """sources:
  - type: static
    hosts:
      - name: cellar
        variables:
          since: 2024-01-01
          word: !vault |
            $ANSIBLE_VAULT;1.1;AES256
            6162
"""
    folder = tmp_path / "cache"
    cached = {"cache": True, "cache_plugin": "ansible.builtin.jsonfile", "cache_connection": str(folder)}
    for options in ({}, cached):
        listed = inventory(more=more, **options)
        assert listed["hosts"]["cellar"]["since"] == "2024-01-01", listed


def test_templates_in_the_file_are_evaluated(inventory: Inventory, tmp_path: Path) -> None:
    more = [{"name": "shed", "variables": {"trap": "{{ 1 + 1 }}"}}, "192.0.2.8"]
    listed_elsewhere = tmp_path / "hosts.yml"
    listed_elsewhere.write_text(yaml.safe_dump(more))
    cellar = {
        "name": "{{ 'cel' ~ 'lar' }}",
        "address": "{{ lookup('ansible.builtin.env', 'CELLAR') }}",
        "instance_id": "{{ 7 }}",
        "variables": {"twice": "{{ 1 + 1 }}"},
    }
    read = "{{ lookup('ansible.builtin.file', '" + str(listed_elsewhere) + "') | from_yaml }}"
    groups = {"key": "instance_name", "prefix": "", "separator": "", "parent_group": "{{ sources[0] }}"}
    listed = inventory(
        {"type": "static", "hosts": [cellar, "{{ '192.0.2.' ~ 9 }}"]},
        {"type": "static", "name": "elsewhere", "hosts": read},
        keyed_groups=[groups],
        env={"CELLAR": "192.0.2.7"},
    )
    hosts = listed["hosts"]
    assert set(hosts) == {"cellar", "192.0.2.9", "shed", "192.0.2.8"}, listed
    assert (hosts["cellar"]["ansible_host"], hosts["cellar"]["instance_id"]) == ("192.0.2.7", "7")
    assert listed["_meta"]["hostvars"]["cellar"]["twice"] == "{{ 1 + 1 }}", "a template of our own"
    assert listed["_meta"]["hostvars"]["shed"]["trap"] == {"__ansible_unsafe": "{{ 1 + 1 }}"}
    assert "shed" in listed["elsewhere"]["children"]
    unread = read.replace(" | from_yaml", "")
    assert "is no address" in inventory({"type": "static", "hosts": unread})["failed"]


def test_templates_in_static_variables_are_evaluated_in_conditions(inventory: Inventory) -> None:
    web = {"role": "{{ 'w' ~ 'eb' }}", "labels": {"short": "{{ role }}-1"}, "data": "{{ role }}"}
    listed = inventory(
        {"type": "static", "hosts": [{"name": "a", "variables": web}]},
        groups={"w": "role == 'web'", "d": "data == 'web'"},
        keyed_groups=[{"key": "role", "prefix": "", "separator": ""}],
        compose={"place": "role"},
        exclude=["role == 'db'"],
        include=["role == 'web'"],
        hostnames=["labels.short"],
    )
    assert listed["w"]["hosts"] == listed["d"]["hosts"] == listed["web"]["hosts"] == ["web-1"], listed
    assert listed["hosts"]["web-1"]["place"] == "web"
    nothing = inventory(
        {"type": "static", "hosts": [{"name": "a", "variables": web}]}, exclude=["role == 'web'"]
    )
    assert nothing["hosts"] == {}


def test_no_host_is_lost_for_its_name(inventory: Inventory) -> None:
    hosts: list[Any] = [{"name": "a"}, {"name": "a"}, {"name": "a"}, {"name": "a", "address": "192.0.2.1"}]
    listed = inventory({"type": "static", "hosts": hosts})
    assert set(listed["hosts"]) == {"a", "a_2", "a_3", "a_192.0.2.1"}
    assert "3 machines share the name of another (a)" in " ".join(listed["warned"].split())
    machine = {"name": "m", "address": "192.0.2.1", "instance_id": "7"}
    lists = [{"type": "static", "name": name, "hosts": [machine]} for name in ("x", "y", "z")]
    apart = inventory(*lists, merge_by=[])["hosts"]
    assert {name: host["sources"] for name, host in apart.items()} == {
        "m": ["x"],
        "m_7": ["y"],
        "m_192.0.2.1": ["z"],
    }


def test_the_guide_and_the_examples(
    gce: Gce, moto: str, inventory: Inventory, kubeconfig: str, private_key: str, tmp_path: Path
) -> None:
    key = tmp_path / "gce.json"
    key.write_text(json.dumps(gce.service_account(private_key)))
    gce.folders = {"12": "123456789012"}
    gce.add_instance("ship", ZONE, "web-1", labels={"navarch-cluster": "ship", "cluster": "ship"})
    gce.projects["ship"] = "12"
    here = {
        "gce": {
            "service_account_file": str(key),
            "api_url": f"{gce.url}/compute/v1",
            "resource_manager_url": gce.url,
        },
        "libcloud": {"url": moto, "region": "us-east-1", "key": "AKIASHIP", "secret": "whispered"},
        "static": {},
        "cluster": {"kubeconfig": kubeconfig},
    }
    guide = (ROOT / "docs/guides/clouds.md").read_text()
    texts = [guide.split("# fleet.navarch.yml\n")[1].split("```")[0]]
    for node in ast.parse((ROOT / "plugins/inventory/nodes.py").read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "EXAMPLES":
            texts += ast.literal_eval(node.value).split("---\n")
    assert len(texts) == 3
    for text in texts:
        options = yaml.safe_load(text)
        sources = [source | here[source["type"]] for source in options.pop("sources", [])]
        wanted = {"cache": False, "strict": False, "kubeconfig": kubeconfig} | (
            {} if sources else {"sources": None}
        )
        listed = inventory(*sources, **options | wanted)
        assert "failed" not in listed, listed
        names = set(listed["hosts"])
        assert {"web-1", "cellar"} <= names if sources else len(names) == 2, names
        assert "WARNING" not in listed["warned"], listed["warned"]
