# SPDX-License-Identifier: GPL-3.0-or-later
"""Binding and eviction of pods, and what ends by itself (events)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from registry_support import ctx, refused, replace

from navarch.api.builtin import scheme
from navarch.api.core.binding import BINDING, Binding
from navarch.api.core.event import EVENT, Event
from navarch.api.core.pod.container import Container
from navarch.api.core.pod.pod import POD, Pod
from navarch.api.core.pod.spec import PodSchedulingGate, PodSpec
from navarch.api.core.reference import ObjectReference
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import DeleteOptions, ObjectMeta, Preconditions
from navarch.api.policy.eviction import Eviction
from navarch.registry import core
from navarch.registry.query import Query
from navarch.registry.registry import Registry
from navarch.store.sqlite import SqliteStore


@pytest.fixture
async def registry(store: SqliteStore) -> AsyncIterator[Registry]:
    made = Registry(store, scheme())
    await made.start()
    yield made
    await made.close()


async def make(registry: Registry, name: str = "p", **spec: Any) -> Pod:
    obj = Pod(
        metadata=ObjectMeta(name=name),
        spec=PodSpec(containers=[Container(name="c", image="busybox")], **spec),
    )
    made: Pod = (await registry.create(POD, "default", obj, ctx())).obj
    return made


def binding(node: str, **meta: Any) -> Binding:
    return Binding(metadata=ObjectMeta(name="p", **meta), target=ObjectReference(kind="Node", name=node))


async def test_bind_sets_the_node_and_says_so(registry: Registry) -> None:
    made = await make(registry)
    bound = (
        await registry.bind(
            "default", "p", binding("n1", uid=made.metadata.uid, annotations={"a": "b"}), ctx()
        )
    ).obj
    assert bound == POD.decode(registry.get(POD, "default", "p", ctx()).value)
    assert bound.spec == replace(made.spec, node_name="n1")
    conditions = {c.type: c for c in bound.status.conditions}
    assert conditions["PodScheduled"].status == "True"
    assert conditions["PodScheduled"].last_transition_time
    assert bound.metadata.annotations == {"a": "b"}
    assert bound.metadata.generation == made.metadata.generation


async def test_bind_replaces_the_condition_that_said_unschedulable(registry: Registry) -> None:
    await make(registry)
    no = {"status": {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}}
    await registry.patch(POD, "default", "p", no, "strategic", ctx(), subresource="status")
    bound = (await registry.bind("default", "p", binding("n1"), ctx())).obj
    assert [(c.status, c.reason) for c in bound.status.conditions if c.type == "PodScheduled"] == [
        ("True", None)
    ]


async def test_bind_refusals(registry: Registry) -> None:
    with refused(404, "NotFound", 'pods "p" not found'):
        await registry.bind("default", "p", binding("n1"), ctx())
    await make(registry)
    with refused(422, "Invalid", "target.name: Required value"):
        await registry.bind("default", "p", binding(""), ctx())
    with refused(409, "Conflict", "UID in precondition: x"):
        await registry.bind("default", "p", binding("n1", uid="x"), ctx())
    await registry.bind("default", "p", binding("n1"), ctx())
    words = 'Operation cannot be fulfilled on pods/binding "p": pod p is already assigned to node "n1"'
    with refused(409, "Conflict", words):
        await registry.bind("default", "p", binding("n2"), ctx())
    await registry.delete(POD, "default", "p", DeleteOptions(grace_period_seconds=30), ctx())
    await make(registry, "gated", scheduling_gates=[PodSchedulingGate(name="example.com/wait")])
    with refused(409, "Conflict", "schedulingGates"):
        await registry.assign("default", "gated", "n1", ctx())


async def test_of_many_schedulers_one_binds(registry: Registry) -> None:
    await make(registry)

    async def one(i: int) -> str | None:
        try:
            await registry.assign("default", "p", f"n{i}", ctx())
        except StatusError as exc:
            assert exc.code == 409
            return None
        return f"n{i}"

    nodes = [n for n in await asyncio.gather(*map(one, range(50))) if n]
    assert len(nodes) == 1
    assert POD.decode(registry.get(POD, "default", "p", ctx()).value).spec.node_name == nodes[0]  # type: ignore[union-attr] # made with a spec


async def test_a_bind_and_a_status_update_at_once_both_land(registry: Registry) -> None:
    await make(registry)
    message = {"status": {"message": "hello"}}
    await asyncio.gather(
        registry.assign("default", "p", "n1", ctx()),
        registry.patch(POD, "default", "p", message, "merge", ctx(), subresource="status"),
    )
    both = POD.decode(registry.get(POD, "default", "p", ctx()).value)
    assert both.spec is not None
    assert both.status is not None
    assert (both.spec.node_name, both.status.message) == ("n1", "hello")


async def test_a_binding_posted_to_the_namespace(registry: Registry) -> None:
    await make(registry)
    await registry.create(BINDING, "default", binding("n1"), ctx())
    with refused(409, "Conflict"):
        await registry.create(BINDING, "default", binding("n2"), ctx())


async def test_events_end_by_themselves(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EVENT, "ttl", 1.0)
    monkeypatch.setattr(core, "SHARED_SECONDS", 0.1)
    registry = Registry(store, scheme())
    await registry.start()
    try:
        involved = ObjectReference(kind="Pod", name="p", namespace="default")
        event = Event(metadata=ObjectMeta(name="e"), involved_object=involved, reason="Tested", type="Normal")
        made = await registry.create(EVENT, "default", event, ctx())
        watch = registry.watch(EVENT, Query("default", resource_version=str(made.revision)), ctx())
        batch = await asyncio.wait_for(watch.next(), 10)
        assert [c.kind for c in batch.changes] == ["DELETED"]  # type: ignore[union-attr] # no bookmarks asked
        watch.close()
    finally:
        await registry.close()


async def test_eviction_is_a_deletion_with_its_options(registry: Registry, store: SqliteStore) -> None:
    made = await make(registry)
    before = store.revision
    dry = Eviction(metadata=made.metadata, delete_options=DeleteOptions(dry_run=["All"]))
    await registry.evict("default", "p", dry, ctx())
    assert store.revision == before
    other = Eviction(delete_options=DeleteOptions(preconditions=Preconditions(uid="x")))
    with refused(409, "Conflict"):
        await registry.evict("default", "p", other, ctx())
    last = (await registry.evict("default", "p", Eviction(), ctx())).obj
    assert [(c.type, c.status, c.reason) for c in last.status.conditions] == [
        ("DisruptionTarget", "True", "EvictionByEvictionAPI")
    ]
    with refused(404, "NotFound"):
        registry.get(POD, "default", "p", ctx())
