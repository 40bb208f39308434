# SPDX-License-Identifier: GPL-3.0-or-later
"""An unmodified kubectl against the real cluster: what people type every day."""

from __future__ import annotations

import json
import subprocess

from .conftest import BIN, KUBECONFIG, Cluster, until

POD = """
apiVersion: v1
kind: Pod
metadata:
  name: speaker
  labels: {app: speaker}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: speaker
      image: navarch-demo:1
      imagePullPolicy: Never
      command:
        - sh
        - -c
        - trap "exit 0" TERM; i=0; while [ $i -lt 600 ]; do i=$((i+1)); echo "word $i"; sleep 0.2; done
      resources:
        requests: {cpu: 10m, memory: 8Mi}
"""


def test_get_shows_tables(cluster: Cluster) -> None:
    nodes = cluster.kubectl("get", "nodes", "-o", "wide")
    assert nodes.splitlines()[0].split()[:2] == ["NAME", "STATUS"]
    assert " Ready " in nodes
    pods = cluster.kubectl("get", "pods", "-l", "app=web", "-o", "wide")
    assert pods.splitlines()[0].split()[:6] == ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP"]
    assert pods.count("1/1") == 3
    assert "3" in cluster.kubectl("get", "rc", "web").splitlines()[1].split()


def test_describe_tells_of_conditions_and_events(cluster: Cluster) -> None:
    text = cluster.kubectl("describe", "pod", "hello")
    assert "Status:" in text
    assert "Running" in text
    assert "Scheduled" in text
    assert "Allocatable" in cluster.kubectl("describe", "nodes")


def test_apply_label_logs_wait_delete(cluster: Cluster) -> None:
    try:
        assert "created" in cluster.kubectl("apply", "-f", "-", stdin=POD)
        assert "unchanged" in cluster.kubectl("apply", "-f", "-", stdin=POD)
        cluster.kubectl("wait", "--for=condition=Ready", "pod/speaker", "--timeout=60s")
        cluster.kubectl("label", "pod", "speaker", "tier=front")
        assert "speaker" in cluster.kubectl("get", "pods", "-l", "tier=front", "-o", "name")
        assert "configured" in cluster.kubectl(
            "apply", "-f", "-", stdin=POD.replace("app: speaker", "app: talker")
        )
        assert "word 1" in cluster.kubectl("logs", "speaker")
        assert len(cluster.kubectl("logs", "speaker", "--tail=2").splitlines()) == 2
        follow(cluster)
    finally:
        cluster.kubectl("delete", "pod", "speaker", "--ignore-not-found", "--timeout=60s")
    assert "NotFound" in cluster.try_kubectl("get", "pod", "speaker").stderr


def follow(cluster: Cluster) -> None:
    """`logs -f` goes on saying what the container says."""
    process = subprocess.Popen(
        [str(BIN / "kubectl"), "--kubeconfig", str(KUBECONFIG), "logs", "-f", "--tail=1", "speaker"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(6)]
        numbers = [int(line.split()[1]) for line in lines]
        assert numbers == list(range(numbers[0], numbers[0] + 6))
    finally:
        process.terminate()
        process.wait(10)


def test_typed_creates_arrive_as_protobuf(cluster: Cluster) -> None:
    try:
        cluster.kubectl(
            "create", "configmap", "settings", "--from-literal=color=blue", "--from-literal=size=4"
        )
        assert json.loads(cluster.kubectl("get", "configmap", "settings", "-o", "json"))["data"] == {
            "color": "blue",
            "size": "4",
        }
        cluster.kubectl("create", "secret", "generic", "password", "--from-literal=key=s3cret")
        assert (
            cluster.kubectl("get", "secret", "password", "-o", "jsonpath={.data.key}").strip() == "czNjcmV0"
        )
    finally:
        cluster.kubectl("delete", "configmap/settings", "secret/password", "--ignore-not-found")


def test_a_namespace_goes_with_all_that_is_in_it(cluster: Cluster) -> None:
    cluster.kubectl("create", "namespace", "harbour")
    cluster.kubectl("apply", "-n", "harbour", "-f", "-", stdin=POD)
    cluster.kubectl("wait", "-n", "harbour", "--for=condition=Ready", "pod/speaker", "--timeout=60s")
    cluster.kubectl("delete", "namespace", "harbour", "--timeout=90s", seconds=100)
    assert cluster.get("/api/v1/namespaces/harbour/pods")["items"] == []


def test_scale_up_and_down(cluster: Cluster) -> None:
    try:
        cluster.kubectl("scale", "rc", "web", "--replicas=4")
        cluster.kubectl(
            "wait", "--for=jsonpath={.status.readyReplicas}=4", "rc/web", "--timeout=60s", seconds=70
        )
    finally:
        cluster.kubectl("scale", "rc", "web", "--replicas=3")
    until(lambda: len(cluster.pods("app=web")) == 3, 60, "three pods again")


def test_a_deleted_replica_is_replaced(cluster: Cluster) -> None:
    victim = cluster.pods("app=web")[0]["metadata"]["name"]
    cluster.kubectl("delete", "pod", victim, "--timeout=60s")

    def replaced() -> bool:
        pods = cluster.pods("app=web")
        conditions = [pod["status"].get("conditions", []) for pod in pods]
        ready = [
            one for one in conditions if any(c["type"] == "Ready" and c["status"] == "True" for c in one)
        ]
        return len(ready) == 3 and victim not in {pod["metadata"]["name"] for pod in pods}

    until(replaced, 60, "three ready replicas without the deleted one")


def test_a_pod_that_fits_nowhere_says_why(cluster: Cluster) -> None:
    big = POD.replace("cpu: 10m", 'cpu: "5000"').replace("name: speaker", "name: whale", 1)
    try:
        cluster.kubectl("apply", "-f", "-", stdin=big)
        until(
            lambda: "Insufficient cpu" in cluster.kubectl("describe", "pod/whale"),
            30,
            "an event that says why",
        )

        def scheduled() -> dict[str, str]:
            pod = json.loads(cluster.kubectl("get", "pod", "whale", "-o", "json"))
            return {c["type"]: c for c in pod["status"].get("conditions", [])}["PodScheduled"]

        condition = until(scheduled, 30, "a condition that says so")  # which comes after the event
        assert condition["status"] == "False"
        assert "Insufficient cpu" in condition["message"]
    finally:
        cluster.kubectl("delete", "pod", "whale", "--ignore-not-found", "--timeout=30s")
