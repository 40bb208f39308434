# SPDX-License-Identifier: GPL-3.0-or-later
"""Where pods may go and where best, on snapshots made by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scheduler_support import cluster, node, pod

from navarch.scheduler.equivalence_class import EquivalenceClass
from navarch.scheduler.evaluator import Evaluator


def test_a_pod_goes_where_its_requests_fit() -> None:
    snapshot, evaluator = cluster(node("small", cpu="1"), node("big", cpu="8"))
    assert snapshot.names[evaluator.pick(pod(cpu="2"))] == "big"
    assert evaluator.pick(pod(cpu="9")) is None
    assert evaluator.explain(pod(cpu="9")) == "0/2 nodes are available: 2 Insufficient cpu."


def test_requests_of_placed_pods_count_until_they_are_gone() -> None:
    snapshot, evaluator = cluster(node("a", cpu="1"))
    eclass = pod(cpu="600m")
    row = snapshot.take("a", eclass)
    assert evaluator.pick(eclass) is None
    snapshot.give_back(row, eclass)
    assert evaluator.pick(eclass) == row


@pytest.mark.parametrize("asked", [{"cpu": "1E"}, {"memory": "9E"}, {"overhead": {"cpu": "8E"}}])
def test_a_pod_that_asks_for_more_than_numbers_hold_fits_nowhere(asked: dict[str, Any]) -> None:
    _, evaluator = cluster(node("a"), node("b", cpu="7"))
    assert evaluator.pick(pod(**asked)) is None
    assert evaluator.pick(pod(cpu="1")) is not None


def test_what_containers_ask_for_together_may_be_more_than_numbers_hold() -> None:
    hungry = {"name": "c", "resources": {"requests": {"memory": "5E"}}}
    _, evaluator = cluster(node("a"))
    assert evaluator.pick(pod(containers=[hungry, hungry])) is None
    assert evaluator.explain(pod(containers=[hungry, hungry])) == (
        "0/1 nodes are available: 1 Insufficient memory."
    )


def test_a_node_may_offer_more_than_numbers_hold() -> None:
    _, evaluator = cluster(node("a", cpu="9E", memory="9E"))
    assert evaluator.pick(pod(cpu="1k", memory="1P")) == 0


def test_a_full_resource_does_not_refuse_pods_that_ask_for_none_of_it() -> None:
    snapshot, evaluator = cluster(node("a", memory="1Gi"))
    snapshot.take("a", pod(memory="1Gi"))
    assert evaluator.pick(pod(cpu="1")) == 0
    assert evaluator.pick(pod(memory="1")) is None


def test_pod_slots_run_out() -> None:
    snapshot, evaluator = cluster(node("a", pods="1"))
    snapshot.take("a", pod())
    assert evaluator.pick(pod()) is None
    assert evaluator.explain(pod()) == "0/1 nodes are available: 1 Too many pods."


def test_resources_that_only_some_nodes_offer() -> None:
    snapshot, evaluator = cluster(node("plain"), node("gpu", extra={"gpu": "2"}))
    assert snapshot.names[evaluator.pick(pod(gpu="1"))] == "gpu"
    snapshot.take("gpu", pod(gpu="2"))
    assert evaluator.explain(pod(gpu="1")) == "0/2 nodes are available: 2 Insufficient gpu."


def test_taints_keep_pods_away_unless_tolerated() -> None:
    taint = {"key": "dedicated", "value": "db", "effect": "NoSchedule"}
    _, evaluator = cluster(node("a", taints=[taint]))
    assert evaluator.pick(pod()) is None
    assert "1 node(s) had untolerated taint {dedicated: db}" in evaluator.explain(pod())
    equal = {"key": "dedicated", "operator": "Equal", "value": "db", "effect": "NoSchedule"}
    assert evaluator.pick(pod(tolerations=[equal])) == 0
    assert evaluator.pick(pod(tolerations=[{**equal, "value": "web"}])) is None
    assert evaluator.pick(pod(tolerations=[{"operator": "Exists"}])) == 0


def test_prefer_no_schedule_only_prefers() -> None:
    taint = {"key": "k", "effect": "PreferNoSchedule"}
    snapshot, evaluator = cluster(node("a", taints=[taint]), node("b"))
    assert snapshot.names[evaluator.pick(pod())] == "b"
    snapshot.remove_node("b")
    assert snapshot.names[evaluator.pick(pod())] == "a"


def test_cordoned_nodes_are_left_out_and_come_back() -> None:
    snapshot, evaluator = cluster(node("a", unschedulable=True))
    assert evaluator.explain(pod()) == "0/1 nodes are available: 1 node(s) were unschedulable."
    snapshot.set_node(node("a"))
    assert evaluator.pick(pod()) == 0


def test_node_selector_and_required_affinity() -> None:
    snapshot, evaluator = cluster(
        node("a", labels={"zone": "x", "cores": "8"}), node("b", labels={"zone": "y"})
    )
    assert snapshot.names[evaluator.pick(pod(nodeSelector={"zone": "y"}))] == "b"
    assert evaluator.pick(pod(nodeSelector={"zone": "z"})) is None

    def affinity(**expression: Any) -> dict[str, Any]:
        terms = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
        return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}

    assert (
        snapshot.names[evaluator.pick(pod(affinity=affinity(key="cores", operator="Gt", values=["4"])))]
        == "a"
    )
    assert snapshot.names[evaluator.pick(pod(affinity=affinity(key="cores", operator="DoesNotExist")))] == "b"
    not_in = affinity(key="zone", operator="NotIn", values=["x", "y"])
    assert evaluator.explain(pod(affinity=not_in)) == (
        "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."
    )


def test_preferred_affinity_only_prefers() -> None:
    snapshot, evaluator = cluster(node("a", labels={"disk": "hdd"}), node("b", labels={"disk": "ssd"}))
    ssd = {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}
    wishes = [{"weight": 10, "preference": ssd}]
    eclass = pod(affinity={"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": wishes}})
    assert snapshot.names[evaluator.pick(eclass)] == "b"
    snapshot.remove_node("b")
    assert snapshot.names[evaluator.pick(eclass)] == "a"


def test_host_ports_conflict_by_protocol_and_address() -> None:
    snapshot, evaluator = cluster(node("a"))
    snapshot.take("a", pod(ports=[{"hostPort": 80, "hostIP": "10.0.0.1"}]))
    taken = pod(ports=[{"hostPort": 80}])
    assert evaluator.pick(taken) is None
    assert evaluator.explain(taken) == (
        "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."
    )
    assert evaluator.pick(pod(ports=[{"hostPort": 80, "hostIP": "10.0.0.2"}])) == 0
    assert evaluator.pick(pod(ports=[{"hostPort": 80, "protocol": "UDP"}])) == 0


def test_init_containers_raise_the_request_to_their_peak() -> None:
    def wants(cpu: str, **kw: Any) -> dict[str, Any]:
        return {"name": "i", "resources": {"requests": {"cpu": cpu}}, **kw}

    assert pod(cpu="1", initContainers=[wants("3")]).requests["cpu"] == 3000
    assert pod(cpu="2", initContainers=[wants("1")]).requests["cpu"] == 2000
    sidecar = wants("1", restartPolicy="Always")
    assert pod(cpu="2", initContainers=[sidecar, wants("3")]).requests["cpu"] == 4000


def test_pods_spread_over_equal_nodes() -> None:
    snapshot, evaluator = cluster(*(node(f"n{number}") for number in range(4)))
    assert sorted(evaluator.place(pod(cpu="100m"), 8)) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert snapshot.used[:4, 2].tolist() == [2, 2, 2, 2]


def test_an_empty_big_node_takes_many_before_a_nearly_full_one_takes_any() -> None:
    snapshot, evaluator = cluster(
        node("big", cpu="100", memory="100Gi"), node("small", cpu="1", memory="1Gi")
    )
    snapshot.take("small", pod(cpu="500m", memory="500Mi"))
    rows = evaluator.place(pod(cpu="100m", memory="100Mi"), 10)
    assert rows == [0] * 10


def test_no_nodes_says_so() -> None:
    _, evaluator = cluster()
    assert evaluator.pick(pod()) is None
    assert evaluator.explain(pod()) == "no nodes available to schedule pods"


def test_a_copy_changes_nothing_of_the_original() -> None:
    snapshot, evaluator = cluster(node("a", cpu="1"))
    what_if = snapshot.copy()
    what_if.take("a", pod(cpu="1"))
    assert Evaluator(what_if).pick(pod(cpu="1")) is None
    assert evaluator.pick(pod(cpu="1")) == 0


def test_refusals_name_the_first_filter_that_refuses() -> None:
    _, evaluator = cluster(node("a", unschedulable=True, cpu="1"))
    assert evaluator.refusals(pod(cpu="2")) == {0: ["node(s) were unschedulable"]}
    assert evaluator.refusals(pod(cpu="2", nodeSelector={"x": "y"})) == {0: ["node(s) were unschedulable"]}


_CPU = st.sampled_from(["0", "100m", "250m", "1", "3"])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(_CPU, st.integers(0, 3), st.booleans()), max_size=60),
    st.integers(1, 5),
)
def test_remembered_ratings_equal_fresh_ones(steps: list[tuple[str, int, bool]], nodes: int) -> None:
    """Whatever was placed and taken back, rating row by row gives what rating everything anew gives."""
    snapshot, evaluator = cluster(*(node(f"n{number}", cpu=str(number + 2)) for number in range(nodes)))
    eclasses = {cpu: pod(cpu=cpu) for cpu in ("0", "100m", "250m", "1", "3")}
    placed: list[tuple[int, EquivalenceClass]] = []
    for cpu, pick, take in steps:
        if take:
            placed += [(row, eclasses[cpu]) for row in evaluator.place(eclasses[cpu], pick)]
        elif placed:
            snapshot.give_back(*placed.pop(pick % len(placed)))
        for eclass in eclasses.values():
            assert evaluator.rates(eclass).tolist() == pytest.approx(
                Evaluator(snapshot).rates(eclass).tolist()
            )
    assert (snapshot.used[: snapshot.rows, 0] <= snapshot.allocatable[: snapshot.rows, 0]).all()
