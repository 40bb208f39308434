# SPDX-License-Identifier: GPL-3.0-or-later
"""kubectl, as it comes, against a real server."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest
from apiserver_support import Standalone, kubectl_binary

CONTROLLER = """
apiVersion: v1
kind: ReplicationController
metadata: {name: web}
spec:
  replicas: 2
  selector: {app: web}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: busybox, resources: {requests: {cpu: 100m}}}]}
"""


def test_version_and_discovery_tell_what_is_served(server: Standalone) -> None:
    version = json.loads(server.kubectl("version", "-o", "json"))["serverVersion"]
    assert (version["major"], version["minor"]) == ("1", "37")
    assert version["gitVersion"].startswith("v1.37.0+navarch.")
    resources = server.kubectl("api-resources")
    for line in ("pods                         po", "leases", "replicationcontrollers       rc"):
        assert line in resources
    assert "coordination.k8s.io/v1" in server.kubectl("api-versions").split()


def test_typed_creates_in_protobuf_are_understood(server: Standalone, namespace: str) -> None:
    server.kubectl("-n", namespace, "create", "configmap", "c", "--from-literal=a=b")
    server.kubectl("-n", namespace, "create", "secret", "generic", "s", "--from-literal=p=q")
    server.kubectl("-n", namespace, "create", "service", "clusterip", "web", "--tcp=80:8080")
    found = json.loads(server.kubectl("-n", namespace, "get", "cm,secret,svc", "-o", "json"))["items"]
    by_kind = {item["kind"]: item for item in found}
    assert by_kind["ConfigMap"]["data"] == {"a": "b"}
    assert by_kind["Secret"]["data"] == {"p": "cQ=="}
    assert by_kind["Service"]["spec"]["ports"][0]["targetPort"] == 8080


def test_apply_scale_wait_and_delete_a_controller(server: Standalone, namespace: str) -> None:
    def k(*arguments: str, stdin: str = "") -> str:
        return server.kubectl("-n", namespace, *arguments, stdin=stdin)

    assert "created" in k("apply", "-f", "-", stdin=CONTROLLER)
    assert "unchanged" in k("apply", "-f", "-", stdin=CONTROLLER)
    assert "configured" in k("apply", "-f", "-", stdin=CONTROLLER.replace("replicas: 2", "replicas: 3"))
    k("wait", "rc/web", "--for=jsonpath={.status.readyReplicas}=3", "--timeout=20s")
    k("wait", "pod", "-l", "app=web", "--for=condition=Ready", "--timeout=20s")
    wide = k("get", "pods", "-o", "wide").splitlines()
    assert wide[0].split()[:4] == ["NAME", "READY", "STATUS", "RESTARTS"]
    assert "NODE" in wide[0] and all("sim-" in line for line in wide[1:])
    k("scale", "rc", "web", "--replicas=1")
    assert k("get", "rc", "web", "-o", "jsonpath={.spec.replicas}") == "1"
    end = time.monotonic() + 20
    while "Created pod" not in (told := k("describe", "rc", "web")):  # events are written beside the work
        assert time.monotonic() < end, told
    k("delete", "rc", "web", "--timeout=20s")
    assert k("get", "rc", "-o", "name") == ""


def test_label_annotate_and_every_kind_of_patch(server: Standalone, namespace: str) -> None:
    def k(*arguments: str) -> str:
        return server.kubectl("-n", namespace, *arguments)

    k("create", "configmap", "c", "--from-literal=a=1")
    k("label", "cm", "c", "team=x")
    k("annotate", "cm", "c", "note=y")
    k("patch", "cm", "c", "--type=merge", "-p", '{"data":{"b":"2"}}')
    k("patch", "cm", "c", "--type=json", "-p", '[{"op":"remove","path":"/data/a"}]')
    k("patch", "cm", "c", "--type=strategic", "-p", '{"data":{"d":"4"}}')
    found = json.loads(k("get", "cm", "c", "-o", "json"))
    assert found["data"] == {"b": "2", "d": "4"}
    assert found["metadata"]["labels"] == {"team": "x"}
    assert k("get", "cm", "-l", "team=x", "-o", "name").strip() == "configmap/c"
    assert k("get", "cm", "-l", "team!=x", "-o", "name") == ""


def test_explain_and_can_i_and_whoami(server: Standalone) -> None:
    assert "FIELD: image <string>" in server.kubectl("explain", "pod.spec.containers.image")
    assert server.kubectl("auth", "can-i", "create", "pods").strip() == "yes"
    assert "admin" in server.kubectl("auth", "whoami")
    assert "Resources" in server.kubectl("auth", "can-i", "--list")


def test_a_watch_shows_a_pod_come_and_go(server: Standalone, namespace: str, tmp_path: Path) -> None:
    shown = tmp_path / "shown"
    with shown.open("w") as file:
        watch = subprocess.Popen(
            [kubectl_binary(), "--kubeconfig", str(server.kubeconfig), "-n", namespace, "get", "pods", "-w"],
            stdout=file,
            stderr=subprocess.DEVNULL,
        )

    def shows(word: str) -> None:
        end = time.monotonic() + 20
        while word not in shown.read_text():
            assert time.monotonic() < end, f"{word}: {shown.read_text()}"
            time.sleep(0.05)

    try:
        time.sleep(0.5)
        server.kubectl("-n", namespace, "run", "x", "--image=busybox")
        server.kubectl("-n", namespace, "wait", "pod/x", "--for=condition=Ready", "--timeout=20s")
        shows("Running")
        server.kubectl("-n", namespace, "delete", "pod", "x", "--timeout=20s")
        shows("Terminating")
    finally:
        watch.terminate()
        watch.wait(10)
    assert shown.read_text().splitlines()[0].split()[:3] == ["NAME", "READY", "STATUS"]


def test_bad_fields_and_values_are_refused_in_words(server: Standalone, namespace: str) -> None:
    typo = CONTROLLER.replace("replicas", "replicaz")
    told = server.kubectl("-n", namespace, "create", "-f", "-", stdin=typo, check=False)
    assert 'unknown field "spec.replicaz"' in told
    told = server.kubectl(
        "-n", namespace, "create", "-f", "-", stdin=CONTROLLER.replace("100m", "12zz"), check=False
    )
    assert "spec.template.spec.containers[0].resources.requests" in told


@pytest.mark.parametrize(
    "what", ["nodes", "pods -A", "ns", "events -A", "svc -A", "csr", "leases -A", "sa -A"]
)
def test_every_kind_has_a_table(server: Standalone, what: str) -> None:
    told = server.kubectl("get", *what.split(), check=False)
    assert told.startswith(("NAME", "No resources", "LAST SEEN"))
