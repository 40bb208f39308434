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

from navarch.api.node import Node
from navarch.api.pod import Pod
from navarch.client.base import Client, WatchEvent
from navarch.client.events import EventRecorder
from navarch.client.informer import Informer, Reflector
from navarch.kubelet import ending, machine, resources
from navarch.kubelet.config import KubeletConfig
from navarch.kubelet.containers import Containers
from navarch.kubelet.context import Shared
from navarch.kubelet.images import Images
from navarch.kubelet.node import NodeReporter
from navarch.kubelet.objects import ObjectSource
from navarch.kubelet.poster import Poster
from navarch.kubelet.runtime.base import RuntimeFault
from navarch.kubelet.runtime.docker import DockerRuntime
from navarch.kubelet.spec import read_resolver
from navarch.kubelet.tokens import TokenSource
from navarch.kubelet.worker import PodWorker
from navarch.network import conf
from navarch.network.cni import Cni, CniError
from navarch.network.dns.service import NodeDns
from navarch.network.dns.sockets import Store
from navarch.network.host import HostNetwork, HostNetworkError
from navarch.network.overlay import make
from navarch.network.overlay.base import OverlayError
from navarch.network.overlay.follower import Follower
from navarch.network.proxy.service import ServiceProxy
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
        self._cidr = ""
        self._network_problem = "network is not ready: the master has given the node no pod CIDR yet"
        data = Path(config.data_dir)
        self.containers = Containers(self.runtime, self.wake)
        self.images = Images(self.runtime, self.wake)
        self.objects = ObjectSource(client, self._content_changed)
        self.tokens = TokenSource(client, self._content_changed)
        self.cni = Cni(config.cni_bin_dirs, config.cni_conf_dir, data / "cni" / "sandboxes")
        self.host = HostNetwork(config.bridge, config.cluster_cidr)
        self.overlay = Follower(
            make(config.overlay, config.vxlan),
            client,
            node=config.node_name,
            address=config.node_ip,
            bridge=config.bridge,
            cluster_cidr=config.cluster_cidr,
        )
        self.services = Services(client)
        self.dns = _dns(config, self.services)
        self.proxy = ServiceProxy(
            self.services,
            config.node_name,
            service_cidr=config.service_cidr,
            cluster_cidr=config.cluster_cidr,
            dns=config.cluster_dns,
            table=f"{self.host.table}_services",
        )
        self.recorder = EventRecorder(client, "kubelet", host=config.node_name)
        self.poster = Poster(client)
        self.shared = Shared(
            config=config,
            client=client,
            runtime=self.runtime,
            containers=self.containers,
            images=self.images,
            objects=self.objects,
            tokens=self.tokens,
            services=self.services,
            cni=self.cni,
            host=self.host,
            recorder=self.recorder,
            post=self.poster.post,
            flush=self._flush,
            clock=time.monotonic,
            cgroup_driver="cgroupfs",
            node_memory=machine.memory(),
            negative_oom=resources.may_go_negative(),
            resolver=read_resolver(),
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
            await self.poster.send(uid)
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
        if self.dns is not None:
            self._spawn(self.dns.run, "DNS")
        if self.config.proxy:
            self._spawn(self.proxy.run, "service proxy")
        else:
            self._spawn(self.proxy.retire, "service proxy")
        await self._connect()
        self.shared.cgroup_driver = self.runtime.cgroup_driver
        self.cni.load()
        self._spawn(self.containers.run, "containers")
        await self.containers.synced.wait()
        self.node = NodeReporter(
            self.config,
            self.client,
            f"docker://{await self.runtime.version()}",
            self._problem,
        )
        if port is not None:
            self.node.port = port
        self.containers.problem_changed = self.node.changed
        self.shared.allocatable = resources.node_totals(self.node.allocatable)
        self._spawn(self.poster.run, "status poster")
        self._spawn(self.recorder.run, "events")
        await self.node.register()
        self._spawn(self.node.run_lease, "lease")
        self._spawn(self.node.run_status, "node status")
        nodes: Informer[Node] = Informer(self.client, Node, fields=f"metadata.name={self.config.node_name}")
        nodes.listen(self._node_changed)
        self._spawn(nodes.run, "node watch")
        self._spawn(self.overlay.watch, "watch of all nodes")
        self._spawn(self.overlay.run, "overlay")
        pods: Reflector[Pod] = Reflector(
            self.client, Pod, self, fields=f"spec.nodeName={self.config.node_name}"
        )
        self._spawn(pods.run, "pod watch")
        self._spawn(self._housekeeping, "housekeeping")

    def _problem(self) -> str:
        """Why the node is not ready."""
        return self.containers.problem or self._network_problem

    async def stop(self) -> None:
        """Stop looking after the pods; they run on."""
        tasks = [*self._tasks, *self._pod_tasks.values()]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
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
        for uid, worker in list(self.workers.items()):
            if uid not in present:
                worker.removed()
        for pod in present.values():
            self._set(pod)
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

    def _set(self, pod: Pod) -> None:
        uid = pod.metadata.uid or ""
        worker = self.workers.get(uid)
        if worker is None:
            if uid in self._pod_tasks:
                return  # its leavings are just being removed
            worker = self.workers[uid] = PodWorker(self.shared, pod)
            self.poster.add(uid, worker)
            self._run(uid, worker.run(), f"pod {pod.metadata.namespace}/{pod.metadata.name}")
            worker.wake()
        else:
            worker.update(pod)

    def _run(self, uid: str, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._pod_tasks[uid] = task

        def over(done: asyncio.Task[None]) -> None:
            _report(done)
            self._pod_tasks.pop(uid, None)
            self.workers.pop(uid, None)
            self.poster.discard(uid)

        task.add_done_callback(over)

    def _remove_orphans(self) -> None:
        """What is on this node of pods that the master does not have here.

        Only once the master has said which it has.
        """
        if not self._listed:
            return
        folders = {path.name for path in (Path(self.config.data_dir) / "pods").iterdir()}
        for uid in (self.containers.pods() | folders) - set(self.workers) - set(self._pod_tasks):
            self._run(uid, ending.remove_orphan(self.shared, uid), f"orphan {uid}")

    # The node's network.

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        if new is not None and self.node is not None:
            self.node.seen(new)
        spec = new.spec if new is not None else None
        if spec is None or not spec.pod_cidr:
            return
        if (
            self.shared.network_ready.is_set()
            and old is not None
            and old.spec
            and old.spec.pod_cidr == spec.pod_cidr
        ):
            return
        cidrs = spec.pod_cidrs or [spec.pod_cidr]
        self._spawn(lambda: self._set_network(cidrs), "network set-up")

    async def _set_network(self, cidrs: list[str]) -> None:
        delay = 1.0
        while True:
            try:
                ipam = str(Path(self.config.data_dir) / "cni" / "ipam")
                mtu = await self.overlay.prepare()
                network = conf.bridge_network(cidrs, self.config.bridge, ipam, mtu)
                conf.write(self.config.cni_conf_dir, network)
                self.cni.forget_network()
                self.cni.check_plugins()
                await self.host.apply(cidrs[0])
                await self.overlay.apply(cidrs[0])
                await self.cni.reconcile(self.containers.live_sandboxes())
                break
            except (HostNetworkError, OverlayError, CniError, OSError) as error:
                self._network_problem = f"network is not ready: {error}"
                log.warning("%s", self._network_problem)
                await asyncio.sleep(delay)
                delay = min(delay * 2, 30.0)
        log.info("pod network %s on bridge %s", ", ".join(cidrs), self.config.bridge)
        self._cidr = cidrs[0]
        if self.dns is not None:
            self.dns.set_pods(cidrs)
        self._network_problem = ""
        self.shared.network_ready.set()
        if self.node is not None:
            self.node.changed()
        for worker in self.workers.values():
            worker.wake()

    async def _housekeeping(self) -> None:
        """What no event tells: rules that somebody flushed, addresses and folders that were left behind."""
        while True:
            await asyncio.sleep(_HOUSEKEEPING)
            self._remove_orphans()
            if not self.shared.network_ready.is_set():
                continue
            self.cni.forget_network()
            try:
                await self.host.apply(self._cidr)
            except HostNetworkError as error:
                log.warning("node network: %s", error)
            busy = {s.id for uid in self.workers for s in self.containers.sandboxes(uid)}
            await self.cni.reconcile(self.containers.live_sandboxes() | busy)


def _dns(config: KubeletConfig, services: Services) -> NodeDns | None:
    if not config.cluster_dns:
        return None
    dns = NodeDns(
        services,
        address=config.cluster_dns,
        domain=config.cluster_domain,
        cluster_cidr=config.cluster_cidr,
        service_cidr=config.service_cidr,
        node_ip=config.node_ip,
        store=Store(),
    )
    # Those of before, until the master tells: the pods that run may ask at once.
    dns.set_pods(conf.pod_cidrs(config.cni_conf_dir))
    return dns


async def _supervise(work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
    """Run to its end. What fails unforeseen is told and begun again: a lost part must not go unnoticed."""
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
