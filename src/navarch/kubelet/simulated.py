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
from collections.abc import Coroutine
from typing import Any

import msgspec

from navarch import GIT_VERSION
from navarch.api.errors import StatusError
from navarch.api.lease import Lease, LeaseSpec
from navarch.api.meta import ObjectMeta, Preconditions, now, now_micro
from navarch.api.node import Node, NodeAddress, NodeCondition, NodeStatus, NodeSystemInfo
from navarch.api.pod import Pod
from navarch.api.podstatus import (
    ContainerState,
    ContainerStateRunning,
    ContainerStatus,
    HostIP,
    PodCondition,
    PodIP,
    PodStatus,
)
from navarch.client.base import Client, WatchEvent
from navarch.client.informer import Reflector

log = logging.getLogger(__name__)

_LEASES = "kube-node-lease"
_RENEW = 10.0
_WORKERS = 64
_REASONS = {
    "Ready": "KubeletReady",
    "MemoryPressure": "KubeletHasSufficientMemory",
    "DiskPressure": "KubeletHasNoDiskPressure",
    "PIDPressure": "KubeletHasSufficientPID",
}


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
        self._next_ip = 0
        self._work: asyncio.Queue[Pod] = asyncio.Queue()
        self._started: set[str] = set()  # uids

    async def run(self) -> None:
        """Join all, then serve until cancelled."""
        await self._each(self._join(number, name) for number, name in enumerate(self._names))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._renew(), name="simulated leases")
            if self._run_pods:
                pods: Reflector[Pod] = Reflector(self._client, Pod, self)
                group.create_task(pods.run(), name="simulated pods")
                for number in range(_WORKERS):
                    group.create_task(self._serve(), name=f"simulated kubelet {number}")

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
            assert lease.spec is not None
            spec = msgspec.structs.replace(lease.spec, renew_time=now_micro())
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
                self._started.discard(event.object.metadata.uid or "")
            else:
                self._see(event.object)

    def _see(self, pod: Pod) -> None:
        if pod.spec is None or pod.spec.node_name not in self._addresses:
            return
        uid = pod.metadata.uid or ""
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
                if error.code not in (404, 409):
                    log.warning("simulated pod %s: %s", pod.metadata.name, error)
                self._started.discard(pod.metadata.uid or "")

    async def _stop(self, pod: Pod) -> None:
        meta = pod.metadata
        await self._client.delete(
            Pod, meta.name or "", meta.namespace, grace=0, preconditions=Preconditions(uid=meta.uid)
        )

    async def _start(self, pod: Pod) -> None:
        assert pod.spec is not None
        moment = now()
        self._next_ip += 1
        address = str(ipaddress.ip_address("10.244.0.0") + self._next_ip % 65_000 + 1)
        host = self._addresses[pod.spec.node_name or ""]
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
