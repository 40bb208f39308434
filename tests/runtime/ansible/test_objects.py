# SPDX-License-Identifier: GPL-3.0-or-later
"""Config maps, secrets, services, namespaces and nodes as a playbook manages them."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

from ansible_support import request, wait_for_nodes

Options = dict[str, Any]
Result = dict[str, Any]
Play = Callable[..., list[Result]]


def task(module: str, options: Options, **keywords: Any) -> Options:
    return {f"navarch.cluster.{module}": options, **keywords}


def changes(results: list[Result]) -> list[bool]:
    assert [r.get("msg") for r in results if r.get("failed")] == []
    return [r["changed"] for r in results]


def life(run: Play, module: str, first: Options, second: Options) -> tuple[Result, Result]:
    """The first object and the second, which is a change of it; each step foreseen, done, and done again."""
    key = {"name": first["name"], **({"namespace": first["namespace"]} if "namespace" in first else {})}
    gone = {**key, "state": "absent", "wait": True, "wait_timeout": 20}
    steps = [first, first, first, second, second, second, gone, gone, gone]
    results = run(
        *(
            task(module, options, diff=True, check_mode=number in (0, 3, 6))
            for number, options in enumerate(steps)
        )
    )
    assert changes(results) == [True, True, False, True, True, False, True, True, False]
    assert results[3]["diff"] == results[4]["diff"]
    assert results[6]["diff"] == results[7]["diff"]
    assert results[7][module] is None
    return results[1][module], results[4][module]


def test_a_config_map(run: Play) -> None:
    first = {"name": "web", "data": {"a": 1, "yes": True, "text": "é\n"}, "labels": {"x": "y"}}
    made, changed = life(
        run, "config_map", first, {"name": "web", "data": {"a": "1"}, "binary_data": {"b": "AAE="}}
    )
    assert made["data"] == {"a": "1", "yes": "true", "text": "é\n"}
    assert changed["data"] == {"a": "1"}
    assert changed["binaryData"] == {"b": "AAE="}
    assert changed["metadata"]["labels"] == {"x": "y"}


def test_what_is_immutable_is_replaced_only_when_asked(run: Play) -> None:
    def fixed(value: str, **more: Any) -> Options:
        return task("config_map", {"name": "fixed", "immutable": True, "data": {"a": value}, **more})

    made, again, refused, replaced, _gone = run(
        fixed("1"), fixed("1"), fixed("2"), fixed("2", recreate=True), fixed("2", state="absent")
    )
    assert [made["changed"], again["changed"], replaced["changed"]] == [True, False, True]
    assert "these options cannot be changed on it: data (recreate: true replaces it)" in refused["msg"]
    assert replaced["config_map"]["data"] == {"a": "2"}


def test_a_secret_is_never_shown(run: Play) -> None:
    first = {"name": "door", "string_data": {"key": "open-sesame"}, "data": {"more": "aGlkZGVuIHRvbw=="}}
    second = {"name": "door", "string_data": {"key": "other-word"}}
    made, changed = life(run, "secret", first, second)
    assert made["data"] == {"key": "hidden", "more": "hidden"}
    assert changed["data"] == {"key": "hidden"}
    results = run(
        task("secret", first, diff=True),
        task("secret", second, diff=True),
        task("secret", second | {"type": "example.org/other"}),
        task("secret", first | {"environment_is": "unknown"}, environment={"A": "b"}),
        task("secret", first | {"string_data": {"more": "x"}}),
        task("secret", {"name": "door", "state": "absent"}),
    )
    assert "type (recreate: true" in results[2]["msg"]
    assert "string_data: more comes in data too" in results[4]["msg"]
    shown = json.dumps(results)
    for secret in ("open-sesame", "other-word", "b3Blbi1zZXNhbWU", "aGlkZGVuIHRvbw"):
        assert secret not in shown


def test_a_service(run: Play) -> None:
    first = {
        "name": "web",
        "selector": {"app": "web", "tier": "front"},
        "ports": [
            {"name": "http", "port": 80, "target_port": 8080},
            {"name": "x", "port": 81, "target_port": "x"},
        ],
    }
    second = {
        "name": "web",
        "selector": {"app": "other"},
        "ports": [{"name": "x", "port": 81, "protocol": "UDP"}],
    }
    made, changed = life(run, "service", first, second)
    assert [port["targetPort"] for port in made["spec"]["ports"]] == [8080, "x"]
    assert changed["spec"]["selector"] == {"app": "other"}
    assert [port["protocol"] for port in changed["spec"]["ports"]] == ["UDP"]
    assert changed["spec"]["clusterIP"] == made["spec"]["clusterIP"]


def test_a_service_waits_for_pods(run: Play) -> None:
    service = {"name": "waits", "selector": {"app": "waits"}, "ports": [{"port": 80}], "wait": True}
    pod = {
        "name": "waits",
        "labels": {"app": "waits"},
        "termination_grace_period": 0,
        "containers": [{"name": "c", "image": "i"}],
    }
    early, _pod, served, fixed, *_gone = run(
        task("service", service | {"wait_timeout": 1}),
        task("pod", pod),
        task("service", service | {"wait_timeout": 20}),
        task("service", service | {"cluster_ip": "10.96.0.200"}),
        task("service", {"name": "waits", "state": "absent"}),
        task("pod", {"name": "waits", "state": "absent"}),
    )
    assert re.match(
        r"wait_timeout: Service waits is not served after \d+ s: its selector finds", early["msg"]
    )
    assert early["changed"]
    assert not served["changed"]
    assert fixed["msg"].startswith("cluster_ip: service waits has the address")


def test_a_namespace(run: Play) -> None:
    made, changed = life(run, "namespace", {"name": "team"}, {"name": "team", "labels": {"a": "b"}})
    assert made["status"]["phase"] == "Active"
    assert changed["metadata"]["labels"]["a"] == "b"


def test_a_node(run: Play, kubeconfig: str) -> None:
    (looked,) = run(task("node_info", {}))
    name = looked["nodes"][0]["metadata"]["name"]
    taints = [
        {"key": "db", "effect": "NoSchedule"},
        {"key": "gpu", "value": "1", "effect": "PreferNoSchedule"},
    ]
    steps: list[Options] = [
        {"labels": {"disk": "fast", "n": 1}, "taints": taints, "schedulable": False},
        {"labels": {"disk": None}, "taints": taints[1:], "schedulable": True},
        {"labels": {"n": None}, "taints": []},
    ]
    tasks = [
        task("node", {"name": name, **options}, check_mode=check, diff=True)
        for options in steps
        for check in (True, False, False)
    ]
    results = run(
        *tasks, task("node", {"name": "no-such"}), task("node", {"name": "no-such", "state": "absent"})
    )
    assert changes(results[:9]) == [True, True, False] * 3
    assert results[9]["msg"].startswith("name: there is no node no-such")
    assert results[10]["changed"]  # none of that name is accepted from now on
    first, second, last = (results[n]["node"] for n in (1, 4, 7))
    assert first["metadata"]["labels"]["disk"] == "fast"
    assert first["spec"]["unschedulable"] is True
    own = [taint["key"] for taint in first["spec"]["taints"] if "/" not in taint["key"]]
    assert own == ["db", "gpu"]
    assert "disk" not in second["metadata"]["labels"]
    assert second["metadata"]["labels"]["n"] == "1"
    assert [t["key"] for t in second["spec"]["taints"] if "/" not in t["key"]] == ["gpu"]
    assert not second["spec"].get("unschedulable")
    assert not [t for t in last["spec"].get("taints") or () if "/" not in t["key"]]
    wait_for_nodes(kubeconfig, 3)  # the cluster takes its own taint away when it has seen the change


def test_what_pods_keep_in_empty_dirs_is_lost_only_when_asked(direct: Callable[..., Result]) -> None:
    template = {
        "labels": {"app": "keeps"},
        "containers": [{"name": "c", "image": "i"}],
        "termination_grace_period": 0,
        "node_name": "sim-2",
        "volumes": [{"name": "data", "empty_dir": {}}],
    }
    controller = {"name": "keeps", "replicas": 1, "template": template, "wait": True}
    try:
        made = direct("replication_controller", **controller)
        assert not made.get("failed"), made["msg"]
        refused = direct("node", name="sim-2", state="drained")
        assert refused["failed"]
        assert refused["msg"].startswith(
            "delete_empty_dir_data: these pods of node sim-2 have emptyDir volumes, whose data goes with "
            "them: default/keeps-"
        )
        assert not direct("node_info", name="sim-2")["nodes"][0]["spec"].get("unschedulable")
        done = direct("node", name="sim-2", state="drained", delete_empty_dir_data=True)
        assert len(done["evicted"]) == 1
    finally:
        direct("replication_controller", name="keeps", state="absent", wait=True)
        direct("node", name="sim-2", schedulable=True)


def test_a_node_is_thrown_out(run: Play, kubeconfig: str) -> None:
    """Also in check mode, which changes nothing, and once more when it has come back."""
    gone = task("node", {"name": "leaver", "state": "absent"}, diff=True)
    tried = task("node", {"name": "leaver", "state": "absent"}, check_mode=True, diff=True)

    def come() -> None:
        request(kubeconfig, "POST", "/api/v1/nodes", {"metadata": {"name": "leaver"}})

    come()
    results = run(tried, gone, gone, tried)
    assert changes(results) == [True, True, False, False]
    for result in results[:2]:
        node, revocation = result["diff"]
        assert (node["after"], revocation["before"]) == ({}, {})
        assert revocation["after"]["spec"]["issuedBefore"]
    first = results[1]["revocation"]["spec"]["issuedBefore"]
    assert results[2]["revocation"]["spec"]["issuedBefore"] == first
    time.sleep(1.1)  # times are whole seconds
    come()
    results = run(tried, gone, gone)
    assert changes(results) == [True, True, False]
    assert results[1]["revocation"]["spec"]["issuedBefore"] > first
    # Its Node was deleted by somebody else, but its kubelet lives.
    lease = {"metadata": {"name": "leaver"}, "spec": {"renewTime": "2099-01-01T00:00:00.000000Z"}}
    leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
    request(kubeconfig, "POST", leases, lease)
    time.sleep(1.1)
    results = run(tried, gone)
    assert changes(results) == [True, True]
    assert set(results[1]["diff"]) == {"before", "after", "before_header", "after_header"}
    request(kubeconfig, "DELETE", f"{leases}/leaver")


def test_draining_a_node(run: Play) -> None:
    (looked,) = run(task("node_info", {}))
    name = looked["nodes"][1]["metadata"]["name"]
    here = {"node_selector": {"kubernetes.io/hostname": name}, "termination_grace_period": 0}
    containers = [{"name": "c", "image": "i"}]
    alone = {"name": "alone", "containers": containers, "wait": True, "wait_timeout": 20, **here}
    template = {"labels": {"app": "drain"}, "containers": containers, "termination_grace_period": 0}
    drained = {"name": name, "state": "drained", "wait": True, "wait_timeout": 20}
    results = run(
        task("pod", alone),
        task("replication_controller", {"name": "d", "replicas": 6, "template": template, "wait": True}),
        task("node", drained),
        task("node", drained | {"force": True}, check_mode=True),
        task("node", drained | {"force": True}),
        task("pod_info", {"field_selectors": [f"spec.nodeName={name}"]}),
        task("node", drained),
        task("node", {"name": name, "schedulable": True}),
        task("replication_controller", {"name": "d", "state": "absent", "wait": True}),
    )
    assert results[2]["msg"].startswith(
        f"force: no controller would make these pods of node {name} anew: default/alone"
    )
    foreseen, done, left, again = results[3:7]
    assert foreseen["evicted"] == done["evicted"]
    assert "default/alone" in done["evicted"]
    assert done["node"]["spec"]["unschedulable"] is True
    assert left["pods"] == []
    assert changes([done, again]) == [True, False]
    assert again["evicted"] == []


def test_the_cluster(run: Play) -> None:
    (result,) = run(task("cluster_info", {}))
    assert result["version"]["major"] == "1"
    assert result["server"].startswith("https://127.0.0.1:")
    assert "v1" in result["api_versions"]
    assert result["nodes"] == {"total": 3, "ready": 3, "schedulable": 3}
