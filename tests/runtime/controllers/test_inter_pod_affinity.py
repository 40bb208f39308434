# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods that ask where other pods are: by the API, on simulated nodes."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from navarch.api.core.namespace import Namespace
from navarch.api.core.node.node import Node
from navarch.api.core.pod.affinity import (
    Affinity,
    PodAffinity,
    PodAffinityTerm,
    PodAntiAffinity,
    TopologySpreadConstraint,
)
from navarch.api.core.pod.container import Container, ResourceRequirements
from navarch.api.core.pod.pod import Pod
from navarch.api.core.pod.spec import PodSpec
from navarch.api.core.podtemplate import PodTemplateSpec
from navarch.api.core.replicationcontroller import ReplicationController, ReplicationControllerSpec
from navarch.api.machinery.meta import LabelSelector, ObjectMeta
from navarch.kubelet.simulated import SimulatedNodes

HOST = "kubernetes.io/hostname"


@pytest.fixture
async def nodes(cluster: Any) -> Any:
    """Three simulated nodes that run pods."""
    task = asyncio.create_task(SimulatedNodes(cluster.client, 3).run(), name="nodes")
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def spec(**kw: Any) -> PodSpec:
    return PodSpec(containers=[Container(name="c", image="x")], **kw)


def term(app: str, **kw: Any) -> PodAffinityTerm:
    return PodAffinityTerm(label_selector=LabelSelector(match_labels={"app": app}), topology_key=HOST, **kw)


def near(one: PodAffinityTerm) -> Affinity:
    return Affinity(pod_affinity=PodAffinity(required_during_scheduling_ignored_during_execution=[one]))


def apart(one: PodAffinityTerm) -> Affinity:
    return Affinity(
        pod_anti_affinity=PodAntiAffinity(required_during_scheduling_ignored_during_execution=[one])
    )


def rc(app: str, replicas: int, **kw: Any) -> ReplicationController:
    labels = {"app": app}
    template = PodTemplateSpec(metadata=ObjectMeta(labels=labels), spec=spec(**kw))
    return ReplicationController(
        metadata=ObjectMeta(name=app, namespace="default"),
        spec=ReplicationControllerSpec(replicas=replicas, selector=labels, template=template),
    )


async def where(cluster: Any, app: str) -> list[str]:
    found = (await cluster.client.list(Pod, "default", labels=f"app={app}")).items
    return [pod.spec.node_name or "" for pod in found]


async def message(cluster: Any, name: str) -> str:
    pod = await cluster.client.get(Pod, name, "default")
    told = [c for c in (pod.status.conditions if pod.status else None) or () if c.type == "PodScheduled"]
    return (told[0].message or "") if told else ""


async def test_replicas_that_want_a_node_each(cluster: Any, nodes: Any) -> None:
    await cluster.client.create(rc("db", 4, affinity=apart(term("db"))))

    async def settled() -> bool:
        found = await where(cluster, "db")
        return len(found) == 4 and Counter(found)[""] == 1

    await cluster.eventually(settled)
    found = await where(cluster, "db")
    assert len(set(found)) == 4
    waiting = next(
        pod.metadata.name
        for pod in (await cluster.client.list(Pod, "default", labels="app=db")).items
        if not pod.spec.node_name
    )

    async def told() -> bool:
        expected = "0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules."
        return await message(cluster, waiting) == expected

    await cluster.eventually(told)


async def test_a_pod_that_waits_for_another_goes_where_that_one_went(cluster: Any, nodes: Any) -> None:
    follower = Pod(
        metadata=ObjectMeta(name="follower", namespace="default", labels={"app": "follower"}),
        spec=spec(affinity=near(term("leader", namespaces=["other"]))),
    )
    await cluster.client.create(follower)

    async def told() -> bool:
        return "didn't match pod affinity rules" in await message(cluster, "follower")

    await cluster.eventually(told)
    await cluster.client.create(Namespace(metadata=ObjectMeta(name="other")))
    leader = Pod(metadata=ObjectMeta(name="leader", namespace="other", labels={"app": "leader"}), spec=spec())
    await cluster.client.create(leader)

    async def together() -> bool:
        first = await cluster.client.get(Pod, "leader", "other")
        second = await cluster.client.get(Pod, "follower", "default")
        return bool(first.spec.node_name) and first.spec.node_name == second.spec.node_name

    await cluster.eventually(together)


async def test_a_namespace_selected_by_its_label_counts_once_it_has_it(cluster: Any, nodes: Any) -> None:
    await cluster.client.create(Namespace(metadata=ObjectMeta(name="other")))
    await cluster.client.create(
        Pod(metadata=ObjectMeta(name="leader", namespace="other", labels={"app": "leader"}), spec=spec())
    )
    selected = term("leader", namespace_selector=LabelSelector(match_labels={"team": "red"}))
    await cluster.client.create(
        Pod(metadata=ObjectMeta(name="follower", namespace="default"), spec=spec(affinity=near(selected)))
    )

    async def told() -> bool:
        return "didn't match pod affinity rules" in await message(cluster, "follower")

    await cluster.eventually(told)
    await cluster.client.patch(Namespace, "other", None, {"metadata": {"labels": {"team": "red"}}})

    async def placed() -> bool:
        return bool((await cluster.client.get(Pod, "follower", "default")).spec.node_name)

    await cluster.eventually(placed)


async def test_labels_given_to_a_pod_that_runs_count(cluster: Any, nodes: Any) -> None:
    await cluster.client.create(Pod(metadata=ObjectMeta(name="plain", namespace="default"), spec=spec()))

    async def sits() -> str:
        return (await cluster.client.get(Pod, "plain", "default")).spec.node_name or ""

    node = await cluster.eventually(sits)
    await cluster.client.create(
        Pod(metadata=ObjectMeta(name="follower", namespace="default"), spec=spec(affinity=near(term("late"))))
    )

    async def told() -> bool:
        return "didn't match pod affinity rules" in await message(cluster, "follower")

    await cluster.eventually(told)
    await cluster.client.patch(Pod, "plain", "default", {"metadata": {"labels": {"app": "late"}}})

    async def followed() -> bool:
        return (await cluster.client.get(Pod, "follower", "default")).spec.node_name == node

    await cluster.eventually(followed)


async def half_full(cluster: Any, *names: str) -> None:
    half = Container(
        name="c", image="x", resources=ResourceRequirements(requests={"cpu": "16", "memory": "64Gi"})
    )
    for name in names:
        meta = ObjectMeta(name=f"filler-{name}", namespace="default")
        await cluster.client.create(Pod(metadata=meta, spec=PodSpec(node_name=name, containers=[half])))


async def three(cluster: Any) -> list[str]:
    async def there() -> list[str] | bool:
        found = [
            n.metadata.name or ""
            for n in (await cluster.client.list(Node)).items
            if n.status and n.status.allocatable and n.spec and n.spec.pod_cidr and not n.spec.taints
        ]
        return found if len(found) == 3 else False

    found: list[str] = await cluster.eventually(there)
    return found


async def test_a_pod_that_is_being_deleted_makes_room_for_the_next(cluster: Any, nodes: Any) -> None:
    fullest, *_ = await three(cluster)
    await half_full(cluster, fullest)
    constraint = TopologySpreadConstraint(
        max_skew=1,
        topology_key=HOST,
        when_unsatisfiable="DoNotSchedule",
        label_selector=LabelSelector(match_labels={"app": "web"}),
    )

    async def create(name: str, **kw: Any) -> str:
        meta = ObjectMeta(
            name=name, namespace="default", labels={"app": "web"}, finalizers=kw.pop("finalizers", None)
        )
        wanted = spec(topology_spread_constraints=[constraint], **kw)
        await cluster.client.create(Pod(metadata=meta, spec=wanted))

        async def sits() -> str:
            return (await cluster.client.get(Pod, name, "default")).spec.node_name or ""

        node: str = await cluster.eventually(sits)
        return node

    assert await create("first", node_name=fullest, finalizers=["test.example/wait"]) == fullest
    assert fullest not in {await create("second"), await create("third")}
    await cluster.client.delete(Pod, "first", "default")
    assert await create("fourth") == fullest
    first = await cluster.client.get(Pod, "first", "default")
    assert first.metadata.deletion_timestamp


async def test_replicas_are_spread_over_nodes_that_are_not_equal(cluster: Any, nodes: Any) -> None:
    """Two nodes are half full, the third one is empty: by room alone all would go there."""
    await half_full(cluster, *(await three(cluster))[:2])
    await cluster.client.create(rc("web", 3))

    async def placed() -> bool:
        found = await where(cluster, "web")
        return len(found) == 3 and "" not in found

    await cluster.eventually(placed)
    assert len(set(await where(cluster, "web"))) == 3
