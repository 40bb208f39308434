# SPDX-License-Identifier: GPL-3.0-or-later
"""Pod CIDRs: every node gets a range of pod addresses of its own out of the cluster's."""

from __future__ import annotations

import ipaddress
import logging

from navarch.api.core.node.node import Node
from navarch.api.machinery.errors import StatusError
from navarch.client.events import Reference
from navarch.client.workqueue import WorkQueue
from navarch.controllers import views
from navarch.controllers.base import Context
from navarch.controllers.views import NodeView

log = logging.getLogger(__name__)


class NodeIpam:
    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._events = context.events
        self._cluster = ipaddress.ip_network(context.options.cluster_cidr)
        self._bits = context.options.node_cidr_mask_size
        self._nodes = views.nodes(context.informers)
        self._queue: WorkQueue[str] = WorkQueue("pod CIDRs")
        #: node name -> number of its range within the cluster's; also ranges given out that the informer
        #: does not show yet.
        self._given: dict[str, int] = {}
        self._next = 0
        self._full = False
        self._nodes.listen(self._on_node)

    async def run(self) -> None:
        await self._queue.run(self._reconcile)

    def _on_node(self, old: NodeView | None, new: NodeView | None) -> None:
        if new is None:
            assert old is not None
            self._given.pop(old.metadata.name, None)
            for node in self._nodes.items():
                if not node.spec.pod_cidr:
                    self._queue.add(node.metadata.name)
        elif new.spec.pod_cidr:
            self._given[new.metadata.name] = self._number(new.spec.pod_cidr)
        else:
            self._queue.add(new.metadata.name)

    def _number(self, cidr: str) -> int:
        """Which of the cluster's ranges this is; -1 for one outside (an administrator's own)."""
        network = ipaddress.ip_network(cidr, strict=False)
        offset = int(network.network_address) - int(self._cluster.network_address)
        size = self._cluster.max_prefixlen - self._bits
        number = offset >> size
        return number if 0 <= number < self._capacity else -1

    @property
    def _capacity(self) -> int:
        return 1 << (self._bits - self._cluster.prefixlen)

    def _take(self, node: str) -> str | None:
        taken = set(self._given.values())
        for step in range(self._capacity):
            number = (self._next + step) % self._capacity
            if number not in taken:
                self._next = number + 1
                self._full = False
                self._given[node] = number
                base = int(self._cluster.network_address) + (
                    number << (self._cluster.max_prefixlen - self._bits)
                )
                return f"{ipaddress.ip_address(base)}/{self._bits}"
        return None

    async def _reconcile(self, name: str) -> None:
        node = self._nodes.get(name)
        if node is None or node.spec.pod_cidr or name in self._given:
            return
        cidr = self._take(name)
        if cidr is None:
            message = (
                f"no free pod range: clusterCIDR {self._cluster} holds {self._capacity} of /{self._bits}:"
                " delete nodes that are gone, or give the master a wider clusterCIDR"
            )
            # Hundreds of nodes may wait: the log says it once, their events say it of each.
            log.log(logging.DEBUG if self._full else logging.ERROR, "node %s: %s", name, message)
            self._full = True
            about = Reference(kind="Node", name=name, uid=node.metadata.uid)
            self._events.record(about, "Warning", "CIDRNotAvailable", message)
            return
        try:
            await self._client.patch(Node, name, None, {"spec": {"podCIDR": cidr, "podCIDRs": [cidr]}})
        except StatusError as error:
            self._given.pop(name, None)
            if error.code != 404:
                raise
