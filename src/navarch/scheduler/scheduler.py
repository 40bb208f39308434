# SPDX-License-Identifier: GPL-3.0-or-later
"""The loop: follow nodes and pods, pick a node for every pod that waits, assume it, bind it.

A placement counts as made the moment it is decided ("assumed"); the watch confirms it, a failed binding
takes it back.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, NamedTuple

from navarch.api.core.namespace import Namespace
from navarch.api.core.node.node import Node
from navarch.api.core.pod.pod import Pod
from navarch.api.machinery import decoders
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import now
from navarch.client.base import Client, WatchEvent
from navarch.client.events import EventRecorder, Reference
from navarch.client.informer import Reflector
from navarch.scheduler.equivalence_class import EquivalenceClass, EquivalenceClasses
from navarch.scheduler.evaluator import Evaluator
from navarch.scheduler.queue import Pending, SchedulingQueue
from navarch.scheduler.snapshot import Snapshot
from navarch.scheduler.views import NamespaceRow, NodeRow, PodCondition, PodRow

log = logging.getLogger(__name__)

#: Pods placed in one go before others on the loop get their turn.
_BATCH = 64
#: Bindings under way at once: enough for the store to commit many in one transaction.
_BINDINGS = 256

_conditions = decoders.of(list[PodCondition])


class _Seat(NamedTuple):
    """Where a pod counts, as what, and whether it is being deleted."""

    row: int
    eclass: EquivalenceClass
    leaving: bool = False


class Scheduler:
    def __init__(self, client: Client, *, name: str = "default-scheduler") -> None:
        self.name = name
        self.snapshot = Snapshot()
        self.evaluator = Evaluator(self.snapshot)
        self.eclasses = EquivalenceClasses()
        self._client = client
        self._events = EventRecorder(client, name)
        self._placed: dict[str, _Seat] = {}  # by uid
        self._binding: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._telling: dict[str, asyncio.Task[None]] = {}  # by uid: that it does not fit
        self._room = asyncio.Event()
        self._queue = SchedulingQueue(lambda: asyncio.get_running_loop().time())
        self._pods: Reflector[PodRow] = Reflector(client, Pod, _Pods(self), view=PodRow)
        self._nodes: Reflector[NodeRow] = Reflector(client, Node, _Nodes(self), view=NodeRow)
        self._namespaces: Reflector[NamespaceRow] = Reflector(
            client, Namespace, _Namespaces(self), view=NamespaceRow
        )

    @property
    def pending(self) -> int:
        """Pods that have no node yet."""
        return len(self._queue)

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._nodes.run(), name="scheduler nodes")
                group.create_task(self._pods.run(), name="scheduler pods")
                group.create_task(self._namespaces.run(), name="scheduler namespaces")
                group.create_task(self._events.run(), name="scheduler events")
                await self._namespaces.synced.wait()
                await self._nodes.synced.wait()
                await self._pods.synced.wait()
                group.create_task(self._place(), name="scheduler loop")
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    # What the watches say.

    def see_pod(self, pod: PodRow, *, deleted: bool = False) -> None:
        uid = pod.metadata.uid
        if deleted or pod.status.phase in ("Succeeded", "Failed"):
            self._queue.remove(uid)
            self._forget(uid)
        elif pod.spec.node_name:
            self._queue.remove(uid)
            self._seat(pod)
        elif self._waits(pod):
            self._enqueue(pod)
        else:
            self._queue.remove(uid)

    def see_node(self, node: NodeRow, *, deleted: bool = False) -> None:
        if deleted:
            self.snapshot.remove_node(node.metadata.name)
        elif self.snapshot.set_node(node):
            self._queue.move_parked()

    def see_namespaces(self, labels: dict[str, dict[str, str] | None]) -> None:
        """The labels of all namespaces."""
        if self.snapshot.pod_counts.set_namespaces(labels):
            self._queue.move_parked()

    def reset_pods(self, pods: list[PodRow]) -> None:
        """A fresh list. Placements whose bindings are under way stay assumed: the list may be older than
        they are."""
        kept = {uid: self._placed[uid] for uid in self._binding if uid in self._placed}
        self._placed.clear()
        self.snapshot.clear_pods()
        self._queue.clear()
        for uid, seat in kept.items():
            self._placed[uid] = seat._replace(leaving=False)
            self.snapshot.take_rows([seat.row], seat.eclass)
        for pod in pods:
            if pod.metadata.uid not in kept:
                self.see_pod(pod)

    def reset_nodes(self, nodes: list[NodeRow]) -> None:
        names = {node.metadata.name for node in nodes}
        for name in [name for name in self.snapshot.names if name not in names]:
            self.snapshot.remove_node(name)
        for node in nodes:
            self.see_node(node)

    def _seat(self, pod: PodRow) -> None:
        """A pod that has its node counts there as what it is now."""
        meta, node = pod.metadata, pod.spec.node_name or ""
        seat = self._placed.get(meta.uid)
        if (
            seat is None
            or self.snapshot.names[seat.row] != node
            or seat.eclass.source != self.eclasses.source(pod)
        ):
            self._forget(meta.uid)
            eclass = self.eclasses.of(pod)
            seat = self._placed[meta.uid] = _Seat(self.snapshot.take(node, eclass), eclass)
            self._queue.move_hopeful()
        if meta.deletion_timestamp is not None and not seat.leaving:
            self.snapshot.leave(seat.row, seat.eclass)
            self._placed[meta.uid] = seat._replace(leaving=True)
            self._queue.move_hopeful()

    def _waits(self, pod: PodRow) -> bool:
        return (
            (pod.spec.scheduler_name or "default-scheduler") == self.name
            and pod.metadata.deletion_timestamp is None
            and bytes(pod.spec.scheduling_gates) in (b"", b"[]")
        )

    def _enqueue(self, pod: PodRow) -> None:
        meta = pod.metadata
        if meta.uid in self._binding:
            return
        eclass = self.eclasses.of(pod)
        known = self._queue.get(meta.uid)
        if known is not None and known.eclass is eclass and known.priority == (pod.spec.priority or 0):
            return  # a change that does not concern scheduling: our own condition, mostly
        message = ""
        if bytes(pod.status.conditions):
            for condition in _conditions.decode(pod.status.conditions):
                if condition.type == "PodScheduled" and condition.status == "False":
                    message = condition.message or ""
        self._queue.add(Pending(meta.uid, meta.namespace, meta.name, eclass, pod.spec.priority or 0, message))

    def _forget(self, uid: str) -> None:
        seat = self._placed.pop(uid, None)
        if seat is not None:
            self.snapshot.give_back(seat.row, seat.eclass, leaving=seat.leaving)
            self._queue.move_parked()

    # Deciding and telling.

    async def _place(self) -> None:
        while True:
            await self._queue.wait()
            alike: list[Pending] = []
            for _ in range(_BATCH):
                pod = self._queue.pop()
                if pod is None:
                    break
                if alike and alike[0].eclass is not pod.eclass:
                    self._attempt(alike)
                    alike = []
                alike.append(pod)
            if alike:
                self._attempt(alike)
            await asyncio.sleep(0)
            while len(self._tasks) >= _BINDINGS:
                self._room.clear()
                await self._room.wait()

    def _attempt(self, pods: list[Pending]) -> None:
        """Pods that cannot even be judged wait like any others: they must not keep all others waiting."""
        try:
            self._try(pods)
        except Exception:
            log.exception("placing %s/%s", pods[0].namespace, pods[0].name)
            for pod in pods:
                if pod.uid not in self._binding:
                    self._queue.park(pod)

    def _try(self, pods: list[Pending]) -> None:
        """Pods of one equivalence class: those that fit are bound, the others get the reason as status."""
        eclass = pods[0].eclass
        rows = self.evaluator.place(eclass, len(pods))
        for pod, row in zip(pods, rows, strict=False):
            self._placed[pod.uid] = _Seat(row, eclass)
            self._binding.add(pod.uid)
            self._spawn(self._bind(pod, self.snapshot.names[row]), f"bind {pod.namespace}/{pod.name}")
        if rows:
            self._queue.move_hopeful()
        refused = pods[len(rows) :]
        if not refused:
            return
        message = self.evaluator.explain(eclass)
        for pod in refused:
            self._queue.park(pod)
            if message != pod.message:
                pod.message = message
                before = self._telling.get(pod.uid)
                work = self._tell_refused(pod, message, before)
                self._telling[pod.uid] = self._spawn(work, f"refuse {pod.namespace}/{pod.name}")

    def _spawn(self, work: Any, name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._room.set()
        if not task.cancelled() and task.exception() is not None:
            log.error("%s", task.get_name(), exc_info=task.exception())

    async def _bind(self, pod: Pending, node: str) -> None:
        if (telling := self._telling.get(pod.uid)) is not None:
            await asyncio.wait([telling])
        try:
            await self._client.bind(pod.name, pod.namespace, node, uid=pod.uid)
        except StatusError as error:
            self._binding.discard(pod.uid)
            self._forget(pod.uid)
            if error.code not in (404, 409):
                log.warning("binding %s/%s to %s: %s", pod.namespace, pod.name, node, error)
            # Gone or bound by somebody else: the watch will say so, and then the pod is not in the queue any
            # more.
            self._queue.retry(pod)
            return
        self._binding.discard(pod.uid)
        self._queue.remove(pod.uid)
        message = f"Successfully assigned {pod.namespace}/{pod.name} to {node}"
        self._events.record(_reference(pod), "Normal", "Scheduled", message)

    async def _tell_refused(self, pod: Pending, message: str, before: asyncio.Task[None] | None) -> None:
        """before: an earlier write about this pod. A later status must also be written later."""
        if before is not None:
            await asyncio.wait([before])
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
            "lastTransitionTime": now(),
        }
        self._events.record(_reference(pod), "Warning", "FailedScheduling", message)
        try:
            await self._client.patch(
                Pod,
                pod.name,
                pod.namespace,
                {"metadata": {"uid": pod.uid}, "status": {"conditions": [condition]}},
                type="strategic",
                subresource="status",
            )
        except StatusError as error:
            if error.code not in (404, 409):
                log.warning("telling %s/%s that it does not fit: %s", pod.namespace, pod.name, error)
                pod.message = ""
        finally:
            if self._telling.get(pod.uid) is asyncio.current_task():
                del self._telling[pod.uid]


def _reference(pod: Pending) -> Reference:
    return Reference(kind="Pod", api_version="v1", namespace=pod.namespace, name=pod.name, uid=pod.uid)


class _Pods:
    """The pods' reflector drives this."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def replace(self, objects: list[PodRow]) -> None:
        self._scheduler.reset_pods(objects)

    def apply(self, events: list[WatchEvent[PodRow]]) -> None:
        for event in events:
            if event.object is not None:
                self._scheduler.see_pod(event.object, deleted=event.type == "DELETED")


class _Nodes:
    """The nodes' reflector drives this."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def replace(self, objects: list[NodeRow]) -> None:
        self._scheduler.reset_nodes(objects)

    def apply(self, events: list[WatchEvent[NodeRow]]) -> None:
        for event in events:
            if event.object is not None:
                self._scheduler.see_node(event.object, deleted=event.type == "DELETED")


class _Namespaces:
    """The namespaces' reflector drives this."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._labels: dict[str, dict[str, str] | None] = {}

    def replace(self, objects: list[NamespaceRow]) -> None:
        self._labels = {row.metadata.name: row.metadata.labels for row in objects}
        self._scheduler.see_namespaces(self._labels)

    def apply(self, events: list[WatchEvent[NamespaceRow]]) -> None:
        for event in events:
            if event.object is not None:
                meta = event.object.metadata
                self._labels[meta.name] = meta.labels
                if event.type == "DELETED":
                    del self._labels[meta.name]
        self._scheduler.see_namespaces(self._labels)
