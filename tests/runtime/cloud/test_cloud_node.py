# SPDX-License-Identifier: GPL-3.0-or-later
"""cloud_node, cloud_node_info and gce_resource against the emulated Google and moto's EC2."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_support import tool
from gce_emulator import Gce, error
from libcloud.compute.providers import get_driver
from libcloud.compute.types import Provider

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


@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize(
    ("status", "then", "action"),
    [
        ("STOPPING", "TERMINATED", "start"),
        ("SUSPENDED", None, "resume"),
        ("PENDING_STOP", "SUSPENDED", "resume"),
    ],
)
def test_a_machine_that_stops_is_started_then(
    gce: Gce, node: Task, status: str, then: str | None, action: str, wait: bool
) -> None:
    machine = gce.add_instance("ship", ZONE, "web-1", status=status)
    predicted = node(check=True, size=None)
    assert predicted["changed"] and machine["status"] == status
    looks = sum(one.startswith("GET") and "/instances/web-1" in one for one in gce.asked)

    def stop() -> None:  # when the task has seen that it still stops, and looks again
        while sum(one.startswith("GET") and "/instances/web-1" in one for one in gce.asked) < looks + 2:
            time.sleep(0.02)
        machine.update(status=then)

    if then:
        threading.Thread(target=stop, daemon=True).start()
    done = node(size=None, wait=wait)
    assert done["changed"] and done["machine"]["running"]
    assert done["diff"] == predicted["diff"]
    assert f"projects/ship/zones/{ZONE}/instances/web-1/{action}" in asked(gce)


def test_a_machine_that_does_not_stop_or_goes_for_good(gce: Gce, node: Task) -> None:
    machine = gce.add_instance("ship", ZONE, "web-1", status="STOPPING")
    said = node(size=None, wait_timeout=0)["msg"]
    assert said == (
        "wait_timeout: machine web-1 was still STOPPING after 0 s, and starts only when it has stopped"
    )
    assert "keeps it" in node(size="e2-large")["msg"], "what is wrong is told before anything is waited for"
    timer = threading.Timer(0.5, gce.things.clear)  # a machine that is being deleted is STOPPING too
    timer.start()
    made = node(size="e2-medium")
    timer.join()
    assert made["changed"] and made["machine"]["instance_id"] != machine["id"]


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


def test_empty_names_are_refused(gce: Gce, moto: str, task: Task) -> None:
    """The machine without a name at a cloud must not be what a template that came to nothing means."""
    gce.projects["ship"] = ""
    google = {"api_url": gce.url + "/compute/v1", "access_token": "token-1", "project": "ship"}
    amazon = {"provider": "ec2", "url": moto, "region": "us-east-1", "key": "AKIASHIP", "secret": "empty"}
    machine = {"size": "t3.micro", "image": "ami-03cf127a"}
    before = len(task("cloud_node_info", **amazon)["machines"])
    for module, options, wrong in (
        ("cloud_node", amazon | machine | {"name": ""}, "name"),
        ("cloud_node", amazon | {"name": "", "state": "absent"}, "name"),
        ("cloud_node", google | {"name": " ", "zone": ZONE, "state": "absent"}, "name"),
        ("cloud_node", {"name": "web-1", "provider": ""}, "provider"),
        ("cloud_node_info", google | {"name": ""}, "name"),
        ("cloud_node_info", google | {"zones": [ZONE, ""]}, "zones"),
        ("gce_resource", google | {"kind": "routes", "name": "", "state": "absent"}, "name"),
        ("gce_resource", google | {"kind": "", "name": "r1"}, "kind"),
        ("gce_resource", google | {"kind": "routes", "name": "r1", "region": ""}, "region"),
    ):
        assert task(module, **options)["msg"] == f"{wrong}: must not be empty"
    assert len(task("cloud_node_info", **amazon)["machines"]) == before
    assert not gce.asked


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


ROUTE = "projects/ship/global/routes/r1"


@pytest.fixture
def route(gce: Gce, task: Task) -> Task:
    """route(definition): one task of gce_resource about route r1, which is there."""
    gce.projects["ship"] = ""
    network = "https://compute.googleapis.com/compute/v1/projects/ship/global/networks/default"
    gce.things[ROUTE] = {
        "kind": "compute#route", "id": "7", "name": "r1", "creationTimestamp": "2026-01-02T03:04:05Z",
        "network": network, "destRange": "10.244.1.0/24", "priority": 900, "nextHopIp": "10.128.0.2",
        "tags": ["navarch"], "description": "of pods", "routeType": "STATIC", "routeStatus": "ACTIVE",
    }  # fmt: skip
    base = {"api_url": gce.url + "/compute/v1", "access_token": "token-1", "project": "ship"}

    def run(definition: dict[str, Any], check: bool = False) -> dict[str, Any]:
        return task("gce_resource", check, **base, kind="routes", name="r1", definition=definition)

    return run


def test_what_is_replaced_keeps_its_other_fields(gce: Gce, route: Task) -> None:
    before = dict(gce.things[ROUTE])
    predicted = route({"priority": 500}, check=True)["resource"]
    assert route({"priority": 500})["changed"]
    after = gce.things[ROUTE]
    told = ("name", "network", "destRange", "priority", "nextHopIp", "tags", "description")
    assert {key: after[key] for key in told} == {key: (before | {"priority": 500})[key] for key in told}
    assert {key: predicted[key] for key in told} == {key: after[key] for key in told}
    assert "routeStatus" not in after and after["id"] != before["id"], "what the API fills in is not told it"
    assert not route({"priority": 500})["changed"]
    assert route({"nextHopInstance": "zones/us-central1-a/instances/web-1"})["changed"]
    assert "nextHopIp" not in gce.things[ROUTE], "a route has one next hop"


def test_what_cannot_be_made_anew_stays(gce: Gce, route: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(gce.things[ROUTE])
    assert "answered 400" in route({"priority": "high"})["msg"]
    assert gce.things[ROUTE] == before and gce.wrong
    assert not [one for one in gce.asked if one.startswith("DELETE")]
    gce.wrong.clear()
    insert, answers = gce._insert, ["taken", "fails", "works"]

    def failing(path: str, project: str, body: Any) -> Any:
        if answers.pop(0) == "fails":
            return error(400, "Quota 'ROUTES' exceeded.", "quotaExceeded")
        return insert(path, project, body)

    monkeypatch.setattr(gce, "_insert", failing)
    said = route({"priority": 500})["msg"]
    assert said.endswith("Quota 'ROUTES' exceeded.; what was there is put back")
    own = ("id", "creationTimestamp", "selfLink", "routeStatus")
    assert {key: value for key, value in gce.things[ROUTE].items() if key not in own} == {
        key: value for key, value in before.items() if key not in own
    }
    before, answers = dict(gce.things[ROUTE]), ["taken", "fails", "fails"]
    lost = route({"priority": 500})
    assert "what was there is deleted and could not be put back (resource is what it was): " in lost["msg"]
    assert lost["resource"] == before
    gce.things[ROUTE], answers = dict(before), ["taken"]
    monkeypatch.setattr(
        gce, "_begun", lambda *_: error(400, "It is in use.", "resourceInUseByAnotherResource")
    )
    kept = route({"priority": 500})
    assert kept["msg"].endswith("It is in use.") and kept["resource"] == before == gce.things[ROUTE]


def test_what_is_replaced_keeps_its_name(gce: Gce, route: Task) -> None:
    route({"priority": 500, "name": "r2"})
    assert list(gce.things) == [ROUTE], "the name of the task is its name, whatever the definition says"


def test_an_address_that_is_replaced(gce: Gce, task: Task) -> None:
    gce.projects["ship"] = ""
    base = {"api_url": gce.url + "/compute/v1", "access_token": "token-1", "project": "ship"}
    for kind, keeps in (("INTERNAL", True), ("EXTERNAL", False)):
        key = f"projects/ship/regions/us-central1/addresses/{kind.lower()}"
        gce.things[key] = {
            "name": kind.lower(), "address": "10.128.0.9", "addressType": kind, "status": "RESERVED",
            "region": "us-central1", "networkTier": "PREMIUM",
        }  # fmt: skip
        wanted = {"description": "of the master"}
        done = task(
            "gce_resource",
            **base,
            kind="addresses",
            name=kind.lower(),
            region="us-central1",
            definition=wanted,
        )
        assert done["changed"]
        made = gce.things[key]
        assert (made["description"], made["networkTier"]) == ("of the master", "PREMIUM")
        assert ("address" in made) is keeps, "one of the internet that was given back is not to be had again"


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
    driver = get_driver(Provider.EC2)(
        "AKIASHIP", "of-the-test", False, "127.0.0.1", int(moto.rpartition(":")[2]),
        region="us-east-1", signature_version="4",
    )  # fmt: skip
    driver.ex_stop_node(next(one for one in driver.list_nodes() if one.id == machine["instance_id"]))
    assert node(True, **wanted)["changed"]
    started = node(**wanted)
    assert started["changed"] and started["machine"]["running"], "libcloud says of this one only: unknown"
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
    }.items():
        assert node(**options)["msg"].startswith(name + ": "), (name, node(**options))
        assert node(True, **options)["msg"] == node(**options)["msg"], "check mode fails the same way"
    for url in (moto + "/path", "https://h:abc", "https://h:99999", "https://h:0", "http://[::1", "h:1"):
        assert node(url=url)["msg"] == "url: must be like https://cloud.example.org:8774, without a path"
    for name in ("size", "image"):
        said = node(True, **wanted | {"name": "new", name: None})["msg"]
        assert said == f"{name}: is needed to make machine new"
    keyed = wanted | {
        "name": "keyed",
        "ssh_keys": [
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJfSbfYhNjNx1gBQ9qr5xlEQ0aG2mBz6dXT3fAIsq4XO sailor"
        ],
    }
    keys = len(driver.list_key_pairs())
    assert node(True, **keyed)["changed"] and len(driver.list_key_pairs()) == keys, "check mode makes no key"
    assert node(**keyed)["changed"] and len(driver.list_key_pairs()) == keys + 1
    assert node(state="absent", name="keyed")["changed"]
    assert node(state="absent")["changed"]
    assert not node(state="absent")["changed"]


def test_what_a_cloud_does_not_tell_of_its_machines(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    """libcloud's own example of a driver has machines without size and zone."""
    machine = {"provider": "dummy", "arguments": {"creds": 0}, "name": "dummy-1"}
    for check in (True, False):
        done = task("cloud_node", check, **machine, size="XXL", zone="z1")
        assert done.get("changed") is False, done
        assert done["diff"]["before"] == done["diff"]["after"]
    driver = get_driver(Provider.DUMMY)
    listed = driver.list_nodes

    def with_ids(self: Any) -> Any:
        nodes = listed(self)
        for node in nodes:
            node.extra = {"flavorId": "2"}
        return nodes

    monkeypatch.setattr(driver, "list_nodes", with_ids)
    for size in ("2", "Medium"):
        assert task("cloud_node", **machine, size=size)["changed"] is False
    for size in ("3", "Big", "none"):
        said = task("cloud_node", **machine, size=size)["msg"]
        assert said == f"size: machine dummy-1 has 2, not {size}, and keeps it: delete it first"


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
