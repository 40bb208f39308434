# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulated nodes: they join, renew their leases and "run" pods in memory. For tests, for trying things, for
benchmarks.

A pod bound to one of them is Running and Ready with an address from its node's range as soon as its status is
written; a deleted one is gone at once. Nothing is started anywhere.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import random
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from navarch import GIT_VERSION
from navarch.api.coordination.lease import Lease, LeaseSpec
from navarch.api.core.node.node import Node, NodeAddress, NodeCondition, NodeStatus, NodeSystemInfo
from navarch.api.core.pod.pod import Pod
from navarch.api.core.pod.status import (
    ContainerState,
    ContainerStateRunning,
    ContainerStatus,
    HostIP,
    PodCondition,
    PodIP,
    PodStatus,
)
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import ObjectMeta, Preconditions, now, now_micro
from navarch.client.base import Client, WatchEvent
from navarch.client.informer import Reflector

log = logging.getLogger(__name__)

_LEASES = "kube-node-lease"
_RENEW = 10.0
_WORKERS = 64
_RANGELESS = 0.05
_REASONS = {
    "Ready": "KubeletReady",
    "MemoryPressure": "KubeletHasSufficientMemory",
    "DiskPressure": "KubeletHasNoDiskPressure",
    "PIDPressure": "KubeletHasSufficientPID",
}


class NodeRow(msgspec.Struct, frozen=True, gc=False):
    """What is read of a node: its range."""

    class Spec(msgspec.Struct, frozen=True, gc=False):
        pod_cidr: str = msgspec.field(name="podCIDR", default="")

    metadata: ObjectMeta = ObjectMeta()
    spec: Spec | None = None


class _Range:
    """The addresses of one node's pods."""

    def __init__(self, cidr: str) -> None:
        self.cidr = cidr
        network = ipaddress.ip_network(cidr)
        self._first = int(network.network_address) + 2  # the network's own and the bridge's
        self._count = network.num_addresses - 3
        self._next = 0
        self._held: dict[str, int] = {}  # uid -> address
        self._taken: set[int] = set()

    def hold(self, uid: str, address: str) -> None:
        self._held[uid] = int(ipaddress.ip_address(address))
        self._taken.add(self._held[uid])

    def take(self, uid: str) -> str:
        """An address that no pod has; "" when there is none."""
        if uid in self._held:
            return str(ipaddress.ip_address(self._held[uid]))
        for _ in range(self._count):
            address = self._first + self._next % self._count
            self._next += 1
            if address not in self._taken:
                self._held[uid] = address
                self._taken.add(address)
                return str(ipaddress.ip_address(address))
        return ""

    def free(self, uid: str) -> None:
        self._taken.discard(self._held.pop(uid, 0))


class _Ranges:
    """Follows the nodes: their ranges, and which of ours somebody deleted."""

    def __init__(self, ours: set[str], gone: Callable[[str], None]) -> None:
        self._ours, self._gone = ours, gone
        self.of: dict[str, _Range] = {}

    def replace(self, objects: list[NodeRow]) -> None:
        there = {row.metadata.name for row in objects}
        for row in objects:
            self._see(row)
        for name in self._ours - there:
            self._forget(name)

    def apply(self, events: list[WatchEvent[NodeRow]]) -> None:
        for event in events:
            if event.object is None:
                continue
            if event.type == "DELETED":
                self._forget(event.object.metadata.name or "")
            else:
                self._see(event.object)

    def _see(self, row: NodeRow) -> None:
        name = row.metadata.name or ""
        if name not in self._ours or row.spec is None or not row.spec.pod_cidr:
            return
        known = self.of.get(name)
        if known is None or known.cidr != row.spec.pod_cidr:
            self.of[name] = _Range(row.spec.pod_cidr)

    def _forget(self, name: str) -> None:
        # The range stays: its pods do, and mostly the node gets it again.
        if name in self._ours:
            self._gone(name)


class SimulatedNodes:
    """`count` nodes named `sim-0` ...; each offers `cpu`, `memory` and `pods`."""

    def __init__(
        self,
        client: Client,
        count: int,
        *,
        cpu: str = "32",
        memory: str = "128Gi",
        pods: str = "110",
        run_pods: bool = True,
    ) -> None:
        self._client = client
        self._names = [f"sim-{number}" for number in range(count)]
        self._offer: dict[str, str | int | float] = {"cpu": cpu, "memory": memory, "pods": pods}
        self._run_pods = run_pods
        self._addresses: dict[str, str] = {}  # node -> its own address
        self._ranges = _Ranges(set(self._names), self._rejoin)
        self._work: asyncio.Queue[Pod] = asyncio.Queue()
        self._joining: set[asyncio.Task[None]] = set()
        self._started: set[str] = set()  # uids

    async def run(self) -> None:
        """Join all, then serve until cancelled."""
        await self._each(self._join(number, name) for number, name in enumerate(self._names))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._renew(), name="simulated leases")
            nodes: Reflector[NodeRow] = Reflector(self._client, Node, self._ranges, view=NodeRow)
            group.create_task(nodes.run(), name="simulated nodes")
            if self._run_pods:
                pods: Reflector[Pod] = Reflector(self._client, Pod, self)
                group.create_task(pods.run(), name="simulated pods")
                for number in range(_WORKERS):
                    group.create_task(self._serve(), name=f"simulated kubelet {number}")

    def _rejoin(self, name: str) -> None:
        """A kubelet whose node is deleted registers it again."""
        task = asyncio.create_task(self._join(self._names.index(name), name), name=f"join {name}")
        self._joining.add(task)
        task.add_done_callback(self._joined)

    def _joined(self, task: asyncio.Task[None]) -> None:
        self._joining.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("%s: %s", task.get_name(), error)

    @staticmethod
    async def _each(calls: Any) -> None:
        """All of them, some dozens at a time."""
        calls = list(calls)
        for start in range(0, len(calls), _WORKERS):
            await asyncio.gather(*calls[start : start + _WORKERS])

    async def _join(self, number: int, name: str) -> None:
        address = str(ipaddress.ip_address("127.64.0.0") + number + 1)  # loopback: nothing is asked elsewhere
        self._addresses[name] = address
        conditions = [
            NodeCondition(
                type=type,
                status="True" if type == "Ready" else "False",
                reason=reason,
                message="simulated",
                last_heartbeat_time=now(),
                last_transition_time=now(),
            )
            for type, reason in _REASONS.items()
        ]
        status = NodeStatus(
            capacity=self._offer,
            allocatable=self._offer,
            conditions=conditions,
            addresses=[
                NodeAddress(type="InternalIP", address=address),
                NodeAddress(type="Hostname", address=name),
            ],
            node_info=NodeSystemInfo(
                kubelet_version=GIT_VERSION,
                operating_system="linux",
                architecture="amd64",
                os_image="simulated",
                kernel_version="simulated",
                container_runtime_version="simulated://0",
            ),
        )
        labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
        node = Node(metadata=ObjectMeta(name=name, labels=labels))
        try:
            node = await self._client.create(node)
        except StatusError as error:
            if error.code != 409:
                raise
            node = await self._client.get(Node, name)
        await self._client.patch(
            Node, name, None, {"status": msgspec.to_builtins(status)}, type="merge", subresource="status"
        )
        try:
            await self._client.create(
                Lease(
                    metadata=ObjectMeta(name=name, namespace=_LEASES),
                    spec=LeaseSpec(holder_identity=name, lease_duration_seconds=40, renew_time=now_micro()),
                )
            )
        except StatusError as error:
            if error.code != 409:
                raise

    async def _renew(self) -> None:
        """Each lease every ten seconds, spread evenly over them."""
        loop = asyncio.get_running_loop()
        order = random.sample(self._names, len(self._names))
        leases: dict[str, Lease] = {}
        steps = 100
        while True:
            started = loop.time()
            for step in range(steps):
                await asyncio.gather(*(self._renew_one(name, leases) for name in order[step::steps]))
                await asyncio.sleep(max(0.0, started + (step + 1) * _RENEW / steps - loop.time()))

    async def _renew_one(self, name: str, leases: dict[str, Lease]) -> None:
        try:
            lease = leases.get(name) or await self._client.get(Lease, name, _LEASES)
            # Others may write it too, and leave the spec out.
            spec = msgspec.structs.replace(lease.spec or LeaseSpec(), renew_time=now_micro())
            leases[name] = await self._client.update(msgspec.structs.replace(lease, spec=spec))
        except StatusError as error:
            leases.pop(name, None)
            log.debug("lease of %s: %s", name, error)

    # The reflector drives these.

    def replace(self, objects: list[Pod]) -> None:
        self._started &= {pod.metadata.uid or "" for pod in objects}
        for pod in objects:
            self._see(pod)

    def apply(self, events: list[WatchEvent[Pod]]) -> None:
        for event in events:
            if event.object is None:
                continue
            if event.type == "DELETED":
                self._leave(event.object)
            else:
                self._see(event.object)

    def _leave(self, pod: Pod) -> None:
        uid = pod.metadata.uid or ""
        self._started.discard(uid)
        node = pod.spec.node_name if pod.spec is not None else None
        if (range := self._ranges.of.get(node or "")) is not None:
            range.free(uid)

    def _see(self, pod: Pod) -> None:
        if pod.spec is None or pod.spec.node_name not in self._addresses:
            return
        uid = pod.metadata.uid or ""
        held = self._ranges.of.get(pod.spec.node_name)
        if held is not None and uid not in self._started and pod.status and pod.status.pod_ip:
            held.hold(uid, pod.status.pod_ip)  # of before we started
        if pod.metadata.deletion_timestamp is not None:
            self._work.put_nowait(pod)
        elif uid not in self._started and not (
            pod.status and pod.status.phase in ("Running", "Succeeded", "Failed")
        ):
            self._started.add(uid)
            self._work.put_nowait(pod)

    async def _serve(self) -> None:
        while True:
            pod = await self._work.get()
            action: Coroutine[Any, Any, None] = (
                self._stop(pod) if pod.metadata.deletion_timestamp is not None else self._start(pod)
            )
            try:
                await action
            except StatusError as error:
                self._started.discard(pod.metadata.uid or "")
                if error.code == 409:
                    await self._look_again(pod)
                elif error.code != 404:
                    log.warning("simulated pod %s: %s", pod.metadata.name, error)

    async def _look_again(self, pod: Pod) -> None:
        """The pod changed while it was being started, and that event was passed over."""
        try:
            fresh = await self._client.get(Pod, pod.metadata.name or "", pod.metadata.namespace)
        except StatusError as error:
            if error.code != 404:
                log.warning("simulated pod %s: %s", pod.metadata.name, error)
            return
        if fresh.metadata.uid == pod.metadata.uid:
            self._see(fresh)

    async def _stop(self, pod: Pod) -> None:
        meta = pod.metadata
        await self._client.delete(
            Pod, meta.name or "", meta.namespace, grace=0, preconditions=Preconditions(uid=meta.uid)
        )

    async def _start(self, pod: Pod) -> None:
        assert pod.spec is not None
        moment = now()
        node = pod.spec.node_name or ""
        range = self._ranges.of.get(node)
        if range is None:
            # The node has no range yet: as on a real one, its pods wait.
            asyncio.get_running_loop().call_later(_RANGELESS, self._work.put_nowait, pod)
            return
        address = range.take(pod.metadata.uid or "")
        host = self._addresses[node]
        scheduled = [
            c for c in (pod.status.conditions if pod.status else None) or () if c.type == "PodScheduled"
        ]
        status = msgspec.structs.replace(
            pod.status or PodStatus(),
            phase="Running",
            conditions=[
                *scheduled,
                *(
                    PodCondition(type=type, status="True", last_transition_time=moment)
                    for type in ("PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready")
                ),
            ],
            host_ip=host,
            host_ips=[HostIP(ip=host)],
            pod_ip=address,
            pod_ips=[PodIP(ip=address)],
            start_time=moment,
            container_statuses=[
                ContainerStatus(
                    name=container.name,
                    state=ContainerState(running=ContainerStateRunning(started_at=moment)),
                    ready=True,
                    started=True,
                    image=container.image or "",
                    image_id=container.image or "",
                    container_id=f"simulated://{pod.metadata.uid}-{container.name}",
                )
                for container in pod.spec.containers or ()
            ],
        )
        fresh = msgspec.structs.replace(pod, status=status)
        await self._client.update(fresh, subresource="status")
