# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong between a task and its cluster is told apart, in one line that says where to look."""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Result = dict[str, Any]
Direct = Callable[..., Result]
Call = Callable[..., Any]


def line(result: Result) -> str:
    assert result["failed"]
    assert "\n" not in result["msg"]
    assert "exception" not in result
    return str(result["msg"])


@pytest.fixture
def config(kubeconfig: str) -> dict[str, Any]:
    return dict(yaml.safe_load(Path(kubeconfig).read_text()))


def encoded(claims: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")


def test_a_cluster_that_is_away(direct: Direct) -> None:
    with socket.socket() as taken:  # bound and not listening: nobody answers there
        taken.bind(("127.0.0.1", 0))
        address = f"https://127.0.0.1:{taken.getsockname()[1]}"
        said = line(direct("pod_info", host=address))
    assert said.startswith(f"cannot reach the cluster at {address} (from host): Connection refused"), said


def test_a_name_that_nobody_has(direct: Direct) -> None:
    said = line(direct("pod_info", host="https://no-such-host.invalid:6443"))
    assert said.startswith("cannot reach the cluster at https://no-such-host.invalid:6443"), said


def test_another_authority(direct: Direct, config: dict[str, Any]) -> None:
    cluster = config["clusters"][0]["cluster"]
    del cluster["certificate-authority-data"]
    said = line(direct("pod_info", kubeconfig=config))
    assert said.startswith(f"ca_cert: {cluster['server']} does not prove to be the cluster of"), said


def test_no_authority_at_all(direct: Direct) -> None:
    said = line(direct("pod_info", ca_cert="-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n"))
    assert said.startswith("ca_cert: no certificate of an authority in it"), said


def test_tokens_that_do_not_hold(direct: Direct) -> None:
    wrong = line(direct("pod_info", api_key="wrong"))
    assert wrong.startswith(
        "the cluster does not know these credentials (401 Unauthorized): check api_key"
    ), wrong
    ended = int(time.time()) - 3600
    expired = ".".join((encoded({"alg": "none"}), encoded({"exp": ended}), "c2lnbmF0dXJl"))
    said = line(direct("pod_info", api_key=expired))
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ended))
    assert said.startswith(f"the token has expired at {when} (401 Unauthorized): check api_key"), said


def test_what_one_may_not_do(direct: Direct, call: Call) -> None:
    direct(
        "manifest", definition={"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "weak"}}
    )
    path = "/api/v1/namespaces/default/serviceaccounts/weak/token"
    token = call("POST", path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})
    weak = {"api_key": token["status"]["token"]}
    results = [
        direct("secret_info", namespace="kube-system", **weak),
        direct("config_map", name="x", data={}, **weak),
        direct("node", name="sim-0", schedulable=False, **weak),
        direct(
            "manifest",
            definition={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}},
            **weak,
        ),
    ]
    for result in results:
        said = line(result)
        assert "these credentials may not do this (403 Forbidden): " in said
        assert "weak" in said


def test_no_cluster_and_no_api(direct: Direct, config: dict[str, Any]) -> None:
    missing = line(direct("pod_info", kubeconfig="/none/such"))
    assert missing.startswith("kubeconfig: "), missing
    context = line(direct("pod_info", context="none"))
    assert context.startswith("context: "), context
    elsewhere = {**config, "clusters": [json.loads(json.dumps(config["clusters"][0]))]}
    elsewhere["clusters"][0]["cluster"]["server"] += "/nowhere"
    said = line(direct("pod_info", kubeconfig=elsewhere))
    assert said.startswith("the cluster has no such API (404 at GET /api/v1/pods)"), said


def test_what_a_namespace_or_an_object_lacks(direct: Direct) -> None:
    pod = {"name": "x", "containers": [{"name": "c", "image": "i"}]}
    assert line(direct("pod", namespace="none", **pod)).startswith("namespace: "), "no such namespace"
    said = line(direct("pod", **pod | {"name": "Not_A_Name"}))
    assert said.startswith("invalid (422): name: "), said
    said = line(direct("pod", node_name="x", **pod | {"containers": [{"name": "c c", "image": "i"}]}))
    assert said.startswith("invalid (422): containers[0].name: "), said


@pytest.mark.parametrize("module", ["config_map", "secret", "service", "pod", "replication_controller"])
def test_an_empty_name_deletes_nothing(direct: Direct, call: Call, module: str) -> None:
    plural = module.replace("_", "") + "s"
    path = f"/api/v1/namespaces/default/{plural}"
    spec: dict[str, Any] = {
        "pod": {"containers": [{"name": "c", "image": "i"}]},
        "service": {"ports": [{"port": 80}]},
        "replication_controller": {"replicas": 0, "template": {"labels": {"a": "b"}}},
    }.get(module, {})
    spec = {"data": {}} if module in ("config_map", "secret") else spec
    if module == "replication_controller":
        spec["template"]["containers"] = [{"name": "c", "image": "i"}]
    assert direct(module, name="kept", **spec)["changed"]
    for name in ("", "..", "."):
        for check in (True, False):
            said = line(direct(module, check, name=name, state="absent"))
            assert said.startswith("name: "), said
        line(direct(module + "_info", name=""))
    assert line(direct(module, name="kept", namespace="", state="absent")) == "namespace: must not be empty"
    assert "kept" in [item["metadata"]["name"] for item in call("GET", path)["items"]]
    assert direct(module, name="kept", state="absent")["changed"]


def test_an_empty_name_deletes_no_node(direct: Direct, call: Call) -> None:
    assert line(direct("node", name="", state="absent")) == "name: must not be empty"
    assert line(direct("schedule", pod="", node="sim-0")) == "pod: must not be empty"
    assert line(direct("schedule", pod="x", node="")) == "node: must not be empty"
    assert len(call("GET", "/api/v1/nodes")["items"]) == 3


def test_what_the_cluster_forbids_to_everybody(direct: Direct) -> None:
    said = line(direct("namespace", name="default", state="absent"))
    assert said.startswith("the cluster refuses this (403 Forbidden): "), said


def test_null_takes_labels_away(direct: Direct) -> None:
    labelled = {"name": "labelled", "labels": {"a": "1", "b": "", "c": None}}
    made = direct("config_map", **labelled)["config_map"]
    assert made["metadata"]["labels"] == {"a": "1", "b": ""}
    assert not direct("config_map", **labelled)["changed"]
    less = direct("config_map", name="labelled", labels={"a": None})
    assert less["config_map"]["metadata"]["labels"] == {"b": ""}
    assert not direct("config_map", name="labelled", labels={"a": None})["changed"]
    direct("config_map", name="labelled", state="absent")


def test_what_is_asked_twice_of_one_key_and_what_the_server_takes_for_nothing(direct: Direct) -> None:
    container = {
        "name": "c",
        "image": "i",
        "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}],
        "ports": [{"container_port": 80, "host_port": 8080}, {"container_port": 80, "host_port": 8081}],
        "liveness_probe": {"http_get": {"path": "", "port": 80}, "failure_threshold": 0, "period_seconds": 0},
    }
    pod = {"name": "twice", "scheduler_name": "nobody", "containers": [container]}
    template = {"labels": {"a": "twice"}, "containers": [container]}
    controller = {"name": "twice", "replicas": 0, "template": template}
    try:
        for module, options in (("pod", pod), ("replication_controller", controller)):
            first, second = direct(module, **options), direct(module, **options)
            assert first["changed"], first
            assert not second.get("failed"), second["msg"]
            assert not second["changed"]
        container["env"] = [{"name": "A", "value": "2"}]
        assert direct("replication_controller", **controller)["changed"]
        assert not direct("replication_controller", **controller)["changed"]
    finally:
        direct("pod", name="twice", state="absent", delete_grace_period=0)
        direct("replication_controller", name="twice", state="absent")
