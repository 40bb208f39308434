# SPDX-License-Identifier: GPL-3.0-or-later
"""This node in the API.

Registration, its status and conditions, the lease that says it lives. Measuring the machine is `node_info`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

import msgspec

from navarch.api.coordination.lease import Lease, LeaseSpec
from navarch.api.core.node.node import (
    DaemonEndpoint,
    Node,
    NodeAddress,
    NodeCondition,
    NodeDaemonEndpoints,
    NodeSpec,
    NodeStatus,
    Taint,
)
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import ObjectMeta, now, now_micro
from navarch.client.base import Client
from navarch.kubelet.config import KubeletConfig
from navarch.kubelet.node import info as node_info
from navarch.network.address import OwnAddress

log = logging.getLogger(__name__)

LEASE_NAMESPACE = "kube-node-lease"
_LEASE_SECONDS = 40
_RENEW_EVERY = 10.0
_STATUS_EVERY = 300.0
_LOOK_EVERY = 10.0
#: Seconds that a node which was ready stays so while its kubelet starts: its pods run and serve all the time.
_STARTING = 20.0


class NodeReporter:
    """runtime: what to report as container runtime; problem: why the node is not ready, "" when it is."""

    def __init__(
        self,
        config: KubeletConfig,
        client: Client,
        address: OwnAddress,
        runtime: str,
        problem: Callable[[], str],
    ) -> None:
        self._config = config
        self._client = client
        self._address = address
        self._runtime = runtime
        self._problem = problem
        self._changed = asyncio.Event()
        self._contradicted = False
        self._starting_until = 0.0
        self._conditions: dict[str, NodeCondition] = {}
        self.port = config.port
        self.capacity = node_info.capacity(config)
        self.allocatable = node_info.allocatable(config, self.capacity)
        self.uid = ""

    def changed(self) -> None:
        """Something that the conditions depend on has changed: tell now."""
        self._changed.set()

    def observe(self, node: Node) -> None:
        """The node as the master has it. Conditions that differ from the reported ones are reported again:
        the master may have set them when the node was silent."""
        theirs = {c.type: c.status for c in (node.status.conditions if node.status else None) or ()}
        if any(theirs.get(type, ours.status) != ours.status for type, ours in self._conditions.items()):
            self._contradicted = True
            self._changed.set()

    # Registration.

    def labels(self) -> dict[str, str]:
        arch = node_info.architecture()
        return {
            "kubernetes.io/hostname": self._config.node_name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": arch,
            "beta.kubernetes.io/os": "linux",
            "beta.kubernetes.io/arch": arch,
            **self._config.node_labels,
        }

    async def register(self) -> None:
        """Create the node, or bring its labels and status up to date. Tries until the master has it."""
        delay = 0.2
        while True:
            try:
                await self._register()
                return
            except StatusError as error:
                log.warning("registering node %s: %s", self._config.node_name, error)
            await asyncio.sleep(delay)
            delay = min(delay * 2, 7.0)

    async def _register(self) -> None:
        name = self._config.node_name
        taints = [Taint(key=t.key, value=t.value or None, effect=t.effect) for t in self._config.taints]
        node = Node(
            metadata=ObjectMeta(name=name, labels=self.labels()),
            spec=NodeSpec(taints=taints or None),
            status=self._status(),
        )
        try:
            stored = await self._client.create(node)
            log.info("registered node %s", name)
        except StatusError as error:
            if error.code != 409:
                raise
            stored = await self._client.get(Node, name)
            missing = {k: v for k, v in self.labels().items() if (stored.metadata.labels or {}).get(k) != v}
            if missing:
                stored = await self._client.patch(Node, name, None, {"metadata": {"labels": missing}})
        self.uid = stored.metadata.uid or ""
        for condition in (stored.status.conditions if stored.status else None) or ():
            self._conditions[condition.type] = condition
            if condition.type == "Ready" and condition.status == "True":
                self._starting_until = time.monotonic() + _STARTING
        await self.post_status()

    # Status.

    def _condition(
        self, type: str, bad: bool, reasons: tuple[str, str], messages: tuple[str, str]
    ) -> NodeCondition:
        """bad: whether the pressure is there (for Ready: whether the node is fit)."""
        status, moment = ("True" if bad else "False"), now()
        old = self._conditions.get(type)
        since = old.last_transition_time if old is not None and old.status == status else moment
        condition = NodeCondition(
            type=type,
            status=status,
            reason=reasons[bad],
            message=messages[bad],
            last_heartbeat_time=moment,
            last_transition_time=since or moment,
        )
        self._conditions[type] = condition
        return condition

    def _wrong(self) -> str:
        """Why the node is not ready, unless that is only because the kubelet has just started."""
        problem = self._problem()
        if not problem:
            self._starting_until = 0.0
        return "" if time.monotonic() < self._starting_until else problem

    def conditions(self) -> list[NodeCondition]:
        short = node_info.pressure(self._config)
        problem = self._wrong()
        return [
            self._condition(
                "MemoryPressure",
                short.memory,
                ("KubeletHasSufficientMemory", "KubeletHasInsufficientMemory"),
                ("kubelet has sufficient memory available", "kubelet has insufficient memory available"),
            ),
            self._condition(
                "DiskPressure",
                short.disk,
                ("KubeletHasNoDiskPressure", "KubeletHasDiskPressure"),
                ("kubelet has no disk pressure", "kubelet has disk pressure"),
            ),
            self._condition(
                "PIDPressure",
                short.pids,
                ("KubeletHasSufficientPID", "KubeletHasInsufficientPID"),
                ("kubelet has sufficient PID available", "kubelet has insufficient PID available"),
            ),
            self._condition(
                "Ready",
                not problem,
                ("KubeletNotReady", "KubeletReady"),
                (problem, "kubelet is posting ready status"),
            ),
        ]

    def _status(self) -> NodeStatus:
        return NodeStatus(
            capacity=dict(self.capacity),
            allocatable=dict(self.allocatable),
            conditions=self.conditions(),
            addresses=[
                NodeAddress(type="InternalIP", address=self._address.now),
                NodeAddress(type="Hostname", address=self._config.node_name),
            ],
            daemon_endpoints=NodeDaemonEndpoints(kubelet_endpoint=DaemonEndpoint(port=self.port)),
            node_info=node_info.system_info(self._runtime),
        )

    async def post_status(self) -> None:
        """Raises StatusError."""
        body = msgspec.to_builtins(self._status())
        await self._client.patch(
            Node, self._config.node_name, None, {"status": body}, type="strategic", subresource="status"
        )

    def _reported(self) -> dict[str, str]:
        """What is reported at once when it changes: conditions, address, and why the node is not ready."""
        reported = {type: condition.status or "" for type, condition in self._conditions.items()}
        return reported | {"address": self._address.now, "problem": self._wrong()}

    async def run_status(self) -> None:
        """Post at once when what it tells changes or the master has another, otherwise every 5
        minutes."""
        loop = asyncio.get_running_loop()
        posted, last = loop.time(), self._reported()
        while True:
            # Not wait_for: in Python 3.11 it loses a cancellation that comes with the wake-up.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY):
                    await self._changed.wait()
            self._changed.clear()
            self.conditions()
            current = self._reported()
            if current == last and not self._contradicted and loop.time() - posted < _STATUS_EVERY:
                continue
            self._contradicted = False
            try:
                await self.post_status()
                posted, last = loop.time(), current
            except StatusError as error:
                # Refused, as for an address that another node has: that does not pass in a moment.
                refused = error.code == 403
                log.log(logging.WARNING if refused else logging.DEBUG, "node status: %s", error)
                self._contradicted = True
                if error.code == 404:
                    await self.register()
                await asyncio.sleep(_LOOK_EVERY if refused else 0.5)
                self._changed.set()

    # Lease.

    async def run_lease(self) -> None:
        """Renew every 10 s until cancelled; a failure is tried again within seconds."""
        lease: Lease | None = None
        while True:
            pause = _RENEW_EVERY
            try:
                lease = await self._renew(lease)
            except StatusError as error:
                lease = None
                pause = 2.0
                log.debug("renewing the lease: %s", error)
            await asyncio.sleep(pause)

    async def _renew(self, lease: Lease | None) -> Lease:
        name = self._config.node_name
        if lease is None:
            try:
                lease = await self._client.get(Lease, name, LEASE_NAMESPACE)
            except StatusError as error:
                if error.code != 404:
                    raise
                spec = LeaseSpec(
                    holder_identity=name, lease_duration_seconds=_LEASE_SECONDS, renew_time=now_micro()
                )
                return await self._client.create(
                    Lease(metadata=ObjectMeta(name=name, namespace=LEASE_NAMESPACE), spec=spec)
                )
        spec = msgspec.structs.replace(
            lease.spec or LeaseSpec(),
            holder_identity=name,
            lease_duration_seconds=_LEASE_SECONDS,
            renew_time=now_micro(),
        )
        return await self._client.update(msgspec.structs.replace(lease, spec=spec))
