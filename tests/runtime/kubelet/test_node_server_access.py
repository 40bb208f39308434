# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may ask the node server what: by the master's own authorizers, asked as a kubelet asks them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from navarch.api.authorization.accessreview import SubjectAccessReview
from navarch.api.builtin import scheme
from navarch.api.machinery.errors import StatusError
from navarch.apiserver.reviews import Reviews
from navarch.auth.authn import Authenticator
from navarch.auth.authz import Union
from navarch.auth.authz.node import NodeAuthorizer
from navarch.auth.authz.roles import Roles
from navarch.auth.user import User
from navarch.client.local import LocalClient
from navarch.kubelet.server.access import Access, needed
from navarch.registry.node_pods import PodsOfNodes
from navarch.registry.registry import Registry
from navarch.store.sqlite import SqliteStore

MASTER = {"commonName": "kube-apiserver-kubelet-client"}


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Registry]:
    store = SqliteStore(str(tmp_path / "store.db"))
    await store.start()
    made = Registry(store, scheme())
    await made.start()
    try:
        Reviews(Union([Roles(), NodeAuthorizer(PodsOfNodes(made))]), Authenticator([], "i")).register(made)
        yield made
    finally:
        await made.close()
        await store.close()


def access(registry: Registry) -> Access:
    return Access(LocalClient(registry, User("system:node:n1", ("system:nodes",))), "n1")


def peer(**names: str) -> dict[str, Any]:
    return {"subject": tuple(((k, v),) for k, v in names.items())}


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (MASTER, 0),
        # What masters of before this identity show.
        ({"organizationName": "system:masters", "commonName": "navarch-kubelet-client"}, 0),
        ({"organizationName": "system:masters", "commonName": "admin"}, 0),
        ({"organizationName": "system:nodes", "commonName": "system:node:n1"}, 403),
        ({"organizationName": "system:nodes", "commonName": "system:node:n2"}, 403),
        ({"organizationName": "people", "commonName": "jane"}, 403),
        ({"organizationName": "system:masters"}, 401),
        ({}, 401),
    ],
)
async def test_the_master_says_who_may(registry: Registry, names: dict[str, str], code: int) -> None:
    for path in (
        "/pods",
        "/exec/default/p/c",
        "/containerLogs/default/p/c",
        "/metrics",
        "/stats/summary",
        "/x",
    ):
        if not code:
            await access(registry).check(peer(**names), path)
            continue
        with pytest.raises(StatusError) as refused:
            await access(registry).check(peer(**names), path)
        assert refused.value.code == code


def test_what_a_path_needs() -> None:
    """A WebSocket begins with a GET; who may read of a node must not get a shell by one."""
    assert (
        needed("/exec/a/b/c")
        == needed("/attach/a/b/c")
        == needed("/portForward/a/b")
        == ("create", ("proxy",))
    )
    assert needed("/containerLogs/a/b/c") == needed("/unknown") == ("get", ("proxy",))
    assert needed("/healthz/ping") == ("get", ("healthz", "proxy"))
    assert needed("/stats/summary") == ("get", ("stats",))


async def test_an_answer_is_remembered_and_a_silent_master_is_no_yes(registry: Registry) -> None:
    mine = access(registry)
    await mine.check(peer(**MASTER), "/exec/a/b/c")
    review = registry.scheme.of(SubjectAccessReview)
    del registry.reviewers[review]
    await mine.check(peer(**MASTER), "/exec/other/b/c")
    for names in (MASTER, {"commonName": "jane"}):
        with pytest.raises(StatusError) as refused:
            await mine.check(peer(**names), "/metrics")
        assert refused.value.code == 500


async def test_the_masters_identity_for_kubelets_is_for_nothing_else(registry: Registry) -> None:
    roles = Roles()
    from navarch.auth.authz import Attributes

    master = User("kube-apiserver-kubelet-client", ("system:authenticated",))
    for verb, resource, subresource in (
        ("get", "nodes", ""), ("list", "pods", ""), ("get", "secrets", ""), ("create", "pods", "exec"),
        ("update", "nodes", "status"), ("create", "serviceaccounts", "token"),
    ):  # fmt: skip
        decision = await roles.authorize(Attributes(master, verb, "", resource, subresource, "", "n"))
        assert not decision.allowed
