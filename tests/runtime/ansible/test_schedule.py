# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans: where pods would go on the cluster as it is, or with other nodes, and why not elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_support import wait_for_nodes

Result = dict[str, Any]
Direct = Callable[..., Result]
NAMES = ["sim-0", "sim-1", "sim-2"]
TEMPLATE = {
    "containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "20"}}}],
}


def places(result: Result) -> list[str]:
    assert not result.get("failed"), result["msg"]
    assert not result["changed"]
    return [placement["nodeName"] for placement in result["placements"]]


def test_plans_with_other_nodes(direct: Direct) -> None:
    def planned(replicas: int = 1, **options: Any) -> Result:
        return direct("schedule", state="planned", template=TEMPLATE, replicas=replicas, **options)

    assert sorted(places(planned(4))) == ["", *NAMES]
    assert sorted(places(planned(5, add_nodes=[{"name": "new", "like": "sim-0", "count": 2}]))) == [
        "new-1",
        "new-2",
        *NAMES,
    ]
    assert sorted(places(planned(2, remove_nodes=["sim-0"], cordon_nodes=["sim-1"]))) == ["", "sim-2"]
    tainted = {"name": "big", "capacity": {"cpu": 64, "memory": "1Ti"}}
    tainted["taints"] = [{"key": "a", "effect": "NoSchedule"}]
    verdicts = planned(1, add_nodes=[tainted], cordon_nodes=NAMES)["placements"][0]
    reasons = {node["name"]: node["reasons"] for node in verdicts["nodes"]}
    assert reasons == {
        "big": ["node(s) had untolerated taint {a: }"],
        **{name: ["node(s) were unschedulable"] for name in NAMES},
    }
    assert verdicts["message"].startswith("0/4 nodes are available")
    assert places(planned(1)) != [""]


def test_a_cordoned_node_can_be_reckoned_with(direct: Direct, kubeconfig: str) -> None:
    for name in NAMES:
        direct("node", name=name, schedulable=False)
    none = direct("schedule", state="planned", template=TEMPLATE)
    one = direct("schedule", state="planned", template=TEMPLATE, uncordon_nodes=["sim-1"])
    for name in NAMES:
        direct("node", name=name, schedulable=True)
    wait_for_nodes(kubeconfig, len(NAMES))  # for the tests after this one
    assert [places(none), places(one)] == [[""], ["sim-1"]]


def test_pods_that_exist(direct: Direct) -> None:
    containers = [{"name": "c", "image": "i"}]
    for name in ("one", "two"):
        direct("pod", name=name, containers=containers, scheduler_name="nobody")
    both = direct("schedule", state="planned", pods=["one", "two"], remove_nodes=["sim-0", "sim-2"])
    missing = direct("schedule", state="planned", pods=["one", "three"])
    for name in ("one", "two"):
        direct("pod", name=name, state="absent", delete_grace_period=0)
    assert places(both) == ["sim-1", "sim-1"]
    assert missing["msg"] == "pods: there is no pod three in namespace default"


def test_plans_of_nothing_and_of_the_same_node_twice(direct: Direct) -> None:
    assert places(direct("schedule", state="planned", pods=[])) == []
    twice = {"remove_nodes": ["sim-0", "sim-0"], "cordon_nodes": ["sim-1", "sim-1"]}
    result = direct("schedule", state="planned", template=TEMPLATE, **twice)
    assert places(result) == ["sim-2"]
    assert [("score" in node, "reasons" in node) for node in result["placements"][0]["nodes"]] == [
        (node["feasible"], not node["feasible"]) for node in result["placements"][0]["nodes"]
    ]
    both = {"cordon_nodes": ["sim-1"], "uncordon_nodes": ["sim-1"]}
    said = direct("schedule", state="planned", template=TEMPLATE, **both)["msg"]
    assert said == "uncordon_nodes: sim-1 comes in cordon_nodes too"
    assert direct("schedule", state="planned", pods=[""])["msg"] == "pods[0]: must not be empty"


def test_wrong_nodes(direct: Direct) -> None:
    for options, said in (
        ({"cordon_nodes": ["x"]}, "cordon_nodes: there is no node x"),
        ({"remove_nodes": ["x"]}, "remove_nodes: there is no node x"),
        ({"add_nodes": [{"name": "x", "like": "none"}]}, "add_nodes[0].like: there is no node none"),
        ({"add_nodes": [{"name": "x"}]}, "add_nodes[0]: a new node needs capacity"),
        ({"add_nodes": [{"name": "x", "capacity": {"cpu": "much"}}]}, "add_nodes[0].capacity.cpu: 'much'"),
        (
            {"add_nodes": [{"name": "sim-0", "like": "sim-0"}]},
            "add_nodes: a new node needs a name of its own",
        ),
    ):
        result = direct("schedule", state="planned", template=TEMPLATE, **options)
        assert result["failed"]
        assert result["msg"].startswith(said)


def test_replicas_are_spread_as_a_controllers_pods_are(direct: Direct) -> None:
    template = {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "1"}}}]}
    bigger = [{"name": "big", "capacity": {"cpu": 640, "memory": "64Ti"}}]
    options = {"state": "planned", "template": template, "add_nodes": bigger, "remove_nodes": ["sim-2"]}
    assert sorted(places(direct("schedule", replicas=3, **options))) == ["big", "sim-0", "sim-1"]


def test_what_a_template_asks_of_other_pods(direct: Direct) -> None:
    rule = {"label_selector": {"match_labels": {"app": "planned"}}, "topology_key": "kubernetes.io/hostname"}
    template = {
        "labels": {"app": "planned"},
        "containers": [{"name": "c", "image": "i"}],
        "affinity": {"pod_anti": {"required": [rule]}},
    }
    result = direct("schedule", state="planned", template=template, replicas=4)
    assert sorted(places(result)) == ["", *NAMES]
    assert result["placements"][-1]["message"] == (
        "0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules."
    )


def test_what_is_asked_of_other_pods_is_changed_and_taken_away(direct: Direct) -> None:
    def web(**more: Any) -> Result:
        template = {"labels": {"app": "web"}, "containers": [{"name": "c", "image": "i"}], **more}
        result = direct(
            "replication_controller", name="web", replicas=0, selector={"app": "web"}, template=template
        )
        assert not result.get("failed"), result["msg"]
        return result

    def constraint(when: str, skew: int = 1) -> dict[str, Any]:
        selector = {"match_labels": {"app": "web"}}
        spread = {"topology_key": "zone", "when_unsatisfiable": when, "label_selector": selector}
        return {"max_skew": skew, **spread}

    def sent(result: Result) -> list[tuple[int, str]]:
        spec = result["replication_controller"]["spec"]["template"]["spec"]
        return [(one["maxSkew"], one["whenUnsatisfiable"]) for one in spec["topologySpreadConstraints"]]

    hard, soft = constraint("DoNotSchedule"), constraint("ScheduleAnyway", 3)
    rule = {"topology_key": "kubernetes.io/hostname", "label_selector": {"match_labels": {"app": "web"}}}
    asked = {"topology_spread_constraints": [hard, soft], "affinity": {"pod_anti": {"required": [rule]}}}
    try:
        assert web(**asked)["changed"]
        assert not web(**asked)["changed"]
        fewer = web(topology_spread_constraints=[constraint("ScheduleAnyway", 5)])
        assert fewer["changed"]
        assert sent(fewer) == [(5, "ScheduleAnyway")]
        assert not web(topology_spread_constraints=[constraint("ScheduleAnyway", 5)])["changed"]
    finally:
        direct("replication_controller", name="web", state="absent")
