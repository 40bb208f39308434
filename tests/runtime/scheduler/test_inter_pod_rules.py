# SPDX-License-Identifier: GPL-3.0-or-later
"""Where pods may go and where best, given the pods that are there: affinity, anti-affinity, spreading."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scheduler_support import cluster, node, pod

from navarch.scheduler.equivalence_class import EquivalenceClass
from navarch.scheduler.evaluator import Evaluator
from navarch.scheduler.snapshot import Snapshot

HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def host(name: str, zone: str | None = None, **kw: Any) -> Any:
    labels = {HOST: name} | ({ZONE: zone} if zone else {}) | kw.pop("labels", {})
    return node(name, labels=labels, **kw)


def term(app: str, key: str = HOST, **kw: Any) -> dict[str, Any]:
    return {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": key, **kw}


def near(*terms: dict[str, Any]) -> dict[str, Any]:
    return {"podAffinity": {REQUIRED: list(terms)}}


def apart(*terms: dict[str, Any]) -> dict[str, Any]:
    return {"podAntiAffinity": {REQUIRED: list(terms)}}


def liked(kind: str, weight: int, wanted: dict[str, Any]) -> dict[str, Any]:
    return {kind: {PREFERRED: [{"weight": weight, "podAffinityTerm": wanted}]}}


def spread(app: str, key: str = ZONE, when: str = "DoNotSchedule", **kw: Any) -> dict[str, Any]:
    selector = {"labelSelector": {"matchLabels": {"app": app}}}
    return {"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": when, **selector, **kw}


def allowed(snapshot: Snapshot, eclass: EquivalenceClass) -> set[str]:
    rates = Evaluator(snapshot).rates(eclass)
    return {snapshot.names[row] for row in range(snapshot.rows) if rates[row] >= 0}


def best(snapshot: Snapshot, eclass: EquivalenceClass) -> str:
    row = Evaluator(snapshot).pick(eclass)
    assert row is not None
    return snapshot.names[row]


def test_pods_that_want_a_node_each_get_one_and_the_next_is_told_why_not() -> None:
    _, evaluator = cluster(host("a"), host("b"), host("c"))
    eclass = pod(labels={"app": "db"}, affinity=apart(term("db")))
    assert sorted(evaluator.place(eclass, 5)) == [0, 1, 2]
    assert evaluator.explain(eclass) == (
        "0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules."
    )


def test_anti_affinity_of_a_pod_that_sits_keeps_others_away() -> None:
    snapshot, evaluator = cluster(host("a"), host("b"))
    plain = pod(labels={"app": "web"})
    assert evaluator.rates(plain).min() >= 0
    guard = pod(labels={"app": "db"}, affinity=apart(term("web")))
    row = snapshot.take("a", guard)
    assert evaluator.pick(plain) == 1
    assert evaluator.refusals(plain) == {0: ["node(s) didn't satisfy existing pods anti-affinity rules"]}
    assert allowed(snapshot, pod(labels={"app": "other"})) == {"a", "b"}
    snapshot.give_back(row, guard)
    assert evaluator.refusals(plain) == {}
    assert evaluator.rates(plain).min() >= 0


def test_anti_affinity_reaches_over_the_whole_place() -> None:
    snapshot, _ = cluster(host("a", "x"), host("b", "x"), host("c", "y"), host("d"))
    snapshot.take("a", pod(labels={"app": "db"}))
    assert allowed(snapshot, pod(affinity=apart(term("db", ZONE)))) == {"c", "d"}


def test_affinity_follows_and_waits() -> None:
    snapshot, evaluator = cluster(host("a", "x"), host("b", "x"), host("c", "y"), host("d"))
    eclass = pod(labels={"app": "web"}, affinity=near(term("db", ZONE)))
    assert evaluator.pick(eclass) is None
    assert evaluator.explain(eclass) == "0/4 nodes are available: 4 node(s) didn't match pod affinity rules."
    assert eclass.awaits_pods
    snapshot.take("a", pod(labels={"app": "db"}))
    assert allowed(snapshot, eclass) == {"a", "b"}
    assert evaluator.pick(eclass) in (0, 1)


def test_the_first_of_a_group_may_go_anywhere_that_is_a_place() -> None:
    snapshot, evaluator = cluster(host("a", "x"), host("b", "y"), host("c"))
    eclass = pod(labels={"app": "db"}, affinity=near(term("db", ZONE)))
    assert allowed(snapshot, eclass) == {"a", "b"}
    rows = evaluator.place(eclass, 3)
    assert len(rows) == 3
    assert len(set(rows)) == 1


def test_one_pod_must_meet_all_terms_of_an_affinity() -> None:
    snapshot, _ = cluster(host("a", "x"), host("b", "x"))
    both = near(term("db", ZONE), {**term("db", ZONE), "labelSelector": {"matchLabels": {"tier": "one"}}})
    snapshot.take("a", pod(labels={"app": "db"}))
    snapshot.take("b", pod(labels={"tier": "one"}))
    assert allowed(snapshot, pod(affinity=both)) == set()
    snapshot.take("b", pod(labels={"app": "db", "tier": "one"}))
    assert allowed(snapshot, pod(affinity=both)) == {"a", "b"}


def test_namespaces_of_a_term() -> None:
    snapshot, _ = cluster(host("a"), host("b"))
    snapshot.take("a", pod(labels={"app": "db"}, namespace="data"))

    def where(**kw: Any) -> set[str]:
        return allowed(snapshot, pod(affinity=near(term("db", **kw))))

    assert where() == set()
    assert where(namespaces=["data"]) == {"a"}
    assert where(namespaceSelector={}) == {"a"}
    by_label = {"namespaceSelector": {"matchLabels": {"team": "red"}}}
    assert where(**by_label) == set()
    assert snapshot.pod_counts.set_namespaces({"data": {"team": "red"}})
    assert where(**by_label) == {"a"}
    assert not snapshot.pod_counts.set_namespaces({"data": {"team": "red"}, "plain": None})


def test_a_namespace_that_gets_a_label_changes_what_was_remembered() -> None:
    snapshot, evaluator = cluster(host("a"), host("b"))
    snapshot.take("a", pod(labels={"app": "db"}, namespace="data"))
    eclass = pod(affinity=apart(term("db", namespaceSelector={"matchLabels": {"team": "red"}})))
    assert evaluator.rates(eclass).min() >= 0
    snapshot.pod_counts.set_namespaces({"data": {"team": "red"}})
    assert evaluator.refusals(eclass).keys() == {0}
    assert evaluator.rates(eclass)[0] < 0


def test_labels_of_the_pod_itself_narrow_a_term() -> None:
    snapshot, _ = cluster(host("a"), host("b"))
    snapshot.take("a", pod(labels={"app": "db", "release": "1"}))
    other = pod(labels={"app": "db", "release": "2"}, affinity=apart(term("db", matchLabelKeys=["release"])))
    assert allowed(snapshot, other) == {"a", "b"}
    same = pod(labels={"app": "db", "release": "1"}, affinity=apart(term("db", matchLabelKeys=["release"])))
    assert allowed(snapshot, same) == {"b"}
    else_ = pod(labels={"app": "x", "release": "2"}, affinity=near(term("db", mismatchLabelKeys=["release"])))
    assert allowed(snapshot, else_) == {"a"}


def test_a_term_without_selector_means_nobody() -> None:
    snapshot, _ = cluster(host("a"))
    snapshot.take("a", pod(labels={"app": "db"}))
    assert allowed(snapshot, pod(affinity=apart({"topologyKey": HOST}))) == {"a"}
    assert allowed(snapshot, pod(affinity=apart({"topologyKey": HOST, "labelSelector": {}}))) == set()


@pytest.mark.parametrize(("kind", "expected"), [("podAffinity", "small"), ("podAntiAffinity", "big")])
def test_preferred_terms_only_prefer(kind: str, expected: str) -> None:
    snapshot, _ = cluster(host("big", cpu="40"), host("small", cpu="4"))
    wishing = pod(labels={"app": "web"}, affinity=liked(kind, 10, term("db")))
    snapshot.take("small", pod(labels={"app": "db"}, cpu="1"))
    assert best(snapshot, wishing) == expected
    assert allowed(snapshot, wishing) == {"big", "small"}


@pytest.mark.parametrize(("kind", "expected"), [("podAffinity", "b"), ("podAntiAffinity", "a")])
def test_pods_that_sit_have_preferences_too(kind: str, expected: str) -> None:
    snapshot, evaluator = cluster(host("a"), host("b"))
    plain = pod(labels={"app": "web"})
    assert evaluator.pick(plain) == 0
    snapshot.take("a", pod(cpu="100m"))
    snapshot.take("b", pod(cpu="200m", affinity=liked(kind, 10, term("web"))))
    row = evaluator.pick(plain)
    assert row is not None
    assert snapshot.names[row] == expected


def test_required_affinity_of_a_pod_that_sits_draws_others_a_little() -> None:
    snapshot, _ = cluster(host("a"), host("b"))
    snapshot.take("b", pod(labels={"app": "web"}))
    snapshot.take("b", pod(affinity=near(term("web"))))
    snapshot.take("a", pod())
    snapshot.take("a", pod())
    assert best(snapshot, pod(labels={"app": "web"})) == "b"


def test_spread_holds_the_skew_between_places() -> None:
    snapshot, evaluator = cluster(host("a", "x"), host("b", "x"), host("c", "y"), host("d"))
    eclass = pod(labels={"app": "web"}, topologySpreadConstraints=[spread("web")])
    snapshot.take("c", pod(cpu="3"))
    rows = evaluator.place(eclass, 6)
    zones = Counter("y" if snapshot.names[row] == "c" else "x" for row in rows)
    assert zones == {"x": 3, "y": 3}
    snapshot.take("a", eclass)
    assert evaluator.refusals(eclass) == {
        0: ["node(s) didn't match pod topology spread constraints"],
        1: ["node(s) didn't match pod topology spread constraints"],
        3: ["node(s) didn't match pod topology spread constraints (missing required label)"],
    }


def test_spread_counts_no_pods_that_are_being_deleted() -> None:
    snapshot, evaluator = cluster(host("a", "x"), host("b", "y"))
    eclass = pod(labels={"app": "web"}, topologySpreadConstraints=[spread("web")])
    row = snapshot.take("a", eclass)
    assert evaluator.refusals(eclass).keys() == {0}
    snapshot.leave(row, eclass)
    assert evaluator.refusals(eclass) == {}
    assert evaluator.rates(eclass).min() >= 0
    snapshot.give_back(row, eclass, leaving=True)
    assert evaluator.refusals(eclass) == {}


def test_spread_over_at_least_so_many_places() -> None:
    snapshot, _ = cluster(host("a", "x"), host("b", "y"))
    eclass = pod(labels={"app": "web"}, topologySpreadConstraints=[spread("web", minDomains=3)])
    snapshot.take("a", eclass)
    assert allowed(snapshot, eclass) == {"b"}
    snapshot.take("b", eclass)
    assert allowed(snapshot, eclass) == set()
    snapshot.set_node(host("c", "z"))
    assert allowed(snapshot, eclass) == {"c"}


def test_spread_looks_at_nodes_that_the_pod_may_use() -> None:
    taint = {"key": "k", "effect": "NoSchedule"}
    ssd, tainted = host("a", "x", labels={"disk": "ssd"}), host("c", "z", taints=[taint])
    snapshot, _ = cluster(ssd, host("b", "y"), tainted)
    snapshot.take("a", pod(labels={"app": "web"}))

    def where(**kw: Any) -> set[str]:
        kept = {key: kw.pop(key) for key in ("nodeSelector",) if key in kw}
        wanted = [spread("web", **kw)]
        return allowed(snapshot, pod(labels={"app": "web"}, topologySpreadConstraints=wanted, **kept))

    assert where(nodeSelector={"disk": "ssd"}) == {"a"}
    assert where(nodeSelector={"disk": "ssd"}, nodeAffinityPolicy="Ignore") == set()
    snapshot.take("b", pod(labels={"app": "web"}))
    assert where() == set()  # the empty place is one that the pod cannot use
    assert where(nodeTaintsPolicy="Honor") == {"a", "b"}


def test_soft_spread_prefers_the_emptier_place_and_refuses_none() -> None:
    snapshot, _ = cluster(host("a", "x", cpu="64", memory="64Gi"), host("b", "y"), host("c"))
    wanted = [spread("web", when="ScheduleAnyway")]
    eclass = pod(labels={"app": "web"}, topologySpreadConstraints=wanted)
    snapshot.take("a", eclass)
    assert allowed(snapshot, eclass) == {"a", "b", "c"}
    assert best(snapshot, eclass) == "b"


def test_pods_of_a_controller_are_spread_over_nodes_without_being_asked() -> None:
    _, evaluator = cluster(host("big", cpu="64", memory="256Gi"), host("b"), host("c"))
    assert sorted(evaluator.place(pod(labels={"app": "web"}, owner="rc-1"), 3)) == [0, 1, 2]
    alone = pod(labels={"app": "web"})
    assert evaluator.place(alone, 3) == [0, 0, 0]


def test_pods_of_a_controller_are_spread_over_zones_too() -> None:
    snapshot, evaluator = cluster(*(host(f"x{number}", "x") for number in range(4)), host("y", "y"))
    rows = evaluator.place(pod(labels={"app": "web"}, owner="rc-1"), 2)
    assert "y" in [snapshot.names[row] for row in rows]
    rows = evaluator.place(pod(labels={"app": "web"}, owner="rc-2"), 6)
    names = [snapshot.names[row] for row in rows]
    assert set(names) == {"x0", "x1", "x2", "x3", "y"}
    assert names.count("y") == 2  # the zone counts as well as the node


def test_unlabelled_nodes_are_used_where_nobody_asked_for_zones() -> None:
    _, evaluator = cluster(host("x", "x"), host("none"))
    assert sorted(evaluator.place(pod(labels={"app": "web"}, owner="rc-1"), 2)) == [0, 1]


def test_a_copy_counts_for_itself() -> None:
    snapshot, _ = cluster(host("a"), host("b"))
    eclass = pod(labels={"app": "db"}, affinity=apart(term("db")))
    snapshot.take("a", eclass)
    what_if = snapshot.copy()
    what_if.take("b", eclass)
    assert allowed(what_if, eclass) == set()
    assert allowed(snapshot, eclass) == {"b"}


# Against the rules written down plainly, pod by pod.


class Sitting(NamedTuple):
    node: str
    app: str
    kind: str
    leaving: bool = False


NODES = {"a": "x", "b": "x", "c": "y", "d": None}
APPS = ("web", "db")
#: What pods ask, by name: (affinity, constraints), with app as the one they ask about.
KINDS = ("plain", "near-host", "near-zone", "apart-host", "apart-zone", "spread-host", "spread-zone", "wish")


def shaped(app: str, kind: str) -> EquivalenceClass:
    about = APPS[1 - APPS.index(app)] if kind == "near-host" else app
    key = HOST if kind.endswith("host") else ZONE
    more: dict[str, Any] = {}
    if kind.startswith("near"):
        more["affinity"] = near(term(about, key))
    elif kind.startswith("apart"):
        more["affinity"] = apart(term(about, key))
    elif kind.startswith("spread"):
        more["topologySpreadConstraints"] = [spread(about, key)]
    elif kind == "wish":
        more["affinity"] = liked("podAntiAffinity", 5, term(about, key))
    return pod(labels={"app": app}, cpu="1m", **more)


def place_of(name: str, key: str) -> str | None:
    return name if key == HOST else NODES[name]


def plainly(app: str, kind: str, sitting: list[Sitting]) -> set[str]:
    key = HOST if kind.endswith("host") else ZONE
    fine = set()
    for name in NODES:
        here = place_of(name, key)
        about = APPS[1 - APPS.index(app)] if kind == "near-host" else app
        met = [s for s in sitting if s.app == about]
        met_here = [s for s in met if here is not None and place_of(s.node, key) == here]
        ok = True
        if kind.startswith("near"):
            first = not any(place_of(s.node, key) for s in met) and about == app
            ok = here is not None and (bool(met_here) or first)
        elif kind.startswith("apart"):
            ok = not met_here
        elif kind.startswith("spread"):
            staying = [s for s in met if not s.leaving]
            held = Counter({place: 0 for node in NODES if (place := place_of(node, key)) is not None})
            held.update(place for s in staying if (place := place_of(s.node, key)) is not None)
            ok = here is not None and held[here] + 1 - min(held.values()) <= 1
        for s in sitting:
            theirs = HOST if s.kind.endswith("host") else ZONE
            if s.kind.startswith("apart") and s.app == app:
                there = place_of(s.node, theirs)
                ok = ok and (there is None or there != place_of(name, theirs))
        if ok:
            fine.add(name)
    return fine


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(("take", "leave", "give back")),
        st.sampled_from(sorted(NODES)),
        st.sampled_from(APPS),
        st.sampled_from(KINDS),
        st.integers(0, 50),
    ),
    max_size=30,
)


@settings(max_examples=80, deadline=None)
@given(_STEPS)
def test_remembered_fresh_and_plain_answers_are_the_same(steps: list[tuple[str, str, str, str, int]]) -> None:
    snapshot, evaluator = cluster(*(host(name, zone) for name, zone in NODES.items()))
    eclasses = {(app, kind): shaped(app, kind) for app in APPS for kind in KINDS}
    sitting: list[Sitting] = []
    for step, name, app, kind, which in steps:
        if step == "take":
            sitting.append(Sitting(name, app, kind))
            snapshot.take(name, eclasses[app, kind])
        elif sitting:
            one = sitting.pop(which % len(sitting))
            row, eclass = snapshot.index[one.node], eclasses[one.app, one.kind]
            if step == "leave":
                sitting.append(one._replace(leaving=True))
                if not one.leaving:
                    snapshot.leave(row, eclass)
            else:
                snapshot.give_back(row, eclass, leaving=one.leaving)
        for (app, kind), eclass in eclasses.items():
            rates = evaluator.rates(eclass)
            assert rates.tolist() == pytest.approx(Evaluator(snapshot.copy()).rates(eclass).tolist())
            fine = {snapshot.names[row] for row in range(snapshot.rows) if rates[row] >= 0}
            assert fine == plainly(app, kind, sitting), (app, kind, sitting)
            refused = {snapshot.names[row] for row in evaluator.refusals(eclass)}
            assert refused == set(NODES) - fine
