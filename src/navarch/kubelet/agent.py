# SPDX-License-Identifier: GPL-3.0-or-later
"""One kubelet.

Its parts put together, started in order and stopped in the opposite one; and which pods it has workers for.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from navarch.api.core.node.node import Node
from navarch.api.core.pod.pod import Pod
from navarch.client.base import Client, WatchEvent
from navarch.client.events import EventRecorder, Reference
from navarch.client.informer import Informer, Reflector
from navarch.kubelet.config import KubeletConfig
from navarch.kubelet.node import info as node_info
from navarch.kubelet.node.pod_network import PodNetwork
from navarch.kubelet.node.status import NodeReporter
from navarch.kubelet.objects import ObjectSource
from navarch.kubelet.pods import resources, termination
from navarch.kubelet.pods.context import Shared
from navarch.kubelet.pods.spec import read_resolver
from navarch.kubelet.pods.status_manager import StatusManager
from navarch.kubelet.pods.unlisted import UnlistedPods
from navarch.kubelet.pods.worker import PodWorker
from navarch.kubelet.runtime.base import RuntimeFault
from navarch.kubelet.runtime.containers import Containers
from navarch.kubelet.runtime.docker import DockerRuntime
from navarch.kubelet.runtime.images import Images
from navarch.kubelet.tokens import TokenSource
from navarch.network.services import Services

log = logging.getLogger(__name__)

_HOUSEKEEPING = 60.0


class Kubelet:
    """Implements the reflector's Handler for the node's pods."""

    def __init__(self, config: KubeletConfig, client: Client) -> None:
        self.config = config
        self.client = client
        self.runtime = DockerRuntime(config.docker_socket, config.owner)
        self.workers: dict[str, PodWorker] = {}
        self._tasks: list[asyncio.Task[Any]] = []
        self._pod_tasks: dict[str, asyncio.Task[Any]] = {}
        self._listed = False
        self._unlisted = UnlistedPods(client, self._deleted)
        self.containers = Containers(self.runtime, self.wake)
        self.images = Images(self.runtime, self.wake)
        self.objects = ObjectSource(client, self._content_changed)
        self.tokens = TokenSource(client, self._content_changed)
        self.services = Services(client)
        self.recorder = EventRecorder(client, "kubelet", host=config.node_name)
        self.network = PodNetwork(
            config,
            client,
            self.services,
            changed=self._network_changed,
            live=self._live_sandboxes,
            astray=self._end_sandbox,
            warn=self._warn_of_node,
        )
        self.status_manager = StatusManager(client)
        self.shared = Shared(
            config=config,
            client=client,
            runtime=self.runtime,
            containers=self.containers,
            images=self.images,
            objects=self.objects,
            tokens=self.tokens,
            services=self.services,
            address=self.network.address,
            cni=self.network.cni,
            host=self.network.host,
            recorder=self.recorder,
            post=self.status_manager.post,
            flush=self._flush,
            clock=time.monotonic,
            cgroup_driver="cgroupfs",
            node_memory=node_info.memory(),
            negative_oom=resources.may_go_negative(),
            resolver=read_resolver(),
            network_ready=self.network.ready,
        )
        self.node: NodeReporter | None = None

    def wake(self, uid: str) -> None:
        worker = self.workers.get(uid)
        if worker is not None:
            worker.wake()

    def _content_changed(self, uid: str) -> None:
        worker = self.workers.get(uid)
        if worker is not None:
            worker.content_changed()

    async def _flush(self, uid: str) -> None:
        try:
            await self.status_manager.send(uid)
        except Exception as error:
            log.debug("last status of %s: %s", uid, error)

    # Life.

    async def start(self, port: int | None = None) -> None:
        """Adopt what runs, register, and begin to follow the master. port: where the node server listens."""
        data = Path(self.config.data_dir)
        for folder in (data, data / "pods"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        # First of all what pods that run use all the time, whatever the engine is doing.
        self._spawn(self.services.run, "services")
        for work, name in self.network.urgent():
            self._spawn(work, name)
        await self._connect()
        self.shared.cgroup_driver = self.runtime.cgroup_driver
        self.network.load()
        self._spawn(self.containers.run, "containers")
        await self.containers.synced.wait()
        self.node = NodeReporter(
            self.config,
            self.client,
            self.network.address,
            f"docker://{await self.runtime.version()}",
            self._problem,
        )
        if port is not None:
            self.node.port = port
        self.containers.problem_changed = self.node.changed
        self.shared.allocatable = resources.node_totals(self.node.allocatable)
        self._spawn(self.status_manager.run, "status manager")
        self._spawn(self.recorder.run, "events")
        await self.node.register()
        self._spawn(self.node.run_lease, "lease")
        self._spawn(self.node.run_status, "node status")
        nodes: Informer[Node] = Informer(self.client, Node, fields=f"metadata.name={self.config.node_name}")
        nodes.listen(self._node_changed)
        self._spawn(nodes.run, "node watch")
        for work, name in self.network.work():
            self._spawn(work, name)
        pods: Reflector[Pod] = Reflector(
            self.client, Pod, self, fields=f"spec.nodeName={self.config.node_name}"
        )
        self._spawn(pods.run, "pod watch")
        self._spawn(self._housekeeping, "housekeeping")

    def _problem(self) -> str:
        """Why the node is not ready."""
        return self.containers.problem or self.network.problem

    async def stop(self) -> None:
        """Stop looking after the pods; they run on."""
        tasks = [*self._tasks, *self._pod_tasks.values()]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
        await self._unlisted.close()
        await self.images.close()
        await self.objects.close()
        self.tokens.close()
        await self.runtime.close()

    async def _connect(self) -> None:
        """To the engine, which may come up later than we do."""
        delay = 0.5
        while True:
            try:
                await self.runtime.start()
                return
            except RuntimeFault as error:
                log.warning("waiting for the container engine: %s", error)
            await asyncio.sleep(delay)
            delay = min(delay * 2, 5.0)

    def _spawn(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        self._tasks.append(asyncio.create_task(_supervise(work, name), name=name))

    # Pods, called by the reflector.

    def replace(self, objects: list[Pod]) -> None:
        present = {pod.metadata.uid or "": pod for pod in objects}
        for uid, worker in self.workers.items():
            if uid not in present and not worker.gone:
                meta = worker.pod.metadata
                self._unlisted.ask(uid, meta.namespace or "", meta.name or "")
        for pod in present.values():
            self._set(pod, listed=True)
        self._listed = True
        self._remove_orphans()

    def apply(self, events: list[WatchEvent[Pod]]) -> None:
        for event in events:
            pod = event.object
            if pod is None:
                continue
            if event.type == "DELETED":
                worker = self.workers.get(pod.metadata.uid or "")
                if worker is not None:
                    worker.removed()
            else:
                self._set(pod)

    def _set(self, pod: Pod, *, listed: bool = False) -> None:
        uid = pod.metadata.uid or ""
        self._unlisted.listed(uid)
        worker = self.workers.get(uid)
        if worker is None:
            if uid in self._pod_tasks:
                return  # its leavings are just being removed
            worker = self.workers[uid] = PodWorker(self.shared, pod)
            self.status_manager.add(uid, worker)
            if self.containers.sandboxes(uid) or (pod.status and pod.status.phase == "Running"):
                self.shared.ports.hold(uid, pod)  # before any new pod asks for them
            self._run(uid, worker.run(), f"pod {pod.metadata.namespace}/{pod.metadata.name}")
            worker.wake()
        else:
            worker.update(pod, listed=listed)

    def _run(self, uid: str, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._pod_tasks[uid] = task

        def over(done: asyncio.Task[None]) -> None:
            _report(done)
            self._pod_tasks.pop(uid, None)
            self.workers.pop(uid, None)
            self.status_manager.discard(uid)

        task.add_done_callback(over)

    def _remove_orphans(self) -> None:
        """What is on this node of pods that the master does not have here.

        Only once the master has said which it has. What has containers may run: the master is asked for it.
        """
        if not self._listed:
            return
        folders = {path.name for path in (Path(self.config.data_dir) / "pods").iterdir()}
        for uid in (self.containers.pods() | folders) - set(self.workers) - set(self._pod_tasks):
            states = [*self.containers.of(uid), *self.containers.sandboxes(uid)]
            if states:
                self._unlisted.ask(uid, states[0].namespace, states[0].pod)
            else:
                self._deleted(uid)

    def _deleted(self, uid: str) -> None:
        """The master does not have the pod on this node."""
        worker = self.workers.get(uid)
        if worker is not None:
            worker.removed()
        elif uid not in self._pod_tasks:
            self._run(uid, termination.remove_orphan(self.shared, uid), f"orphan {uid}")

    # The node's network.

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        if new is not None and self.node is not None:
            self.node.observe(new)
        spec = new.spec if new is not None else None
        if spec is not None and spec.pod_cidr:
            self.network.set_cidrs(spec.pod_cidrs or [spec.pod_cidr])
        if new is not None:
            self.network.proxy.set_zone((new.metadata.labels or {}).get("topology.kubernetes.io/zone", ""))

    def _network_changed(self) -> None:
        """The network became ready, or is no longer, or the node's address is another one."""
        if self.node is not None:
            self.node.changed()
        for uid, worker in self.workers.items():
            worker.wake()
            self.status_manager.post(uid, 0.0)

    def _live_sandboxes(self) -> set[str]:
        """Those that run, and those that a worker still has to take down itself."""
        busy = {s.id for uid in self.workers for s in self.containers.sandboxes(uid)}
        return self.containers.live_sandboxes() | busy

    async def _end_sandbox(self, id: str) -> None:
        """Its pod's worker sees that it ended, and makes another, with another address."""
        try:
            await self.runtime.signal(id, "SIGKILL")
        except RuntimeFault as error:
            log.warning("ending sandbox %s: %s", id[:12], error)

    def _warn_of_node(self, message: str) -> None:
        about = Reference(kind="Node", name=self.config.node_name, uid=self.config.node_name)
        self.recorder.record(about, "Warning", "PodNetwork", message)

    async def _housekeeping(self) -> None:
        """What no event tells: folders and containers that were left behind."""
        while True:
            await asyncio.sleep(_HOUSEKEEPING)
            self._remove_orphans()


async def _supervise(work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
    """Run to its end. An unexpected failure is logged and the part begins again: no loss goes unnoticed."""
    while True:
        try:
            await work()
            return
        except Exception:
            log.exception("%s failed, beginning it again", name)
        await asyncio.sleep(1.0)


def _report(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("task %s ended: %s", task.get_name(), error, exc_info=error)
