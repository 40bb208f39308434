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
