# SPDX-License-Identifier: GPL-3.0-or-later
"""News and answers that come late change nothing of what comes of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from test_controllers import rc

from navarch.api.core.configmap import ConfigMap
from navarch.api.core.node.node import Node
from navarch.api.core.pod.container import Container
from navarch.api.core.pod.pod import Pod, PodSpec
from navarch.api.core.replicationcontroller import ReplicationController
from navarch.api.machinery.meta import ObjectMeta, OwnerReference
from navarch.client.events import EventRecorder
from navarch.client.informer import Informers
from navarch.controllers.base import Context, Options
from navarch.controllers.garbage_collector import GarbageCollector
from navarch.kubelet.simulated import SimulatedNodes
from navarch.scheduler import Scheduler


class Slow:
    """A client that keeps back the calls that `holds` names, until it is let go."""

    def __init__(self, client: Any, holds: Callable[..., bool]) -> None:
        self._client = client
        self._holds = holds
        self.reached, self.let_go = asyncio.Event(), asyncio.Event()

    def __getattr__(self, verb: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        call = getattr(self._client, verb)

        async def held(*args: Any, **options: Any) -> Any:
            if self._holds(verb, *args):
                self.reached.set()
                await self.let_go.wait()
            return await call(*args, **options)

        return held


@contextlib.asynccontextmanager
async def going_on(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield
        for task in tasks:
            assert not task.done(), task.exception()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def pod(name: str = "p", **spec: Any) -> Pod:
    return Pod(
        metadata=ObjectMeta(name=name, namespace="default"),
        spec=PodSpec(containers=[Container(name="c", image="i")], **spec),
    )


async def test_an_orphan_that_the_collector_has_not_heard_of_is_let_go_too(still: Any) -> None:
    slow: Any = Slow(still.client, lambda verb, *args: verb == "watch" and args[0] is ConfigMap)
    informers = Informers(slow)
    events = EventRecorder(slow, "test")
    collector = GarbageCollector(Context(slow, informers, events, Options()))
    await informers.start()
    async with going_on(collector.run()):
        await asyncio.wait_for(slow.reached.wait(), 10)
        owner = await still.client.create(rc(replicas=0))
        reference = OwnerReference(
            api_version="v1", kind="ReplicationController", name=owner.metadata.name, uid=owner.metadata.uid
        )
        meta = ObjectMeta(name="kept", namespace="default", owner_references=[reference])
        await still.client.create(ConfigMap(metadata=meta))
        await still.client.delete(ReplicationController, owner.metadata.name, "default", propagation="Orphan")

        async def gone() -> bool:
            return not (await still.client.list(ReplicationController, "default")).items

        await still.eventually(gone)
        kept = await still.client.get(ConfigMap, "kept", "default")
        assert not kept.metadata.owner_references
    await informers.stop()


async def test_a_refusal_that_is_told_late_does_not_undo_the_binding(still: Any) -> None:
    slow: Any = Slow(still.client, lambda verb, *args: verb == "patch" and args[0] is Pod)
    made = await still.client.create(pod())
    async with going_on(Scheduler(slow).run()):
        await asyncio.wait_for(slow.reached.wait(), 10)
        async with going_on(SimulatedNodes(still.client, 1, run_pods=False).run()):

            async def offers() -> bool:
                found = (await still.client.list(Node)).items
                return bool(found) and bool(found[0].status and found[0].status.allocatable)

            await still.eventually(offers)
            await asyncio.sleep(2)  # until it is tried again, and would be bound
            slow.let_go.set()

            async def bound() -> Any:
                found = await still.client.get(Pod, made.metadata.name, "default")
                return found if found.spec.node_name else None

            conditions = (await still.eventually(bound)).status.conditions
            assert [(c.type, c.status) for c in conditions] == [("PodScheduled", "True")]
            await asyncio.sleep(0.2)
            conditions = (await bound()).status.conditions
            assert [(c.type, c.status) for c in conditions] == [("PodScheduled", "True")]


async def test_a_pod_that_changes_while_it_is_started_runs(still: Any) -> None:
    slow: Any = Slow(still.client, lambda verb, *args: verb == "update" and isinstance(args[0], Pod))
    nodes = SimulatedNodes(slow, 1)
    async with going_on(nodes.run()):

        async def joined() -> bool:
            return bool((await still.client.list(Node)).items)

        await still.eventually(joined)
        await still.client.patch(Node, "sim-0", None, {"spec": {"podCIDR": "10.244.0.0/24"}})
        await still.client.create(pod(node_name="sim-0"))
        await asyncio.wait_for(slow.reached.wait(), 10)
        await still.client.patch(Pod, "p", "default", {"metadata": {"labels": {"a": "b"}}})
        await asyncio.sleep(0.2)  # time for the news, which are passed over
        slow.let_go.set()

        async def runs() -> bool:
            found = await still.client.get(Pod, "p", "default")
            return bool(found.status and found.status.phase == "Running")

        await still.eventually(runs)
