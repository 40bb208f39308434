# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that describe a pod, at a real master: what may be left out, mappings in place of lists, typos."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Play = Callable[..., list[dict[str, Any]]]
Direct = Callable[..., dict[str, Any]]
AS_MODULE = {"environment": {"NAVARCH_TEST": "1"}}
LISTS = {
    "containers": [
        {
            "name": "c",
            "image": "i",
            "env": [{"name": "A", "value": "b"}, {"name": "ON", "value": "true"}],
            "ports": [{"name": "http", "container_port": 8080}],
            "volume_mounts": [{"name": "pages", "mount_path": "/www"}],
        }
    ],
    "volumes": [{"name": "pages", "empty_dir": {}}],
}
MAPPINGS = {
    "containers": [
        {
            "name": "c",
            "image": "i",
            "env": {"A": "b", "ON": True},
            "ports": {"http": 8080},
            "volume_mounts": {"pages": "/www"},
        }
    ],
    "volumes": {"pages": {"empty_dir": {}}},
}


def pod(**options: Any) -> dict[str, Any]:
    return {"navarch.cluster.pod": options}


def test_mappings_are_lists_here_and_in_a_module(play: Play) -> None:
    template = {"labels": {"app": "mapped"}, **MAPPINGS}
    made, again, as_module, described, back = play(
        pod(name="mapped", **MAPPINGS),
        pod(name="mapped", **LISTS),
        {**pod(name="mapped", **MAPPINGS), **AS_MODULE},
        {"navarch.cluster.replication_controller": {"name": "mapped", "replicas": 0, "template": template}},
        {"navarch.cluster.service": {"name": "mapped", "selector": {"a": "b"}, "ports": {"http": 80}}},
    )
    assert [one["changed"] for one in (made, again, as_module)] == [True, False, False], as_module
    (container,) = made["pod"]["spec"]["containers"]
    assert container["env"] == [{"name": "A", "value": "b"}, {"name": "ON", "value": "true"}]
    (same,) = described["replication_controller"]["spec"]["template"]["spec"]["containers"]
    assert same["env"] == container["env"]
    assert back["service"]["spec"]["ports"][0]["name"] == "http"


def test_a_typo_is_named_before_what_is_missing(play: Play) -> None:
    here, there = play(pod(contaners=[]), {**pod(contaners=[]), **AS_MODULE})
    start = "Unsupported parameters for (navarch.cluster.pod) module: contaners (did you mean containers?)"
    assert here["msg"].startswith(start)
    assert there["msg"] == here["msg"]


def test_an_existing_pod_is_changed_without_its_containers(direct: Direct) -> None:
    missing = direct("pod", name="known", labels={"a": "b"})
    assert missing["msg"] == "containers: a new pod needs them, or definition; there is no such pod yet"
    assert direct("pod", check=True, name="known", labels={"a": "b"})["msg"] == missing["msg"]
    made = direct("pod", name="known", **LISTS)["pod"]
    labelled = direct("pod", name="known", labels={"a": "b"})
    assert labelled["changed"], labelled
    assert labelled["pod"]["metadata"]["labels"]["a"] == "b"
    assert labelled["pod"]["metadata"]["uid"] == made["metadata"]["uid"]
    assert not direct("pod", name="known", labels={"a": "b"})["changed"]
    refused = direct("pod", name="known", hostname="other", recreate=True)
    assert refused["msg"].startswith("recreate: needs containers or definition")
    fixed = direct("pod", name="known", hostname="other")
    assert "cannot be changed on it: hostname" in fixed["msg"]
    assert direct("pod_info", name="known")["pods"][0]["metadata"]["uid"] == made["metadata"]["uid"]


def test_check_mode_schedules_a_pod_that_an_earlier_task_would_make(direct: Direct) -> None:
    node = direct("node_info")["nodes"][0]["metadata"]["name"]
    bound = direct("schedule", check=True, pod="later", node=node)
    assert bound["changed"], bound
    assert bound["pod"]["spec"]["nodeName"] == node
    assert bound["warnings"] == ["pod later does not exist yet, so the cluster could not check this"]
    assert (
        direct("schedule", check=True, pod="later", node="no-such")["msg"] == "node: there is no node no-such"
    )
    assert direct("schedule", pod="later", node=node)["msg"].startswith("pod: there is no pod later")
    direct("pod", name="waits", containers=[{"name": "c", "image": "i"}], scheduler_name="mine")
    plan = direct("schedule", check=True, state="planned", pods=["later", "waits"])
    later, waits = plan["placements"]
    assert (later["pod"], later["nodeName"]) == ("later", "")
    assert "does not exist yet" in later["message"]
    assert (waits["pod"], bool(waits["nodeName"])) == ("waits", True)
    assert "failed" in direct("schedule", state="planned", pods=["later", "waits"])
