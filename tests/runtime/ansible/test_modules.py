# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules as a playbook uses them: what they change, what they say they change, and how they fail."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import yaml

Options = dict[str, Any]
Result = dict[str, Any]
Play = Callable[..., list[Result]]
NOBODY = "not-a-scheduler"  # pods for it stay pending


def web(**more: Any) -> Options:
    return {
        "name": "web",
        "labels": {"app": "web", "count": 1},
        "containers": [
            {
                "name": "web",
                "image": "busybox:1",
                "command": ["httpd", "-f"],
                "env": [{"name": "IP", "value_from": {"field": "status.podIP"}}, {"name": "A", "value": "1"}],
                "ports": [{"container_port": 8080}],
                "resources": {"requests": {"cpu": 0.1, "memory": "1024Ki"}, "limits": {"memory": "0.5Gi"}},
                "volume_mounts": [{"name": "data", "mount_path": "/data"}],
                "readiness_probe": {"http_get": {"port": 8080}},
            }
        ],
        "volumes": [
            {"name": "data", "empty_dir": {}},
            {"name": "key", "secret": {"name": "s", "default_mode": "0400", "optional": True}},
        ],
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "node_selector": {"kubernetes.io/os": "linux"},
        **more,
    }


def small(name: str, **more: Any) -> Options:
    return {"name": name, "containers": [{"name": "c", "image": "busybox:1"}], **more}


def pod(options: Options, **keywords: Any) -> Options:
    return {"navarch.cluster.pod": options, **keywords}


def controller(options: Options, **keywords: Any) -> Options:
    return {"navarch.cluster.replication_controller": options, **keywords}


def changes(results: list[Result]) -> list[bool]:
    assert [r.get("msg") for r in results if r.get("failed")] == []
    return [r["changed"] for r in results]


def message(result: Result) -> str:
    assert result.get("failed"), result
    said = str(result["msg"])
    assert "\n" not in said
    return said


def test_a_pod_from_creation_to_deletion(play: Play) -> None:
    gone = {"name": "web", "state": "absent", "wait": True, "wait_timeout": 20}
    results = play(
        pod(web(), check_mode=True, diff=True),
        pod(web(wait=True, wait_timeout=20), diff=True),
        pod(web(wait=True, wait_timeout=20)),
        pod(web(labels={"count": 2}), check_mode=True, diff=True),
        pod(web(labels={"count": 2}), diff=True),
        pod(web(labels={"count": 2})),
        pod({"name": "web", "state": "absent"}, check_mode=True, diff=True),
        {"navarch.cluster.pod_info": {"name": "web"}},
        pod(gone, diff=True),
        pod(gone),
        {"navarch.cluster.pod_info": {"name": "web"}},
    )
    assert changes(results) == [True, True, False, True, True, False, True, False, True, False, False]
    foreseen, created, again, label_foreseen, labelled = results[:5]
    gone_foreseen, info, deleted, none = (results[n] for n in (6, 7, 8, 10))
    assert foreseen["diff"] == created["diff"]
    assert created["diff"]["before"] == {}
    assert created["pod"]["status"]["phase"] == "Running"
    assert again["pod"]["metadata"]["uid"] == created["pod"]["metadata"]["uid"]
    assert label_foreseen["diff"] == labelled["diff"]
    assert labelled["pod"]["metadata"]["labels"] == {"app": "web", "count": "2"}
    assert gone_foreseen["diff"] == deleted["diff"]
    assert [p["metadata"]["name"] for p in info["pods"]] == ["web"]
    assert deleted["pod"] is None
    assert none["pods"] == []


def test_what_cannot_be_changed_is_replaced_only_when_asked(play: Play) -> None:
    other = small("fixed", hostname="other", restart_policy="Never", termination_grace_period=0)
    results = play(
        pod(small("fixed", termination_grace_period=0, wait=True, wait_timeout=20)),
        pod(other),
        pod(other | {"recreate": True}, check_mode=True, diff=True),
        pod(other | {"recreate": True, "wait": True, "wait_timeout": 20}, diff=True),
        pod(other | {"recreate": True}),
        pod({"name": "fixed", "state": "absent", "delete_grace_period": 0, "wait": True}),
    )
    said = message(results[1])
    assert "restart_policy, hostname" in said
    assert "recreate" in said
    assert [r["changed"] for r in results] == [True, False, True, True, False, True]
    foreseen, done = results[2]["diff"], results[3]["diff"]
    for side in ("before", "after"):  # the real one may have a node already
        assert {k: v for k, v in foreseen[side]["spec"].items() if k != "nodeName"} == {
            k: v for k, v in done[side]["spec"].items() if k != "nodeName"
        }
    assert results[0]["pod"]["metadata"]["uid"] != results[3]["pod"]["metadata"]["uid"]


def test_a_replication_controller(play: Play) -> None:
    ports = [{"container_port": 80}, {"container_port": 81}]
    template = {
        "labels": {"app": "rc"},
        "termination_grace_period": 0,
        "containers": [{"name": "c", "image": "busybox:1", "ports": ports}],
        "volumes": [{"name": "v", "host_path": {"path": "/srv"}}],
    }
    changed = template | {
        "containers": [{"name": "c", "image": "busybox:2", "ports": [{"container_port": 81}]}],
        "volumes": [{"name": "v", "empty_dir": {}}],
    }
    three = {"name": "rc", "replicas": 3, "template": template, "wait": True, "wait_timeout": 30}
    results = play(
        controller(three, check_mode=True, diff=True),
        controller(three, diff=True),
        controller(three),
        controller({"name": "rc", "replicas": 2, "wait": True, "wait_timeout": 30}, diff=True),
        {"navarch.cluster.pod_info": {"namespace": "default", "label_selectors": ["app=rc"]}},
        controller({"name": "rc", "template": changed}, check_mode=True, diff=True),
        controller({"name": "rc", "template": changed}, diff=True),
        controller({"name": "rc", "template": changed}),
        controller({"name": "rc", "state": "absent", "wait": True}),
        controller({"name": "rc", "state": "absent", "wait": True}),
        {"navarch.cluster.pod_info": {"namespace": "default", "label_selectors": ["app=rc"]}},
    )
    assert changes(results) == [True, True, False, True, False, True, True, False, True, False, False]
    assert results[-1]["pods"] == []
    assert results[0]["diff"] == results[1]["diff"]
    assert results[1]["replication_controller"]["status"]["readyReplicas"] == 3
    running = [p for p in results[4]["pods"] if not p["metadata"].get("deletionTimestamp")]
    assert len(running) == 2
    assert results[5]["diff"] == results[6]["diff"]
    spec = results[6]["replication_controller"]["spec"]
    assert spec["replicas"] == 2
    assert spec["template"]["spec"]["volumes"] == [{"name": "v", "emptyDir": {}}]
    assert [p["containerPort"] for p in spec["template"]["spec"]["containers"][0]["ports"]] == [81]


def test_waiting_says_what_it_waits_for(play: Play) -> None:
    huge = small("huge", wait=True, wait_timeout=6)
    huge["containers"][0]["resources"] = {"requests": {"cpu": 100000}}
    result, _deleted = play(pod(huge), pod({"name": "huge", "state": "absent"}))
    assert message(result).startswith(
        "wait_timeout: pod huge is not Ready after 6 s: Unschedulable: 0/3 nodes"
    )
    assert "Insufficient cpu" in message(result)
    assert result["changed"] is True
    assert result["resource"]["metadata"]["name"] == "huge"


def test_waiting_ends_when_all_is_lost(play: Play, call: Callable[..., Any]) -> None:
    """The image is missing: the kubelet's words, here written into the status, end the wait at once."""
    trouble = {"reason": "ErrImageNeverPull", "message": 'image "none:1" is not on the node'}
    status = {"phase": "Pending", "containerStatuses": [{"name": "c", "state": {"waiting": trouble}}]}
    for entry in status["containerStatuses"]:
        entry.update({"image": "none:1", "imageID": "", "ready": False, "restartCount": 0})

    def fail() -> None:
        path = "/api/v1/namespaces/default/pods/lost"
        for _attempt in range(1000):  # until the play has made the pod
            try:
                call("PATCH", path + "/status", {"status": status})
                return
            except OSError:
                time.sleep(0.05)

    kubelet = threading.Thread(target=fail)
    kubelet.start()
    began = time.monotonic()
    result, _deleted = play(
        pod(small("lost", scheduler_name=NOBODY, wait=True, wait_timeout=100)),
        pod({"name": "lost", "state": "absent", "delete_grace_period": 0}),
    )
    kubelet.join()
    assert message(result) == (
        'pod lost will not be Ready: container c: ErrImageNeverPull: image "none:1" is not on the node'
    )
    assert time.monotonic() - began < 80


def test_scheduling_by_hand(play: Play) -> None:
    def bind(node: str, name: str = "mine", **keywords: Any) -> Options:
        return {"navarch.cluster.schedule": {"pod": name, "node": node}, **keywords}

    first, second = (f"{{{{ result_0.nodes[{n}].metadata.name }}}}" for n in (0, 1))
    results = play(
        {"navarch.cluster.node_info": {}},
        pod(small("mine", scheduler_name=NOBODY, termination_grace_period=0)),
        bind(second, check_mode=True),
        bind(second),
        bind(second),
        bind(first),
        bind("no-such-node"),
        bind("no-such-node", name="none"),
        pod({"name": "mine", "state": "absent"}),
    )
    nodes = [n["metadata"]["name"] for n in results[0]["nodes"]]
    assert len(nodes) == 3
    assert [r["changed"] for r in results[2:5]] == [True, True, False]
    assert results[3]["pod"]["spec"]["nodeName"] == nodes[1]
    assert (
        message(results[5])
        == f"node: pod mine is bound to node {nodes[1]} already, and a binding is for good"
    )
    assert message(results[6]).startswith("node: ")
    assert message(results[7]) == "pod: there is no pod none in namespace default"


def test_scheduling_planned(play: Play) -> None:
    fits = {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "100m"}}}]}
    never = {"containers": fits["containers"], "node_selector": {"disk": "none"}}
    placed, refused, missing, nothing = play(
        {"navarch.cluster.schedule": {"state": "planned", "template": fits, "replicas": 3}},
        {"navarch.cluster.schedule": {"state": "planned", "template": never}},
        {"navarch.cluster.schedule": {"state": "planned", "pod": "none"}},
        {"navarch.cluster.pod_info": {"namespace": "default", "name": "plan-1"}},
    )
    assert not placed["changed"]
    assert [bool(p["nodeName"]) for p in placed["placements"]] == [True] * 3
    assert len(placed["placements"][0]["nodes"]) == 3
    (placement,) = refused["placements"]
    assert (placement["nodeName"], placement["message"][:4]) == ("", "0/3 ")
    assert not any(node["feasible"] for node in placement["nodes"])
    assert message(missing) == "pod: there is no pod none in namespace default"
    assert nothing["pods"] == []


def test_mistakes_are_told_in_one_line(play: Play, kubeconfig: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"https://127.0.0.1:{taken.getsockname()[1]}"
        wrong_quantity = small("bad")
        wrong_quantity["containers"][0]["resources"] = {"limits": {"cpu": "12zz"}}
        results = play(
            pod(wrong_quantity),
            pod(small("Not_A_Label")),
            pod(small("bad", namespace="no-such-namespace")),
            pod(small("bad", namespace="no-such-namespace"), check_mode=True),
            pod(small("bad", volumes=[{"name": "v"}])),
            pod({"name": "bad"}),
            pod({"state": "absent"}),
            {"navarch.cluster.pod_info": {"api_key": "wrong"}},
            {"navarch.cluster.pod_info": {"host": nobody}},
            {"navarch.cluster.pod_info": {"kubeconfig": "/not/there"}},
            {"navarch.cluster.pod_info": {"context": "other"}},
            {"navarch.cluster.pod_info": {"label_selectors": ["a in"]}},
            {"navarch.cluster.pod_logs": {"name": "none"}},
            {"navarch.cluster.pod_logs": {"name": "none", "since": "yesterday"}},
        )
    expected = [
        "containers[c].resources.limits.cpu: '12zz' is not a quantity (such as 100m, 0.5 or 1Gi)",
        "invalid (422): name: ",
        'namespace: namespaces "no-such-namespace" not found',
        None,
        "one of the following is required: empty_dir, host_path, config_map, secret found in volumes",
        "containers: a new pod needs them, or definition; there is no such pod yet",
        "one of the following is required: name, definition",
        "the cluster does not know these credentials (401 Unauthorized): check api_key",
        f"cannot reach the cluster at {nobody} (from host): Connection refused",
        "kubeconfig: there is no file /not/there",
        f"context: no context other in kubeconfig {kubeconfig}; there: ",
        "the cluster refuses the request (400 BadRequest): ",
        'name: pods "none" not found',
        "since: 'yesterday' is neither a time",
    ]
    for result, beginning in zip(results, expected, strict=True):
        if beginning is None:
            assert result["changed"]
            assert "namespace no-such-namespace does not exist yet" in result["warnings"][0]
        else:
            assert message(result).startswith(beginning)


def test_a_wrong_authority_is_told_from_an_absent_cluster(play: Play, kubeconfig: str) -> None:
    with open(kubeconfig) as file:
        config = yaml.safe_load(file)
    del config["clusters"][0]["cluster"]["certificate-authority-data"]
    (result,) = play({"navarch.cluster.pod_info": {"kubeconfig": config}})
    assert message(result).startswith("ca_cert: https://127.0.0.1:")
    assert "does not prove to be the cluster" in message(result)
