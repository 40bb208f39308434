# SPDX-License-Identifier: GPL-3.0-or-later
"""NoExecute taints: pods that do not tolerate them leave the node, those that do for a time leave after
it."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

from navarch.api.core.pod.pod import Pod
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import Preconditions, parse_time
from navarch.client.events import Reference
from navarch.client.views import Taint
from navarch.client.workqueue import WorkQueue
from navarch.controllers import disruption, views
from navarch.controllers.base import Context
from navarch.controllers.views import NodeView, PodView

log = logging.getLogger(__name__)

Key = tuple[str, str]  # (namespace, name)


class TaintEviction:
    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._events = context.events
        self._pods = views.pods(context.informers)
        self._nodes = views.nodes(context.informers)
        self._queue: WorkQueue[Key] = WorkQueue("taint eviction")
        #: (node, taint key) -> when it was first observed, monotonic: wrong clocks do not matter.
        self._since: dict[tuple[str, str], float] = {}
        self._pods.listen(self._on_pod)
        self._nodes.listen(self._on_node)

    async def run(self) -> None:
        await self._queue.run(self._reconcile, workers=4)

    def _on_node(self, old: NodeView | None, new: NodeView | None) -> None:
        name = (new or old).metadata.name  # type: ignore[union-attr] # one of the two is there
        before = {t.key: t for t in _no_execute(old)}
        after = {t.key: t for t in _no_execute(new)}
        for key in before.keys() - after.keys():
            self._since.pop((name, key), None)
        clock = asyncio.get_running_loop().time()
        for key in after.keys() - before.keys():
            self._since[name, key] = clock - _age(after[key])
        if before.keys() != after.keys():
            for pod in self._pods.by_index("node", name):
                self._queue.add((pod.metadata.namespace or "", pod.metadata.name))

    def _on_pod(self, old: PodView | None, new: PodView | None) -> None:
        if new is None or not new.spec.node_name or (old is not None and old.spec.node_name):
            return
        if _no_execute(self._nodes.get(new.spec.node_name)):
            self._queue.add((new.metadata.namespace or "", new.metadata.name))

    async def _reconcile(self, key: Key) -> None:
        pod = self._pods.get(key[1], key[0])
        if pod is None or pod.metadata.deletion_timestamp or pod.finished or not pod.spec.node_name:
            return
        node = self._nodes.get(pod.spec.node_name)
        wait: float | None = None
        for taint in _no_execute(node):
            left = self._left(pod, taint)
            if left is not None and (wait is None or left < wait):
                wait = left
        if wait is None:
            return
        if wait > 0:
            self._queue.add_after(key, wait)
            return
        await self._evict(pod)

    def _left(self, pod: PodView, taint: Taint) -> float | None:
        """Seconds the pod may stay under the taint; None: for ever."""
        seconds = [t.toleration_seconds for t in pod.spec.tolerations or () if t.tolerates(taint)]
        if not seconds:
            return 0.0
        limits = [s for s in seconds if s is not None]
        if not limits:
            return None
        since = self._since.get((pod.spec.node_name or "", taint.key))
        passed = asyncio.get_running_loop().time() - since if since is not None else 0.0
        return max(min(limits) - passed, 0.0)

    async def _evict(self, pod: PodView) -> None:
        meta = pod.metadata
        about = Reference(kind="Pod", name=meta.name, namespace=meta.namespace or "", uid=meta.uid)
        self._events.record(about, "Normal", "TaintManagerEviction", f"Marking for deletion Pod {meta.key}")
        message = "Taint manager: deleting due to NoExecute taint"
        await disruption.set_condition(self._client, pod, "DeletionByTaintManager", message)
        try:
            await self._client.delete(
                Pod, meta.name, meta.namespace, preconditions=Preconditions(uid=meta.uid)
            )
        except StatusError as error:
            if error.code not in (404, 409):
                raise


def _no_execute(node: NodeView | None) -> list[Taint]:
    return [t for t in (node.spec.taints if node else None) or () if t.effect == "NoExecute"]


def _age(taint: Taint) -> float:
    """Seconds since the taint was added as its writer says: what passed before this master started counts
    too."""
    try:
        return max((datetime.now(UTC) - parse_time(taint.time_added or "")).total_seconds(), 0.0)
    except ValueError:
        return 0.0
