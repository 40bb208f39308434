# SPDX-License-Identifier: GPL-3.0-or-later
"""Node lifecycle: a node whose lease is not renewed becomes Unknown; what a node's conditions mean is said
by taints.

Time is measured here, from when a renewal was observed, by the monotonic clock: nodes' clocks do not matter.
Evicting the pods is
`eviction`'s business; here they are only said to be not ready, so that services leave them out.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec

from navarch.api.core.node.node import Node
from navarch.api.core.pod.pod import Pod
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import now
from navarch.client.events import Reference
from navarch.client.views import Taint
from navarch.client.workqueue import WorkQueue
from navarch.controllers import views
from navarch.controllers.base import Context
from navarch.controllers.views import LeaseView, NodeView, PodView

log = logging.getLogger(__name__)

LEASES = "kube-node-lease"
NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
_UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_PRESSURES = {
    "MemoryPressure": "node.kubernetes.io/memory-pressure",
    "DiskPressure": "node.kubernetes.io/disk-pressure",
    "PIDPressure": "node.kubernetes.io/pid-pressure",
    "NetworkUnavailable": "node.kubernetes.io/network-unavailable",
}
_OURS = frozenset({NOT_READY, UNREACHABLE, _UNSCHEDULABLE, *_PRESSURES.values()})
_CONDITIONS = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
#: Seconds by which the clock's watch may wake late without having been stopped or starved.
_STALL = 1.0


class NodeLifecycle:
    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._events = context.events
        self._grace = context.options.node_monitor_grace
        # When the grace is over, every node's services have left the lost one out: that takes a part of it.
        self._patience = self._grace * 0.9
        self._nodes = views.nodes(context.informers)
        self._pods = views.pods(context.informers)
        self._leases = views.leases(context.informers)
        self._queue: WorkQueue[str] = WorkQueue("node lifecycle")
        self._heard: dict[str, float] = {}
        self._nodes.listen(self._on_node)
        self._leases.listen(self._on_lease)

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch_clock(), name="node lifecycle clock")
                group.create_task(self._queue.run(self._reconcile, workers=4), name="node lifecycle queue")
        finally:
            self._heard.clear()

    def _on_lease(self, old: LeaseView | None, new: LeaseView | None) -> None:
        if new is None or new.metadata.namespace != LEASES:
            return
        if old is None or old.spec.renew_time != new.spec.renew_time:
            self._heard[new.metadata.name] = asyncio.get_running_loop().time()

    def _on_node(self, old: NodeView | None, new: NodeView | None) -> None:
        if new is None:
            assert old is not None
            self._heard.pop(old.metadata.name, None)
            return
        clock = asyncio.get_running_loop().time()
        before, after = old.condition("Ready") if old else None, new.condition("Ready")
        if old is None:
            # A fresh node, or a fresh master: everybody gets the whole grace.
            self._heard.setdefault(new.metadata.name, clock)
        elif after is not None and (
            before is None or before.last_heartbeat_time != after.last_heartbeat_time
        ):
            self._heard[new.metadata.name] = clock
        self._queue.add(new.metadata.name)

    def _lost(self, name: str) -> bool:
        heard = self._heard.get(name)
        return heard is not None and asyncio.get_running_loop().time() - heard >= self._patience

    async def _watch_clock(self) -> None:
        """Wakes when the first node's time is up; the one that is new meanwhile has longer.

        Time in which this process did not run does not count: renewals of that time are still to be read.
        """
        period = min(5.0, self._grace / 8)
        loop = asyncio.get_running_loop()
        while True:
            ends = [
                left for heard in self._heard.values() if (left := heard + self._patience - loop.time()) > 0
            ]
            began, pause = loop.time(), min([period, *ends]) + 0.01
            await asyncio.sleep(pause)
            woken = loop.time()
            if (late := woken - began - pause) > _STALL:
                log.warning("did not run for %.1f s: every node gets as much longer", late)
                self._heard = {name: min(heard + late, woken) for name, heard in self._heard.items()}
                continue
            for node in self._nodes.items():
                ready = node.condition("Ready")
                if (ready is None or ready.status != "Unknown") and self._lost(node.metadata.name):
                    self._queue.add(node.metadata.name)

    async def _reconcile(self, name: str) -> None:
        node = self._nodes.get(name)
        if node is None:
            return
        ready = node.condition("Ready")
        if (ready is None or ready.status != "Unknown") and self._lost(name):
            await self._mark_unknown(node)
            return  # the change comes back through the informer, and then the taints follow
        await self._set_taints(node)
        if ready is not None and ready.status != "True":
            for pod in self._pods.by_index("node", name):
                await self._mark_pod_not_ready(pod)

    async def _mark_unknown(self, node: NodeView) -> None:
        name = node.metadata.name
        log.warning("node %s has not been heard of for %.0f s", name, self._grace)
        conditions = []
        for type in _CONDITIONS:
            known = node.condition(type)
            if known is None or known.status != "Unknown":
                conditions.append(
                    {
                        "type": type,
                        "status": "Unknown",
                        "reason": "NodeStatusUnknown" if known else "NodeStatusNeverUpdated",
                        "message": "Kubelet stopped posting node status."
                        if known
                        else "Kubelet never posted node status.",
                        "lastHeartbeatTime": (known.last_heartbeat_time if known else None) or now(),
                        "lastTransitionTime": now(),
                    }
                )
        await self._client.patch(
            Node, name, None, {"status": {"conditions": conditions}}, type="strategic", subresource="status"
        )
        about = Reference(kind="Node", name=name, uid=node.metadata.uid)
        self._events.record(about, "Normal", "NodeNotReady", f"Node {name} status is now: NodeNotReady")

    async def _set_taints(self, node: NodeView) -> None:
        wanted = _wanted(node)
        have = [(t.key, t.effect) for t in node.spec.taints or () if t.key in _OURS]
        if sorted(have) == sorted(wanted):
            return
        others = [t for t in node.spec.taints or () if t.key not in _OURS or (t.key, t.effect) in wanted]
        known = {(t.key, t.effect) for t in others}
        fresh = [
            Taint(key=key, effect=effect, time_added=now() if effect == "NoExecute" else None)
            for key, effect in wanted
            if (key, effect) not in known
        ]
        body: dict[str, Any] = {
            "metadata": {"resourceVersion": node.metadata.resource_version},
            "spec": {"taints": [_plain(taint) for taint in (*others, *fresh)] or None},
        }
        try:
            await self._client.patch(Node, node.metadata.name, None, body)
        except StatusError as error:
            # Conflict: a newer version is on its way here. Gone: nothing to do.
            if error.code not in (404, 409):
                raise

    async def _mark_pod_not_ready(self, pod: PodView) -> None:
        if pod.ready_since is None or pod.finished:
            return
        condition = {
            "type": "Ready",
            "status": "False",
            "reason": "NodeNotReady",
            "message": "the node this pod runs on is not ready",
            "lastTransitionTime": now(),
        }
        meta = pod.metadata
        body = {"metadata": {"uid": meta.uid}, "status": {"conditions": [condition]}}
        try:
            await self._client.patch(
                Pod, meta.name, meta.namespace, body, type="strategic", subresource="status"
            )
        except StatusError as error:
            if error.code not in (404, 409):
                raise


def _plain(taint: Taint) -> dict[str, str]:
    plain: dict[str, str | None] = msgspec.to_builtins(taint)
    return {name: value for name, value in plain.items() if value is not None}


def _wanted(node: NodeView) -> list[tuple[str, str]]:
    """The (key, effect) pairs that the node's conditions and cordon call for."""
    wanted = []
    ready = node.condition("Ready")
    if ready is None or ready.status == "False":
        wanted.append((NOT_READY, "NoSchedule"))
        if ready is not None:
            wanted.append((NOT_READY, "NoExecute"))
    elif ready.status == "Unknown":
        wanted += [(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")]
    for type, key in _PRESSURES.items():
        condition = node.condition(type)
        if condition is not None and condition.status == "True":
            wanted.append((key, "NoSchedule"))
    if node.spec.unschedulable:
        wanted.append((_UNSCHEDULABLE, "NoSchedule"))
    return wanted
