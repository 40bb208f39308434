# SPDX-License-Identifier: GPL-3.0-or-later
"""Service account tokens: who gets one, what it may, and when it ends."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from pathlib import Path
from typing import Any

import jwt_support
import pytest
from apiserver_support import Http, Standalone
from msgspec.structs import replace

from navarch import pki
from navarch.api.authentication.tokenreview import BoundObjectReference, TokenRequest, TokenRequestSpec
from navarch.api.builtin import scheme
from navarch.api.core.pod.container import Container
from navarch.api.core.pod.pod import Pod
from navarch.api.core.pod.spec import PodSpec
from navarch.api.core.pod.volume import (
    ProjectedVolumeSource,
    ServiceAccountTokenProjection,
    Volume,
    VolumeProjection,
)
from navarch.api.core.serviceaccount import ServiceAccount
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import ObjectMeta
from navarch.apiserver.token_requests import Issuer, finder
from navarch.auth.authn.service_account import ServiceAccountTokens
from navarch.auth.authz import Attributes
from navarch.auth.authz.node import NodeAuthorizer
from navarch.auth.tokens import Bound, Claims, Named, Signer
from navarch.auth.user import User
from navarch.client.local import LocalClient
from navarch.registry.admission.standard import plugins
from navarch.registry.node_pods import PodsOfNodes
from navarch.registry.registry import Registry
from navarch.store.sqlite import SqliteStore


def claims(**more: Any) -> Claims:
    now = int(time.time())
    bound = Bound("default", Named("default", "u"))
    given = {"iss": "i", "sub": "s", "aud": ["i"], "exp": now + 60, "iat": now, "nbf": now, "jti": "j"}
    return Claims(**{**given, "bound": bound, **more})


def test_only_our_key_and_our_algorithm_count() -> None:
    signer = Signer(pki.new_key(), "i")
    given = claims()
    token = signer.sign(given)
    assert signer.verify(token) == given
    assert Signer(pki.new_key(), "i").verify(token) is None
    head, body, signature = token.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    other = base64.urlsafe_b64encode(b'{"iss":"i"}').rstrip(b"=").decode()
    for bad in (
        f"{none}.{body}.",
        f"{head}.{other}.{signature}",
        f"{head}.{body}.{signature[:-4]}",
        f"{head}.{body}.AAAA",
        f"{head}.{body}",
        "",
        f"{head}..",
        f"{head}.{body}.ü",
    ):
        assert signer.verify(bad) is None


def test_tokens_are_as_others_read_them() -> None:
    """An independent reading of the signature with the public key."""
    key = pki.new_key()
    assert jwt_support.claims(Signer(key).sign(claims()), pki.public_key(key))["sub"] == "s"


async def made(http: Http, namespace: str, **spec: Any) -> tuple[int, Any]:
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default/token"
    body = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": spec}
    return await http("POST", path, json=body)


@pytest.fixture
def account(server: Standalone, namespace: str) -> str:
    """A namespace whose service account is there."""
    for _ in range(100):
        if server.kubectl("get", "serviceaccount", "default", "-n", namespace, "-o", "name", check=False) == (
            "serviceaccount/default\n"
        ):
            return namespace
        time.sleep(0.05)
    raise AssertionError("the namespace got no service account")


async def asked_as(http: Http, token: str, path: str) -> int:
    code, _ = await http("GET", path, headers={"Authorization": f"Bearer {token}"})
    return code


async def test_a_token_is_its_accounts_and_reads_its_own_namespace(http: Http, account: str) -> None:
    code, answer = await made(http, account)
    assert code == 201, answer
    token = answer["status"]["token"]
    headers = {"Authorization": f"Bearer {token}"}
    review = {"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1"}
    _, who = await http(
        "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", json=review, headers=headers
    )
    user = who["status"]["userInfo"]
    assert user["username"] == f"system:serviceaccount:{account}:default"
    assert {"system:serviceaccounts", f"system:serviceaccounts:{account}"} <= set(user["groups"])
    assert await asked_as(http, token, "/api/v1") == 200
    assert await asked_as(http, token, f"/api/v1/namespaces/{account}/pods") == 200
    for path in (
        f"/api/v1/namespaces/{account}/secrets",
        "/api/v1/namespaces/default/pods",
        "/api/v1/pods",
        "/api/v1/nodes",
    ):
        assert await asked_as(http, token, path) == 403
    assert await asked_as(http, token[:-2], "/api/v1") == 401


async def test_a_bound_token_ends_with_its_pod(http: Http, account: str) -> None:
    pods = f"/api/v1/namespaces/{account}/pods"
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    code, created = await http("POST", pods, json=pod)
    assert code == 201
    uid = created["metadata"]["uid"]
    ref = {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": uid}
    code, answer = await made(http, account, boundObjectRef=ref, expirationSeconds=600)
    assert code == 201, answer
    token = answer["status"]["token"]
    assert await asked_as(http, token, pods) == 200
    wrong = {**ref, "uid": "another"}
    assert (await made(http, account, boundObjectRef=wrong))[0] == 409
    assert (await made(http, account, boundObjectRef={**ref, "name": "none"}))[0] == 404
    assert (await made(http, account, boundObjectRef={"kind": "Secret", "name": "s"}))[0] == 422
    assert (await made(http, account, expirationSeconds=5))[0] == 422
    await http("DELETE", f"{pods}/p?gracePeriodSeconds=0")
    for _ in range(100):
        if await asked_as(http, token, pods) == 401:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the token outlived its pod")


async def test_a_token_for_others_is_none_for_us_and_ends_with_its_account(http: Http, account: str) -> None:
    _, answer = await made(http, account, audiences=["vault"])
    assert await asked_as(http, answer["status"]["token"], "/api/v1") == 401
    _, answer = await made(http, account)
    token = answer["status"]["token"]
    assert await asked_as(http, token, "/api/v1") == 200
    await http("DELETE", f"/api/v1/namespaces/{account}/serviceaccounts/default")
    assert await asked_as(http, token, "/api/v1") == 401
    assert json.dumps(answer["spec"]["audiences"])


async def test_pods_pull_with_the_secrets_of_their_account(http: Http, account: str) -> None:
    core = f"/api/v1/namespaces/{account}"
    merge = {"Content-Type": "application/merge-patch+json"}
    mine = {"imagePullSecrets": [{"name": "registry"}]}
    assert (await http("PATCH", f"{core}/serviceaccounts/default", json=mine, headers=merge))[0] == 200
    spec: dict[str, Any] = {"containers": [{"name": "c", "image": "x"}]}
    _, pod = await http("POST", f"{core}/pods", json={"metadata": {"name": "a"}, "spec": spec})
    assert pod["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    spec["imagePullSecrets"] = [{"name": "own"}]
    _, pod = await http("POST", f"{core}/pods", json={"metadata": {"name": "b"}, "spec": spec})
    assert pod["spec"]["imagePullSecrets"] == [{"name": "own"}]


async def test_a_review_says_for_whom_a_token_is(http: Http, account: str) -> None:
    async def review(token: str, *audiences: str) -> dict[str, Any]:
        spec = {"token": token, "audiences": list(audiences)}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        code, answer = await http("POST", "/apis/authentication.k8s.io/v1/tokenreviews", json=body)
        assert code == 201, answer
        status: dict[str, Any] = answer["status"]
        return status

    _, made_for_vault = await made(http, account, audiences=["vault", "safe"])
    token = made_for_vault["status"]["token"]
    assert await review(token) == {"authenticated": False}
    assert await review(token, "other") == {"authenticated": False}
    known = await review(token, "other", "vault")
    assert (known["authenticated"], known["audiences"]) == (True, ["vault"])
    assert known["user"]["username"] == f"system:serviceaccount:{account}:default"
    _, for_us = await made(http, account)
    assert (await review(for_us["status"]["token"], "vault")) == {"authenticated": False}
    assert (await review(for_us["status"]["token"]))["audiences"] == for_us["spec"]["audiences"]


async def test_no_token_outlives_the_bound(http: Http, account: str, tmp_path: Path) -> None:
    """A year is asked for, a day is given, and the answer says so; without a wish it is an hour."""
    path = f"/api/v1/namespaces/{account}/serviceaccounts/default/token"
    body = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1"}
    year = {**body, "spec": {"expirationSeconds": 365 * 24 * 3600}}
    async with http.session.post(http.url + path, json=year) as answer:
        made_for_a_year = await answer.json()
        warning = answer.headers["Warning"]
    assert warning == '299 - "requested expiration of 31536000 seconds shortened to 86400 seconds"'
    assert made_for_a_year["spec"]["expirationSeconds"] == 86400
    code, plain = await http("POST", path, json={**body, "spec": {}})
    assert (code, plain["spec"]["expirationSeconds"]) == (201, 3600)


async def test_a_token_of_before_the_bound_ends_by_it(tmp_path: Path) -> None:
    """Made for ten years by a master that had no bound: over a day after it was made."""
    store = SqliteStore(str(tmp_path / "store.db"))
    await store.start()
    registry = Registry(store, scheme(), admission=plugins())
    await registry.start()
    try:
        admin = LocalClient(registry, User(name="admin", groups=("system:masters",)))
        account = await admin.create(ServiceAccount(metadata=ObjectMeta(name="default", namespace="default")))
        signer = Signer(pki.new_key(), "i")
        bound = Bound("default", Named("default", account.metadata.uid or ""))
        now = int(time.time())
        token = signer.sign(claims(exp=now + 10 * 365 * 86400, iat=now, nbf=now, bound=bound))
        for hours, good in ((23, True), (25, False)):
            later = now + hours * 3600.0
            known = await ServiceAccountTokens(finder(registry), signer, clock=lambda at=later: at).find(
                token
            )
            assert (known is not None) == good
    finally:
        await registry.close()
        await store.close()


async def test_a_kubelet_gets_tokens_of_its_own_pods_only(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "store.db"))
    await store.start()
    registry = Registry(store, scheme(), admission=plugins())
    await registry.start()
    try:
        Issuer(registry, Signer(pki.new_key()))
        admin = LocalClient(registry, User(name="admin", groups=("system:masters",)))
        await admin.create(ServiceAccount(metadata=ObjectMeta(name="default", namespace="default")))
        uids: dict[str, str | None] = {}
        for node in ("here", "there"):
            token = ServiceAccountTokenProjection(path="token")
            vault = ServiceAccountTokenProjection(path="vault", audience="vault")
            sources = [VolumeProjection(service_account_token=one) for one in (token, vault)]
            volume = Volume(name="v", projected=ProjectedVolumeSource(sources=sources))
            spec = PodSpec(node_name=node, containers=[Container(name="c", image="x")], volumes=[volume])
            made = await admin.create(Pod(metadata=ObjectMeta(name=node, namespace="default"), spec=spec))
            uids[node] = made.metadata.uid
        user = User(name="system:node:here", groups=("system:nodes",))
        kubelet = LocalClient(registry, user)

        async def ask(ref: BoundObjectReference | None, *audiences: str) -> str:
            spec = TokenRequestSpec(bound_object_ref=ref, audiences=list(audiences) or None)
            request = TokenRequest(metadata=ObjectMeta(name="default", namespace="default"), spec=spec)
            answer = await kubelet.create_token(request)
            return answer.status.token if answer.status else ""

        mine = BoundObjectReference(kind="Pod", name="here", uid=uids["here"])
        assert await ask(mine)
        assert await ask(mine, "vault")
        other = BoundObjectReference(kind="Pod", name="there", uid=uids["there"])
        refusals: list[tuple[BoundObjectReference | None, tuple[str, ...], int]] = [
            (other, (), 403),
            (None, (), 403),
            (BoundObjectReference(kind="Pod", name="here"), (), 403),
            (replace(mine, uid=uids["there"]), (), 409),
            (mine, ("bank",), 403),
            (mine, ("vault", "bank"), 403),
        ]
        for ref, audiences, code in refusals:
            with pytest.raises(StatusError) as refused:
                await ask(ref, *audiences)
            assert refused.value.code == code, ref
        authorizer = NodeAuthorizer(PodsOfNodes(registry))
        wanted = Attributes(user, "create", "", "serviceaccounts", "token", "default", "default")
        assert (await authorizer.authorize(wanted)).allowed
        for unwanted in (wanted._replace(name="another"), wanted._replace(verb="get", subresource="")):
            assert not (await authorizer.authorize(unwanted)).allowed
    finally:
        await registry.close()
        await store.close()
