# SPDX-License-Identifier: GPL-3.0-or-later
"""cloud_node, cloud_node_info and gce_resource against the emulated Google and moto's EC2."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_support import tool
from gce_emulator import Gce, error

Task = Callable[..., dict[str, Any]]
ZONE = "us-central1-a"
KEY = "ssh-ed25519 AAAAC3Nz sailor"


@pytest.fixture
def node(gce: Gce, task: Task) -> Task:
    """node(**options): one task of cloud_node in project ship."""
    gce.projects["ship"] = ""

    def run(**options: Any) -> dict[str, Any]:
        base = {
            "api_url": gce.url + "/compute/v1",
            "access_token": "token-1",
            "project": "ship",
            "zone": ZONE,
        }
        return task(
            "cloud_node",
            **base | {"name": "web-1", "size": "e2-small", "image": "debian-cloud/debian-12"} | options,
        )

    return run


def asked(gce: Gce) -> list[str]:
    """The writes that the cloud was asked for."""
    return [one.split("?")[0].rpartition("/compute/v1/")[2] for one in gce.asked if not one.startswith("GET")]


def test_a_machine_is_made_once(gce: Gce, node: Task) -> None:
    wanted: dict[str, Any] = {
        "labels": {"cluster": "ship"},
        "tags": ["navarch"],
        "metadata": {"motd": "aboard"},
        "ssh_keys": [KEY],
        "startup_script": "#!/bin/sh\n",
        "disk_size_gb": 20,
        "ip_forward": True,
        "definition": {"description": "a test", "scheduling": {"preemptible": True}},
    }
    predicted = node(check=True, **wanted)
    assert predicted["changed"] and "projects/ship/zones/us-central1-a/instances/web-1" not in gce.things
    made = node(**wanted)
    machine = made["machine"]
    assert made["changed"] and machine["running"] and machine["public_ip"].startswith("203.0.113.")
    assert (machine["size"], machine["labels"], machine["instance_tags"]) == (
        "e2-small",
        {"cluster": "ship"},
        ["navarch"],
    )
    assert machine["metadata"] == {
        "motd": "aboard",
        "ssh-keys": f"navarch:{KEY}",
        "startup-script": "#!/bin/sh\n",
    }
    assert machine["details"]["can_ip_forward"] and machine["details"]["spot"]
    assert predicted["diff"]["after"] == made["diff"]["after"]
    assert made["diff"]["before"] == {}
    asked_before = asked(gce)
    again = node(**wanted)
    assert (again["changed"], again["machine"]) == (False, machine)
    assert asked(gce) == asked_before
    stored = gce.things[f"projects/ship/zones/{ZONE}/instances/web-1"]
    assert stored["description"] == "a test"


def test_what_differs_is_set_and_what_cannot_be_is_refused(gce: Gce, node: Task) -> None:
    node(labels={"a": "1", "b": "2"}, tags=["x"], metadata={"k": "v"})
    wanted = {"labels": {"a": None, "c": "3"}, "tags": ["y"], "metadata": {"k": "w"}}
    predicted, done = node(check=True, **wanted), node(**wanted)
    assert predicted["changed"] and done["changed"]
    assert predicted["diff"] == done["diff"]
    machine = done["machine"]
    assert (machine["labels"], machine["instance_tags"], machine["metadata"]) == (
        {"b": "2", "c": "3"},
        ["y"],
        {"k": "w"},
    )
    assert not node(**wanted)["changed"]
    refused = node(size="e2-large")["msg"]
    assert refused == "size: machine web-1 has e2-small, not e2-large, and keeps it: delete it first"


def test_a_stopped_machine_is_started(gce: Gce, node: Task) -> None:
    gce.add_instance("ship", ZONE, "web-1", status="TERMINATED")
    assert node(check=True, size=None)["changed"]
    started = node(size=None)
    assert started["changed"] and started["machine"]["running"]
    assert not node(size=None)["changed"]


def test_a_machine_is_deleted_once(gce: Gce, node: Task) -> None:
    node()
    assert node(check=True, state="absent")["changed"] and len(gce.things) == 1
    gone = node(state="absent")
    assert (gone["changed"], gone["machine"], gce.things) == (True, None, {})
    assert not node(state="absent")["changed"]


def test_failures_of_google_are_one_line(gce: Gce, node: Task) -> None:
    gce.operation_error = {"code": "QUOTA_EXCEEDED", "message": "Quota 'CPUS' exceeded.  Limit: 8.0"}
    assert node()["msg"] == "machine web-1: QUOTA_EXCEEDED: Quota 'CPUS' exceeded. Limit: 8.0"
    gce.add_instance("ship", ZONE, "web-2")
    gce.fail("web-2$", 404, error(404, "no /instances/web-2 yet", "notFound").body)
    assert node(name="web-2", size="e2-medium")["machine"]["running"], "somebody else was faster"
    assert node(project="gone")["msg"].startswith("machine web-1: there is no such thing")
    for name in ("size", "image"):
        assert node(check=True, **{name: None})["msg"] == f"{name}: is needed to make machine web-1"
    assert node(zone=None)["msg"] == "zone: is needed for provider gce"
    gce.fail("instances$", 503, None, times=1)
    assert node()["changed"], "a write that failed for a moment is tried again"
    assert len(gce.things) == 2


def test_what_is_there_is_listed(gce: Gce, task: Task) -> None:
    for name, zone in (("b", ZONE), ("a", "us-east1-b")):
        gce.add_instance("ship", zone, name, labels={"cluster": "ship"})
    base = {"api_url": gce.url + "/compute/v1", "access_token": "token-1", "project": "ship"}
    found = task("cloud_node_info", **base, filters=["labels.cluster = ship"])
    assert [one["instance_name"] for one in found["machines"]] == ["a", "b"]
    assert [one["zone"] for one in task("cloud_node_info", **base, zones=[ZONE])["machines"]] == [ZONE]
    assert task("cloud_node_info", **base, name="c")["machines"] == []


def test_rules_and_routes(gce: Gce, task: Task) -> None:
    gce.projects["ship"] = ""
    base = {"api_url": gce.url + "/compute/v1", "access_token": "token-1", "project": "ship"}

    def resource(check: bool = False, **options: Any) -> dict[str, Any]:
        return task("gce_resource", check, **base | options)

    rule: dict[str, Any] = {"kind": "firewalls", "name": "inside"}
    fields = {
        "network": "global/networks/default",
        "sourceRanges": ["10.0.0.0/8", "10.244.0.0/16"],
        "allowed": [{"IPProtocol": "tcp", "ports": ["22", "6443"]}],
    }
    assert resource(True, **rule, definition=fields)["changed"] and not gce.things
    assert resource(**rule, definition=fields)["changed"]
    key = "projects/ship/global/firewalls/inside"
    gce.things[key]["network"] = (
        f"https://compute.googleapis.com/compute/v1/projects/ship/{fields['network']}"
    )
    gce.things[key]["sourceRanges"].reverse()
    assert not resource(**rule, definition=fields)["changed"]
    assert resource(**rule, definition={"priority": 900})["changed"]
    assert gce.things[key]["priority"] == 900
    assert [one for one in asked(gce) if not one.endswith("wait")] == ["projects/ship/global/firewalls", key]
    route: dict[str, Any] = {
        "kind": "routes",
        "name": "pods-1",
        "definition": {"destRange": "10.244.1.0/24", "network": "n", "priority": 1000},
    }
    made = resource(**route)
    assert made.get("changed"), made
    route["definition"]["destRange"] = "10.244.2.0/24"
    assert resource(**route)["changed"], "a route that cannot be changed is replaced"
    assert gce.things["projects/ship/global/routes/pods-1"]["destRange"] == "10.244.2.0/24"
    for thing in (rule, {"kind": "routes", "name": "pods-1"}):
        assert resource(**thing, state="absent")["changed"]
        assert not resource(**thing, state="absent")["changed"]


def test_ec2_by_libcloud(moto: str, task: Task) -> None:
    base = {"provider": "ec2", "url": moto, "region": "us-east-1", "key": "AKIASHIP", "secret": "of-the-test"}
    wanted = {
        "size": "t3.micro",
        "image": "ami-03cf127a",
        "labels": {"role": "web"},
        "startup_script": "#!/bin/sh\n",
    }

    def node(check: bool = False, **options: Any) -> dict[str, Any]:
        return task("cloud_node", check, **base | {"name": "web-1"} | options)

    assert node(True, **wanted)["changed"]
    made = node(**wanted, zone="us-east-1b")
    machine = made["machine"]
    assert made["changed"] and machine["running"] and machine["public_ip"]
    assert (machine["zone"], machine["size"], machine["labels"]["role"]) == ("us-east-1b", "t3.micro", "web")
    assert not node(**wanted)["changed"]
    changed = node(**wanted | {"labels": {"role": None, "tier": "1"}})
    assert changed.get("changed"), changed
    assert "role" not in changed["machine"]["labels"]
    assert changed["machine"]["labels"]["tier"] == "1"
    found = task("cloud_node_info", **base, name="web-1")["machines"]
    assert [one["instance_id"] for one in found] == [machine["instance_id"]]
    for name, options in {
        "size": {**wanted, "name": "new", "size": "huge"},
        "image": {**wanted, "name": "new", "image": "ami-none"},
        "zone": {**wanted, "name": "new", "zone": "moon"},
        "network": {**wanted, "name": "new", "network": "x"},
        "ssh_keys": {**wanted, "name": "new", "ssh_keys": ["sailor"]},
        "tags": {**wanted, "name": "new", "tags": ["x"]},
        "definition.ex_spoon": {**wanted, "name": "new", "definition": {"ex_spoon": 1}},
        "region": {**wanted, "region": "moon"},
        "arguments.key": {**wanted, "arguments": {"key": "x"}},
        "provider": {"provider": "moonbase"},
        "url": {"url": moto + "/path"},
    }.items():
        assert node(**options)["msg"].startswith(name + ": "), (name, node(**options))
    assert node(state="absent")["changed"]
    assert not node(state="absent")["changed"]


def test_modules_keep_secrets(
    gce: Gce, moto: str, environment: dict[str, str], private_key: str, tmp_path: Path
) -> None:
    gce.projects["ship"] = ""
    google = {
        "name": "web-1", "zone": ZONE, "size": "e2-small", "image": "debian-cloud/debian-12",
        "api_url": gce.url + "/compute/v1", "service_account_contents": gce.service_account(private_key),
    }  # fmt: skip
    amazon = {
        "provider": "ec2", "url": moto, "region": "us-east-1", "key": "AKIASHIP", "secret": "whispered",
        "arguments": {"token": "murmured"}, "name": "web-9", "state": "absent",
    }  # fmt: skip
    tasks = [
        {"name": "Google", "navarch.cluster.cloud_node": google, "register": "made"},
        {"name": "Failing", "navarch.cluster.cloud_node": google | {"zone": None}, "ignore_errors": True},
        {"name": "Amazon", "navarch.cluster.cloud_node": amazon},
        {"name": "Show", "ansible.builtin.debug": {"var": "made.machine.instance_name"}},
    ]
    book = tmp_path / "book.yml"
    python = "{{ ansible_playbook_python }}"
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}
    book.write_text(json.dumps([play | {"vars": {"ansible_python_interpreter": python}}]))
    done = subprocess.run(
        [tool("ansible-playbook"), "-i", "localhost,", "-vvv", "--diff", str(book)],
        env=environment, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-3000:]
    assert '"made.machine.instance_name": "web-1"' in said
    assert "zone: is needed for provider gce" in said
    for secret in (private_key.splitlines()[3], "whispered", "murmured", "token-10"):
        assert secret not in said
