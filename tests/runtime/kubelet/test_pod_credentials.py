# SPDX-License-Identifier: GPL-3.0-or-later
"""What a pod has to speak to the API: token, CA, namespace and the address in its environment."""

from __future__ import annotations

import ipaddress
import json
import ssl
import urllib.error
import urllib.request
from typing import Any

import pytest
from kubelet_support import Cluster, Pods

from navarch.api.core.service.service import Service, ServicePort, ServiceSpec
from navarch.api.machinery.meta import ObjectMeta

pytestmark = [pytest.mark.docker, pytest.mark.root]

FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"


async def test_a_pod_has_what_it_needs_to_speak_to_the_api(cluster: Cluster, pods: Pods) -> None:
    spec = ServiceSpec(ports=[ServicePort(name="http", port=80)])
    await pods.client.create(Service(metadata=ObjectMeta(name="web", namespace=pods.namespace), spec=spec))
    tell = (
        f"for f in token ca.crt namespace; do cat {FOLDER}/$f; echo; echo --; done; env; echo --; sleep 1000"
    )
    await pods.create("inside", {"name": "a", "command": ["sh", "-c", tell]})
    await pods.running("inside")
    text = ""
    while text.count("--\n") < 4 or not text.endswith("--\n"):
        text = await pods.logs("inside", "a")
    token, ca, namespace, *_ = (part.strip() for part in text.split("\n--\n"))
    assert namespace == pods.namespace
    environment = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    first = str(ipaddress.ip_network(cluster.services)[1])
    assert environment["KUBERNETES_SERVICE_HOST"] == first
    assert environment["KUBERNETES_SERVICE_PORT"] == environment["KUBERNETES_SERVICE_PORT_HTTPS"] == "443"
    assert environment["WEB_SERVICE_PORT_HTTP"] == "80"
    server = json.loads(cluster.admin.read_text())["clusters"][0]["cluster"]["server"]
    context = ssl.create_default_context(cadata=ca + "\n")

    def get(path: str) -> Any:
        request = urllib.request.Request(server + path, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=5, context=context) as answer:
            return json.load(answer)

    names = [item["metadata"]["name"] for item in get(f"/api/v1/namespaces/{namespace}/pods")["items"]]
    assert names == ["inside"]
    await pods.delete("inside", grace=0)
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(f"/api/v1/namespaces/{namespace}/pods")
    assert refused.value.code == 401


async def test_a_pod_that_wants_no_token_gets_none(pods: Pods) -> None:
    await pods.create(
        "without",
        {"name": "a", "command": ["sh", "-c", f"ls {FOLDER} 2>&1; true"]},
        restartPolicy="Never",
        automountServiceAccountToken=False,
    )
    await pods.until("without", lambda p: p.status and p.status.phase == "Succeeded")
    assert "No such file" in await pods.logs("without", "a")
