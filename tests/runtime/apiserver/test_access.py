# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may what, over the wire: certificates, bootstrap tokens, a kubelet kept to what is its own."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from apiserver_support import Http, Standalone

from navarch import pki


def authority(server: Standalone) -> pki.Pair:
    data = server.folder / "data"
    return pki.Pair((data / "ca.crt").read_bytes(), (data / "ca.key").read_bytes())


@asynccontextmanager
async def as_user(server: Standalone, tmp_path: Path, name: str, *groups: str) -> AsyncIterator[Http]:
    """Requests with a client certificate of the server's CA."""
    pair = pki.issue(authority(server), name, organizations=groups)
    file = tmp_path / f"{name.replace(':', '-').replace('/', '-')}.pem"
    file.write_bytes(pair.certificate + pair.key)
    tls = server.tls()
    tls.load_cert_chain(file)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as session:
        yield Http(session, server.url)


async def test_a_certificate_is_user_and_groups(server: Standalone, tmp_path: Path) -> None:
    async with as_user(server, tmp_path, "root", "system:masters") as http:
        assert (await http("GET", "/api/v1/pods"))[0] == 200
        # A bad token beside a good certificate changes nothing.
        assert (await http("GET", "/api/v1/pods", headers={"Authorization": "Bearer x"}))[0] == 200
    async with as_user(server, tmp_path, "jane", "people") as http:
        code, body = await http("GET", "/api/v1/namespaces/default/pods")
        assert (code, body["reason"]) == (403, "Forbidden")
        assert body["message"] == (
            'pods is forbidden: User "jane" cannot list resource "pods" in API group "" '
            'in the namespace "default"'
        )
        assert (await http("GET", "/api/v1"))[0] == 200
        assert (await http("GET", "/metrics"))[0] == 403
        review = {
            "spec": {"resourceAttributes": {"verb": "create", "resource": "pods", "namespace": "default"}}
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        code, body = await http("POST", path, json=review)
        assert (code, body["status"]["allowed"]) == (201, False)
        code, body = await http("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", json={})
        assert body["status"]["userInfo"]["username"] == "jane"
        assert body["status"]["userInfo"]["groups"] == ["people", "system:authenticated"]


def token_secret(id: str, secret: str, **more: str) -> dict[str, Any]:
    data = {"token-id": id, "token-secret": secret, "usage-bootstrap-authentication": "true", **more}
    return {
        "metadata": {"name": f"bootstrap-token-{id}", "namespace": "kube-system"},
        "type": "bootstrap.kubernetes.io/token",
        "data": {key.replace("_", "-"): base64.b64encode(v.encode()).decode() for key, v in data.items()},
    }


async def test_a_bootstrap_token_asks_for_a_certificate_and_nothing_else(
    server: Standalone, http: Http, tmp_path: Path
) -> None:
    secrets = "/api/v1/namespaces/kube-system/secrets"
    good, over = "abcdef.0123456789abcdef", "ghijkl.0123456789abcdef"
    assert (await http("POST", secrets, json=token_secret(*good.split("."))))[0] == 201
    expired = token_secret(*over.split("."), expiration="2020-01-01T00:00:00Z")
    await http("POST", secrets, json=expired)
    connector = aiohttp.TCPConnector(ssl=server.tls())
    async with aiohttp.ClientSession(connector=connector) as session:
        known = Http(session, server.url)

        async def code(token: str, path: str) -> int:
            return (await known("GET", path, headers={"Authorization": f"Bearer {token}"}))[0]

        requests = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
        assert await code(good, requests) == 200
        assert await code(good, "/api/v1/nodes") == 403
        assert await code(good, secrets) == 403
        assert await code(over, requests) == 401
        assert await code("abcdef.0000000000000000", requests) == 401
        await http("DELETE", f"{secrets}/bootstrap-token-abcdef")
        assert await code(good, requests) == 401


@pytest.fixture
def pod() -> dict[str, Any]:
    volume = {"name": "v", "secret": {"secretName": "mine"}}
    return {
        "metadata": {"name": "p"},
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}], "volumes": [volume]},
    }


async def test_a_kubelet_is_kept_to_its_node_and_pods(
    server: Standalone, http: Http, tmp_path: Path, namespace: str, pod: dict[str, Any]
) -> None:
    space = f"/api/v1/namespaces/{namespace}"
    for name in ("n1", "n2"):
        await http("POST", "/api/v1/nodes", json={"metadata": {"name": name}})
    try:
        for name in ("mine", "other"):
            await http("POST", f"{space}/secrets", json={"metadata": {"name": name}})
        assert (await http("POST", f"{space}/pods", json=pod))[0] == 201
        other = {**pod, "metadata": {"name": "q"}, "spec": {**pod["spec"], "nodeName": "n2", "volumes": []}}
        assert (await http("POST", f"{space}/pods", json=other))[0] == 201
        async with as_user(server, tmp_path, "system:node:n1", "system:nodes") as kubelet:
            codes = {
                "GET /api/v1/nodes/n1": 200,
                "GET /api/v1/pods": 403,
                "GET /api/v1/pods?fieldSelector=spec.nodeName%3Dn1": 200,
                "GET /api/v1/pods?fieldSelector=spec.nodeName%3Dn2": 403,
                "GET /api/v1/pods?fieldSelector=spec.nodeName%21%3Dn1": 403,
                f"GET {space}/pods/p": 200,
                f"GET {space}/pods/q": 403,
                f"GET {space}/secrets/mine": 200,
                f"GET {space}/secrets/other": 403,
                f"GET {space}/secrets": 403,
                f"GET {space}/secrets?fieldSelector=metadata.name%3Dmine": 200,
                f"GET {space}/configmaps/mine": 403,
                "GET /api/v1/services": 200,
                f"DELETE {space}/pods/q": 403,
                "DELETE /api/v1/nodes/n2": 403,
                "GET /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n2": 403,
                "GET /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1": 404,
            }
            found = {what: (await kubelet(*what.split(" ")))[0] for what in codes}
            assert found == codes
            merge = {"Content-Type": "application/merge-patch+json"}
            status = {"status": {"phase": "Running"}}
            assert (await kubelet("PATCH", f"{space}/pods/p/status", json=status, headers=merge))[0] == 200
            assert (await kubelet("PATCH", f"{space}/pods/q/status", json=status, headers=merge))[0] == 403
            assert (await kubelet("PATCH", f"{space}/pods/p", json={}, headers=merge))[0] == 403
            stranger = {"metadata": {"name": "n9"}}
            assert (await kubelet("POST", "/api/v1/nodes", json=stranger))[0] == 403
            assert (await kubelet("DELETE", f"{space}/pods/p?gracePeriodSeconds=0"))[0] == 200
    finally:
        for name in ("n1", "n2"):
            await http("DELETE", f"/api/v1/nodes/{name}")


@pytest.mark.parametrize("name", ["", "n1/../n2", "N1"])
async def test_a_node_without_a_valid_name_has_no_rights(
    server: Standalone, http: Http, tmp_path: Path, namespace: str, pod: dict[str, Any], name: str
) -> None:
    """A pod that no node has yet names a secret: "" is the node of that pod only as far as text goes."""
    space = f"/api/v1/namespaces/{namespace}"
    await http("POST", f"{space}/secrets", json={"metadata": {"name": "mine"}})
    waiting = {
        **pod,
        "spec": {**pod["spec"], "nodeName": None, "schedulingGates": [{"name": "example.com/x"}]},
    }
    assert (await http("POST", f"{space}/pods", json=waiting))[0] == 201
    async with as_user(server, tmp_path, f"system:node:{name}", "system:nodes") as kubelet:
        assert (await kubelet("GET", "/api/v1/pods?fieldSelector=spec.nodeName%3D"))[0] == 403
        assert (await kubelet("GET", f"{space}/secrets/mine"))[0] == 403
        assert (await kubelet("GET", "/api/v1/nodes"))[0] == 403
        assert (await kubelet("POST", f"{space}/serviceaccounts/default/token", json={}))[0] == 403
        labels = {"node-restriction.kubernetes.io/x": "1"}
        registered = {"metadata": {"name": "stranger", "labels": labels}}
        assert (await kubelet("POST", "/api/v1/nodes", json=registered))[0] == 403
    await http("DELETE", f"{space}/pods/p?gracePeriodSeconds=0")


async def test_a_join_token_gets_no_certificate_for_a_node_without_name(
    server: Standalone, http: Http, tmp_path: Path
) -> None:
    secrets = "/api/v1/namespaces/kube-system/secrets"
    requests = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
    await http("POST", secrets, json=token_secret("joiner", "0123456789abcdef"))
    headers = {"Authorization": "Bearer joiner.0123456789abcdef"}
    connector = aiohttp.TCPConnector(ssl=server.tls())
    async with aiohttp.ClientSession(connector=connector) as session:
        joining = Http(session, server.url)
        for number, node in enumerate(("", "../x", "good")):
            pem = pki.make_request(pki.new_key(), f"system:node:{node}", organizations=["system:nodes"])
            spec = {
                "request": base64.b64encode(pem).decode(),
                "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
                "usages": ["digital signature", "client auth"],
            }
            body = {"metadata": {"name": f"joiner-{number}"}, "spec": spec}
            assert (await joining("POST", requests, json=body, headers=headers))[0] == 201
    # The last one is answered after those before it.
    server.kubectl("wait", "csr/joiner-2", "--for=jsonpath={.status.certificate}", "--timeout=30s")
    for number in (0, 1):
        _, found = await http("GET", f"{requests}/joiner-{number}")
        assert not found.get("status")
