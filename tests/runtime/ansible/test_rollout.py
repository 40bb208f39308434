# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods of replication controllers whose template changed: told of, and replaced one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

Result = dict[str, Any]
Direct = Callable[..., Result]
Call = Callable[..., Any]
PODS = "/api/v1/namespaces/default/pods"


def template(image: str, **more: Any) -> dict[str, Any]:
    containers = [{"name": "c", "image": image, "env": [{"name": "A", "value": "1"}]}]
    return {"labels": {"app": "roll"}, "containers": containers, "termination_grace_period": 0, **more}


def controller(image: str, **more: Any) -> dict[str, Any]:
    return {"name": "roll", "replicas": 3, "template": template(image), "wait_timeout": 30, **more}


@pytest.fixture
def rolling(direct: Direct) -> Iterator[Direct]:
    """``direct`` for a replication controller of three pods that run busybox:1."""
    made = direct("replication_controller", **controller("busybox:1", wait=True, min_ready_seconds=0))
    assert made["changed"], made
    yield direct
    direct("replication_controller", name="roll", state="absent", wait=True)


def pods(call: Call) -> dict[str, str]:
    """Image by name."""
    items = call("GET", PODS + "?labelSelector=app%3Droll")["items"]
    living = [item for item in items if not item["metadata"].get("deletionTimestamp")]
    return {item["metadata"]["name"]: item["spec"]["containers"][0]["image"] for item in living}


def test_pods_of_an_older_template_are_told_of(rolling: Direct, call: Call) -> None:
    before = pods(call)
    results = [
        rolling("replication_controller", **controller("busybox:2", wait=True)),
        rolling("replication_controller", **controller("busybox:2", wait=True)),
        rolling("replication_controller", **controller("busybox:2")),
        rolling("replication_controller", **controller("busybox:3")),
    ]
    assert [result["changed"] for result in results] == [True, False, False, True]
    for told in (results[0], results[1], results[3]):
        (warning,) = told["warnings"]
        assert "3 of its pods run an older template" in warning
        assert "spec.containers[c].image" in warning
        assert "update: one_by_one" in warning
    assert "warnings" not in results[2]
    assert pods(call) == before


def test_one_by_one_replaces_them(rolling: Direct, call: Call) -> None:
    task = controller("busybox:2", update="one_by_one", min_ready_seconds=0)
    before = pods(call)
    foreseen = rolling("replication_controller", True, **task)
    assert pods(call) == before
    done = rolling("replication_controller", **task)
    after = pods(call)
    again = rolling("replication_controller", **task)
    assert [foreseen["changed"], done["changed"], again["changed"]] == [True, True, False]
    assert foreseen["diff"] == done["diff"]
    assert foreseen["replaced"] == done["replaced"] == sorted(before)
    assert again["replaced"] == []
    assert list(after.values()) == ["busybox:2"] * 3
    assert not set(before) & set(after)
    assert pods(call) == after
    assert done["replication_controller"]["status"]["readyReplicas"] == 3
    assert all("warnings" not in result for result in (foreseen, done, again))


def test_what_an_earlier_task_left_is_replaced_and_nothing_else(rolling: Direct, call: Call) -> None:
    rolling("replication_controller", **controller("busybox:2"))
    first = sorted(pods(call))[0]
    call("DELETE", f"{PODS}/{first}")
    rolling("replication_controller", **controller("busybox:2", wait=True))
    before = pods(call)
    call("PATCH", f"{PODS}/{sorted(before)[0]}", {"metadata": {"labels": {"own": "label"}}})
    result = rolling("replication_controller", **controller("busybox:2", update="one_by_one"))
    assert result["replaced"] == sorted(name for name, image in before.items() if image == "busybox:1")
    assert len(result["replaced"]) == 2
    kept = set(pods(call)) & set(before)
    assert [before[name] for name in kept] == ["busybox:2"]


def test_what_a_template_has_no_more_is_a_difference(rolling: Direct, call: Call) -> None:
    ask = {"name": "roll", "update": "one_by_one", "min_ready_seconds": 0}
    mounted = template("busybox:1", node_selector={"kubernetes.io/os": "linux"})
    assert len(rolling("replication_controller", **ask, template=mounted)["replaced"]) == 3
    less = {"spec": {"template": {"spec": {"nodeSelector": None}}}}
    call("PATCH", "/api/v1/namespaces/default/replicationcontrollers/roll", less)
    result = rolling("replication_controller", **ask)
    assert len(result["replaced"]) == 3
    assert set(result["diff"][1]["before"]) == set(result["replaced"])
    assert not rolling("replication_controller", **ask)["changed"]


def test_a_new_pod_that_does_not_get_ready_ends_it(rolling: Direct, call: Call) -> None:
    before = pods(call)
    ask = controller("busybox:2", update="one_by_one", wait_timeout=3)
    ask["template"]["node_selector"] = {"no": "node"}
    result = rolling("replication_controller", **ask)
    assert result["failed"]
    assert result["changed"]
    assert result["msg"].startswith("wait_timeout: replication controller roll: what replaces pod roll-"), (
        result["msg"]
    )
    assert "Unschedulable" in result["msg"]
    assert result["msg"].endswith("2 of 3 pods with an older template are left")
    assert len(set(pods(call)) & set(before)) == 2


def test_manifests_tell_of_them(rolling: Direct) -> None:
    definition = {
        "apiVersion": "v1",
        "kind": "ReplicationController",
        "metadata": {"name": "roll"},
        "spec": {
            "template": {
                "metadata": {"labels": {"app": "roll"}},
                "spec": {"containers": [{"name": "c", "image": "busybox:4"}]},
            }
        },
    }
    for wait in (False, True):
        result = rolling("manifest", definition=definition, wait=wait, wait_timeout=30)
        (warning,) = result["warnings"]
        assert "ReplicationController roll: 3 of its pods run an older template" in warning
    assert "warnings" not in rolling("manifest", definition=definition)
