# SPDX-License-Identifier: GPL-3.0-or-later
"""Deployments in a running cluster: rolling and recreating updates, history, pause, failure, adoption."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from deployment_support import LABELS, Rollout, deployment, image, rolling
from msgspec.structs import replace

from navarch.api.apps.deployment import Deployment, DeploymentStrategy
from navarch.api.apps.replicaset import ReplicaSet
from navarch.api.core.event import Event
from navarch.api.core.node.node import Node
from navarch.api.core.pod.pod import Pod
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import ObjectMeta
from navarch.controllers.deployments import revisions
from navarch.kubelet.simulated import SimulatedNodes


@pytest.fixture
async def nodes(cluster: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(SimulatedNodes(cluster.client, 2).run(), name="nodes")

    async def both() -> bool:
        found = (await cluster.client.list(Node)).items
        return len(found) == 2 and all(n.spec and n.spec.pod_cidr and not n.spec.taints for n in found)

    await cluster.eventually(both)
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def pods(cluster: Any) -> list[Pod]:
    return [p for p in (await cluster.client.list(Pod, "default")).items if not p.metadata.deletion_timestamp]


async def test_an_update_moves_the_pods_and_can_be_undone(cluster: Any, nodes: None) -> None:
    rollout = Rollout(cluster)
    await cluster.client.create(deployment(replicas=3))
    first = await rollout.done()
    assert first.metadata.annotations == {revisions.REVISION: "1"}
    assert first.metadata.generation == 1
    await rollout.set_image("x:2")
    await rollout.done()
    sets = await rollout.sets()
    assert {name: rs.spec.replicas for name, rs in sets.items()} == {"x:1": 0, "x:2": 3}
    assert {p.spec.containers[0].image for p in await pods(cluster) if p.spec} == {"x:2"}
    hash = (sets["x:2"].metadata.labels or {})[revisions.TEMPLATE_HASH]
    assert sets["x:2"].metadata.name == f"web-{hash}"
    await rollout.condition("Progressing", "NewReplicaSetAvailable")
    # Back to the first template: the old replica set is the newest revision again, under its old name.
    await rollout.set_image("x:1")
    await rollout.done()
    again = (await rollout.sets())["x:1"]
    assert again.metadata.uid == sets["x:1"].metadata.uid
    annotations = again.metadata.annotations or {}
    assert (annotations[revisions.REVISION], annotations[revisions.HISTORY]) == ("3", "1")


async def test_bounds_hold_at_every_moment_of_an_update(cluster: Any, nodes: None) -> None:
    rollout = Rollout(cluster)
    await cluster.client.create(deployment(replicas=4, strategy=rolling(1, 0)))
    await rollout.done()
    start = (await cluster.client.list(ReplicaSet, "default")).resource_version
    watch = await cluster.client.watch(ReplicaSet, "default", since=start)
    sets: dict[str, ReplicaSet] = dict(await rollout.sets())
    wrong: list[str] = []

    async def observe() -> None:
        async for batch in watch:
            for event in batch:
                if event.object is not None:
                    sets[image(event.object)] = event.object
                total = sum(rs.spec.replicas or 0 for rs in sets.values())
                if not 4 <= total <= 5:
                    wrong.append(f"{total} pods wanted")

    observer = asyncio.create_task(observe())
    await rollout.set_image("x:2")
    await rollout.done()
    observer.cancel()
    await asyncio.gather(observer, return_exceptions=True)
    await watch.close()
    assert not wrong
    assert "x:2" in sets


async def test_recreate_makes_no_new_pod_before_the_old_ones_are_gone(cluster: Any, nodes: None) -> None:
    rollout = Rollout(cluster)
    await cluster.client.create(deployment(replicas=2, strategy=DeploymentStrategy(type="Recreate")))
    await rollout.done()
    watch = await cluster.client.watch(
        Pod, "default", since=(await cluster.client.list(Pod, "default")).resource_version
    )
    there = {p.metadata.name: image_of(p) for p in await pods(cluster)}
    mixed: list[object] = []

    async def observe() -> None:
        async for batch in watch:
            for event in batch:
                if event.object is None:
                    continue
                there[event.object.metadata.name] = image_of(event.object)
                if event.type == "DELETED":
                    del there[event.object.metadata.name]
                if len(set(there.values())) > 1:
                    mixed.append(dict(there))

    observer = asyncio.create_task(observe())
    await rollout.set_image("x:2")
    await rollout.done()
    observer.cancel()
    await asyncio.gather(observer, return_exceptions=True)
    await watch.close()
    assert not mixed
    assert {image_of(p) for p in await pods(cluster)} == {"x:2"}


def image_of(pod: Pod) -> str | None:
    return pod.spec.containers[0].image if pod.spec else None


async def test_an_update_without_progress_fails_and_keeps_what_runs(cluster: Any, nodes: None) -> None:
    rollout = Rollout(cluster)
    await cluster.client.create(deployment(replicas=4, progress_deadline_seconds=1, strategy=rolling(1, 1)))
    await rollout.done()
    # No node has this label: the new pods stay Pending.
    await rollout.patch({"spec": {"template": {"spec": {"nodeSelector": {"no": "where"}}}}})
    await rollout.condition("Progressing", "ProgressDeadlineExceeded")
    status = (await rollout.get()).status
    assert status is not None
    assert (status.available_replicas or 0) >= 3
    assert any(c.type == "Available" and c.status == "True" for c in status.conditions or ())
    # A rollback gets out of it.
    await rollout.patch({"spec": {"template": {"spec": {"nodeSelector": None}}}})
    await rollout.done()
    await rollout.condition("Progressing", "NewReplicaSetAvailable")


async def test_a_paused_deployment_scales_and_does_not_roll(cluster: Any, nodes: None) -> None:
    rollout = Rollout(cluster)
    await cluster.client.create(deployment(replicas=2))
    await rollout.done()
    await rollout.patch({"spec": {"paused": True}})
    await rollout.condition("Progressing", "DeploymentPaused")
    await rollout.set_image("x:2")
    await rollout.patch({"spec": {"replicas": 3}})

    async def scaled() -> bool:
        return len(await pods(cluster)) == 3

    await cluster.eventually(scaled)
    assert set(await rollout.sets()) == {"x:1"}
    await rollout.patch({"spec": {"paused": False}})
    await rollout.done()
    assert (await rollout.sets())["x:2"].spec.replicas == 3


async def test_old_replica_sets_are_kept_up_to_the_limit(cluster: Any, nodes: None) -> None:
    rollout = Rollout(cluster)
    await cluster.client.create(deployment(replicas=1, revision_history_limit=1))
    for number in (2, 3, 4):
        await rollout.done()
        await rollout.set_image(f"x:{number}")
    await rollout.done()

    async def cleaned() -> bool:
        return set(await rollout.sets()) == {"x:3", "x:4"}

    await cluster.eventually(cleaned)


async def test_a_name_that_is_taken_costs_a_collision_and_no_update(cluster: Any, nodes: None) -> None:
    rollout = Rollout(cluster)
    wanted = deployment(replicas=1)
    stored = await cluster.client.create(replace(wanted, spec=replace(wanted.spec, paused=True)))
    made = revisions.made_for(stored)
    template = made.spec.template
    assert template is not None
    assert template.spec is not None
    other = replace(template, spec=replace(template.spec, hostname="somebody-else"))
    alien = replace(
        made,
        metadata=ObjectMeta(name=made.metadata.name, namespace="default"),
        spec=replace(made.spec, template=other, replicas=0),
    )
    # Of a name that the deployment would choose, with labels that it would not adopt.
    labels = {"else": "where"}
    assert other.metadata is not None
    alien = replace(
        alien,
        spec=replace(
            alien.spec,
            selector=replace(made.spec.selector, match_labels=labels),
            template=replace(other, metadata=replace(other.metadata, labels=labels)),
        ),
    )
    await cluster.client.create(alien)
    await rollout.patch({"spec": {"paused": False}})
    done = await rollout.done()
    assert done.status is not None
    assert done.status.collision_count == 1


async def test_replica_sets_without_an_owner_are_adopted_and_released(cluster: Any, nodes: None) -> None:
    rollout = Rollout(cluster)
    await cluster.client.create(deployment(replicas=2))
    await rollout.done()
    before = (await rollout.sets())["x:1"]
    await cluster.client.delete(Deployment, "web", "default", propagation="Orphan")

    async def orphaned() -> bool:
        gone = not (await cluster.client.list(Deployment, "default")).items
        return gone and not (await rollout.sets())["x:1"].metadata.owner_references

    await cluster.eventually(orphaned)
    assert len(await pods(cluster)) == 2
    created = await cluster.client.create(deployment(replicas=2))
    await rollout.done()
    adopted = (await rollout.sets())["x:1"]
    assert adopted.metadata.uid == before.metadata.uid
    assert [o.uid for o in adopted.metadata.owner_references or ()] == [created.metadata.uid]
    # Labels that the selector does not select any more.
    body = {"metadata": {"labels": {"app": "other"}}}
    await cluster.client.patch(ReplicaSet, adopted.metadata.name or "", "default", body)

    async def released() -> bool:
        sets = (await cluster.client.list(ReplicaSet, "default")).items
        mine = {rs.metadata.uid: rs.metadata.owner_references for rs in sets}
        return len(sets) == 2 and not mine[adopted.metadata.uid]

    await cluster.eventually(released)


async def test_what_refuses_pods_is_a_condition_and_an_event(cluster: Any) -> None:
    await cluster.client.create(deployment(replicas=1))
    rollout = Rollout(cluster)
    # Nothing checks finalizers of a template; a pod with this one is refused.
    bad = {"spec": {"template": {"metadata": {"finalizers": ["not a name"]}}}}
    await rollout.patch(bad)
    await rollout.condition("ReplicaFailure", "FailedCreate")

    async def told() -> bool:
        events = (await cluster.client.list(Event, "default")).items
        return any(e.reason == "FailedCreate" and e.involved_object.kind == "ReplicaSet" for e in events)

    await cluster.eventually(told)


async def test_deleting_a_deployment_takes_its_pods(cluster: Any, nodes: None) -> None:
    await cluster.client.create(deployment(replicas=2))
    await Rollout(cluster).done()
    await cluster.client.delete(Deployment, "web", "default", propagation="Background")

    async def gone() -> bool:
        sets = (await cluster.client.list(ReplicaSet, "default")).items
        return not sets and not (await cluster.client.list(Pod, "default")).items

    await cluster.eventually(gone)


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"selector": None}, "spec.selector", "Required value"),
        ({"selector": {}}, "spec.selector", "empty selector is invalid for deployment"),
        (
            {"selector": {"matchLabels": {"app": "other"}}},
            "spec.template.metadata.labels",
            "`selector` does not match template `labels`",
        ),
        (
            {"strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}},
            "spec.strategy.rollingUpdate",
            "may not be specified when strategy `type` is 'Recreate'",
        ),
        (
            {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}}},
            "spec.strategy.rollingUpdate.maxUnavailable",
            "may not be 0 when `maxSurge` is 0",
        ),
        (
            {"strategy": {"rollingUpdate": {"maxUnavailable": "101%"}}},
            "spec.strategy.rollingUpdate.maxUnavailable",
            "must not be greater than 100%",
        ),
        (
            {"strategy": {"rollingUpdate": {"maxSurge": "many"}}},
            "spec.strategy.rollingUpdate.maxSurge",
            "a valid percent string",
        ),
        ({"strategy": {"type": "Sudden"}}, "spec.strategy.type", "supported values"),
        (
            {"progressDeadlineSeconds": 5, "minReadySeconds": 5},
            "spec.progressDeadlineSeconds",
            "greater than",
        ),
        ({"replicas": -1}, "spec.replicas", "greater than or equal to 0"),
    ],
)
async def test_what_cannot_be_is_refused_with_its_field(
    still: Any, changes: dict[str, Any], field: str, message: str
) -> None:
    document = msgspec.to_builtins(deployment(replicas=1))
    document["spec"].update(changes)
    if changes.get("selector", 0) is None:
        del document["spec"]["selector"]
    wanted = msgspec.convert(document, Deployment)
    with pytest.raises(StatusError) as caught:
        await still.client.create(wanted)
    causes = (caught.value.details or {})["causes"]
    assert any(cause["field"] == field and message in cause["message"] for cause in causes), causes


async def test_a_selector_never_changes(still: Any) -> None:
    await still.client.create(deployment(replicas=1))
    body = {"spec": {"selector": {"matchLabels": {"app": "web", "more": "labels"}}}}
    body["spec"]["template"] = {"metadata": {"labels": {**LABELS, "more": "labels"}}}
    with pytest.raises(StatusError, match="field is immutable"):
        await still.client.patch(Deployment, "web", "default", body, type="strategic")
