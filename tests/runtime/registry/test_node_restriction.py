# SPDX-License-Identifier: GPL-3.0-or-later
"""What a kubelet may write of its node and its pods, whichever verb it takes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from registry_support import ctx, refused

from navarch.api.builtin import scheme
from navarch.api.core.node.identity import node_of
from navarch.api.core.node.node import NODE, Node, NodeAddress, NodeSpec, NodeStatus, Taint
from navarch.api.core.pod.container import Container
from navarch.api.core.pod.environment import EnvVar, EnvVarSource, SecretKeySelector
from navarch.api.core.pod.pod import POD, Pod
from navarch.api.core.pod.spec import PodSpec
from navarch.api.machinery.meta import ObjectMeta, OwnerReference
from navarch.auth.user import User
from navarch.registry.admission import standard
from navarch.registry.context import Context
from navarch.registry.registry import Registry
from navarch.store.sqlite import SqliteStore

KUBELET = User("system:node:n1", ("system:nodes",))
OWNER = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "name": "x", "uid": "y"}
CONTAINER = Container(name="c", image="busybox")


@pytest.fixture
async def registry(store: SqliteStore) -> AsyncIterator[Registry]:
    plugins = standard.plugins(service_cidr="10.96.0.0/28", pod_networks=["10.9.0.0/16"])
    made = Registry(store, scheme(), admission=plugins)
    await made.start()
    yield made
    await made.close()


def by_kubelet(**more: Any) -> Context:
    return ctx(KUBELET, **more)


async def node(registry: Registry) -> Node:
    status = NodeStatus(addresses=[NodeAddress(type="InternalIP", address="192.0.2.1")])
    made = Node(metadata=ObjectMeta(name="n1"), spec=NodeSpec(pod_cidr="10.244.3.0/24"), status=status)
    found: Node = (await registry.create(NODE, None, made, ctx())).obj
    return found


@pytest.mark.parametrize("name", ["", "../x", "x/y", "N1", "a_b", "-a", "x" * 254])
async def test_a_node_without_a_valid_name_writes_nothing(registry: Registry, name: str) -> None:
    user = User(f"system:node:{name}", ("system:nodes",))
    assert node_of(user.name, user.groups) is None
    labels = {"node-restriction.kubernetes.io/x": "1"}
    made = Node(metadata=ObjectMeta(name="n9", labels=labels))
    with refused(403, "Forbidden", "could not determine node from user"):
        await registry.create(NODE, None, made, ctx(user))
    await registry.create(POD, "default", Pod(metadata=ObjectMeta(name="p"), spec=spec()), ctx())
    with refused(403, "Forbidden", "could not determine node from user"):
        await registry.delete(POD, "default", "p", None, ctx(user))


FORBIDDEN = {
    "ownerReferences": {"metadata": {"ownerReferences": [OWNER]}},
    "finalizers": {"metadata": {"finalizers": ["example.com/mine"]}},
    "labels": {"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}},
    "taints": {"spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}},
    "the spec of its node": {"spec": {"unschedulable": True}},
}


@pytest.mark.parametrize("what", FORBIDDEN)
async def test_a_kubelet_changes_of_its_node_only_what_is_its_own(registry: Registry, what: str) -> None:
    await node(registry)
    body: dict[str, Any] = FORBIDDEN[what]
    why = f"not allowed to modify {what}"
    for subresource in ("", "status") if "metadata" in body else ("",):
        for kind in ("merge", "strategic"):
            with refused(403, "Forbidden", why):
                await registry.patch(NODE, None, "n1", body, kind, by_kubelet(), subresource=subresource)
        head = {"apiVersion": "v1", "kind": "Node"}
        applied = {**head, **body, "metadata": {"name": "n1", **body.get("metadata", {})}}
        mine = by_kubelet(field_manager="kubelet", dry_run=bool(subresource))
        if subresource:
            # An apply to the status is about the status alone.
            same = await registry.apply(NODE, None, "n1", applied, mine, force=True, subresource="status")
            assert not any(
                getattr(same.obj.metadata, f) for f in ("labels", "finalizers", "owner_references")
            )
        else:
            with refused(403, "Forbidden", why):
                await registry.apply(NODE, None, "n1", applied, mine, force=True)
        changed = NODE.decode(
            (await registry.patch(NODE, None, "n1", body, "merge", ctx(dry_run=True))).value
        )
        with refused(403, "Forbidden", why):
            await registry.update(NODE, None, "n1", changed, by_kubelet(), subresource=subresource)
    # What somebody else has put there does not keep the kubelet from its own, nor may it take it away.
    await registry.patch(NODE, None, "n1", body, "merge", ctx())
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    await registry.patch(NODE, None, "n1", ready, "merge", by_kubelet(), subresource="status")
    away = {part: dict.fromkeys(fields) for part, fields in body.items()}
    with refused(403, "Forbidden", why):
        await registry.patch(NODE, None, "n1", away, "merge", by_kubelet())


async def test_a_kubelet_registers_without_owners_and_range_but_with_taints(registry: Registry) -> None:
    for meta, more, why in (
        (
            {"owner_references": [OwnerReference(api_version="v1", kind="X", name="x", uid="y")]},
            {},
            "ownerReferences",
        ),
        ({"finalizers": ["example.com/mine"]}, {}, "finalizers"),
        ({"labels": {"node-restriction.kubernetes.io/x": "1"}}, {}, "labels"),
        ({}, {"pod_cidr": "10.244.9.0/24"}, "the spec of its node"),
    ):
        with refused(403, "Forbidden", f"not allowed to modify {why}"):
            made = Node(metadata=ObjectMeta(name="n1", **meta), spec=NodeSpec(**more))
            await registry.create(NODE, None, made, by_kubelet())
    taint = Taint(key="k", effect="NoSchedule")
    mine = NodeSpec(taints=[taint], unschedulable=True, provider_id="cloud://1")
    made = (
        await registry.create(NODE, None, Node(metadata=ObjectMeta(name="n1"), spec=mine), by_kubelet())
    ).obj
    assert made.spec.taints == [taint]


def spec(**more: Any) -> PodSpec:
    return PodSpec(containers=[CONTAINER], **more)


async def pod(registry: Registry, name: str, **more: Any) -> None:
    made = Pod(metadata=ObjectMeta(name=name), spec=spec(node_name="n1", **more))
    await registry.create(POD, "default", made, ctx())


async def say(registry: Registry, name: str, **status: Any) -> None:
    body = {"status": status}
    await registry.patch(POD, "default", name, body, "merge", by_kubelet(), subresource="status")


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "169.254.1.1", "10.244.4.1", "192.0.2.1", "10.96.0.1", "::1", "0.0.0.0"]
)
async def test_a_pods_address_is_of_its_nodes_range(registry: Registry, address: str) -> None:
    await node(registry)
    await pod(registry, "p")
    for status in (
        {"podIP": address},
        {"podIPs": [{"ip": address}]},
        {"podIPs": [{"ip": "10.244.3.7"}, {"ip": address}]},
    ):
        with refused(
            403, "Forbidden", f"cannot give a pod the address {address}: its range is 10.244.3.0/24"
        ):
            await say(registry, "p", **status)
    await say(registry, "p", podIP="10.244.3.7", hostIP="192.0.2.1")
    await say(registry, "p", podIP=None, podIPs=[{"ip": "10.9.1.1"}])
    await pod(registry, "h", host_network=True)
    if address != "192.0.2.1":
        with refused(403, "Forbidden", f"has no address {address}"):
            await say(registry, "h", podIP=address)
        with refused(403, "Forbidden", f"has no address {address}"):
            await say(registry, "p", hostIP=address)
        with refused(403, "Forbidden", f"has no address {address}"):
            await say(registry, "p", hostIPs=[{"ip": "192.0.2.1"}, {"ip": address}])
    await say(registry, "h", podIP="192.0.2.1", hostIPs=[{"ip": "192.0.2.1"}])


async def test_an_address_that_a_pod_has_is_not_looked_at_again(registry: Registry) -> None:
    """A node that moves goes on telling how its pods are; the address it had is not refused."""
    await node(registry)
    await pod(registry, "p", host_network=True)
    await say(registry, "p", podIP="192.0.2.1", hostIP="192.0.2.1", phase="Running")
    moved = {"status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.2"}]}}
    await registry.patch(NODE, None, "n1", moved, "merge", by_kubelet(), subresource="status")
    await say(registry, "p", phase="Succeeded")
    await registry.delete(NODE, None, "n1", None, ctx())
    await say(registry, "p", message="over")
    with refused(403, "Forbidden", "has no address 192.0.2.3"):
        await say(registry, "p", podIP="192.0.2.3", podIPs=None)


async def test_a_kubelet_marks_no_pod_and_holds_none(registry: Registry) -> None:
    await node(registry)
    await pod(registry, "p")
    for meta, code, why in (
        ({"annotations": {"kubernetes.io/config.mirror": "x"}}, 422, "may not add, remove or update it"),
        ({"finalizers": ["example.com/mine"]}, 403, "cannot update finalizers through pod status"),
        ({"labels": {"a": "b"}}, 403, "cannot update labels through pod status"),
    ):
        with refused(code, "Invalid" if code == 422 else "Forbidden", why):
            await registry.patch(
                POD, "default", "p", {"metadata": meta}, "merge", by_kubelet(), subresource="status"
            )
    with refused(422, "Invalid", "may not add, remove or update it"):
        body = {"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}}
        await registry.patch(POD, "default", "p", body, "merge", ctx())


async def test_a_mirror_pod_names_no_secret_anywhere(registry: Registry) -> None:
    await node(registry)
    meta = ObjectMeta(name="m", annotations={"kubernetes.io/config.mirror": "x"})
    key = EnvVarSource(secret_key_ref=SecretKeySelector(name="s", key="k"))
    told = Container(name="c", image="busybox", env=[EnvVar(name="A", value_from=key)])
    with refused(403, "Forbidden", "can not create pods that reference secrets"):
        made = Pod(metadata=meta, spec=PodSpec(node_name="n1", containers=[told]))
        await registry.create(POD, "default", made, by_kubelet())
