# SPDX-License-Identifier: GPL-3.0-or-later
"""One pod's life on this node: a task that is woken by changes (of the pod, its containers, its objects, a
timer) and does what is next.

The worker decides; `container_start`, `sandbox` and `termination` act. Each step looks at the present state,
not at earlier steps: a restarted kubelet goes on where the last one stopped.
"""

from __future__ import annotations

import asyncio
import logging
import random
import weakref
from collections.abc import Sequence

from navarch.api.core.pod.container import Container
from navarch.api.core.pod.pod import Pod
from navarch.api.core.pod.status import PodStatus
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import Preconditions, now, parse_time
from navarch.kubelet.pods import host_ports, status, termination
from navarch.kubelet.pods.container_start import ContainerStart
from navarch.kubelet.pods.context import Shared, record_event
from navarch.kubelet.pods.due import DueContainers, Start
from navarch.kubelet.pods.ended import EndedContainers
from navarch.kubelet.pods.post_start import PostStarts
from navarch.kubelet.pods.probes import Probes
from navarch.kubelet.pods.sandbox import Sandbox
from navarch.kubelet.pods.spec import spec_hash
from navarch.kubelet.runtime.base import ContainerState, RuntimeFault
from navarch.kubelet.volumes.base import VolumeError
from navarch.network.cni import CniError
from navarch.network.host import HostNetworkError

log = logging.getLogger(__name__)

_FINAL = ("Succeeded", "Failed")
#: When a volume is tried again that could not be set up again for a restarted container.
_STALE = 10.0


class PodWorker:
    def __init__(self, shared: Shared, pod: Pod) -> None:
        self.uid = pod.metadata.uid or ""
        self.pod = pod
        #: Its object is gone from the master.
        self.gone = False
        self._shared = shared
        self._woken = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._failures = 0
        #: Of all that is being ended: a deletion may bring it nearer.
        self._deadlines: weakref.WeakSet[termination.Deadline] = weakref.WeakSet()
        self._last: termination.Deadline | None = None  # of the pod as a whole
        self._network_of = ""  # id of the sandbox whose network the facts tell
        self._mounted = ""  # version of the pod for which live volumes were set up
        #: As it was when all had ended: what is removed after that takes nothing of it back.
        self._final: PodStatus | None = None
        old = pod.status or PodStatus()
        self.facts = status.Facts(node_ip=shared.address.now, start_time=old.start_time or now())
        if old.reason and old.phase == "Failed":
            self.facts.failed = (old.reason, old.message or "")
        self._sandbox = Sandbox(shared, self.uid)
        self._container_start = ContainerStart(shared, self.uid, self.facts, self._sandbox)
        self._probes = Probes(shared, self)
        self._post_starts = PostStarts(shared, self, self._container_start)
        self._ended = EndedContainers(shared, self.uid, self.facts, self._container_start)
        self._due = DueContainers(
            shared, self.uid, self.facts, self._ended, self._post_starts, self.wake_after
        )

    # What others call.

    def wake(self) -> None:
        self._woken.set()

    def content_changed(self) -> None:
        """A ConfigMap or Secret that it uses has changed."""
        self._mounted = ""
        self.wake()

    def wake_after(self, seconds: float) -> None:
        """An earlier pending time wins."""
        loop = asyncio.get_running_loop()
        if self._timer is not None and not self._timer.cancelled() and self._timer.when() > loop.time():
            if self._timer.when() <= loop.time() + seconds:
                return
            self._timer.cancel()
        self._timer = loop.call_later(seconds, self.wake)

    def update(self, pod: Pod, *, listed: bool = False) -> None:
        """A version of the object: the watch may bring one late, when our own posts have brought newer ones.

        listed: it is what the master has, whatever it had before (it may come from a backup).
        """
        if listed:
            self.pod = pod
        self.acknowledged(pod)
        grace = pod.metadata.deletion_grace_period_seconds
        if grace is not None:
            for deadline in self._deadlines:
                deadline.shorten(grace)
        self.wake()

    def removed(self) -> None:
        """The object is gone, with or without us."""
        self.gone = True
        self._shared.ports.release(self.uid)  # the scheduler may give them to another from now on
        self.wake()

    def acknowledged(self, pod: Pod) -> None:
        if _version(pod) >= _version(self.pod):
            self.pod = pod

    def status(self) -> PodStatus:
        if self._final is not None:
            return self._final
        self.facts.node_ip = self._shared.address.now
        if self.facts.ips and self.pod.spec is not None and self.pod.spec.host_network:
            self.facts.ips = [self.facts.node_ip]
        return status.compute(self.pod, self._shared.containers.of(self.uid), self.facts)

    # The task.

    async def run(self) -> None:
        """Until the pod is gone from this node."""
        try:
            while True:
                await self._woken.wait()
                self._woken.clear()
                try:
                    if await self._step():
                        return
                    self._failures = 0
                except Exception as error:
                    self._failed_step(error)
        finally:
            self._probes.stop()
            self._post_starts.stop()
            if self._timer is not None:
                self._timer.cancel()
            self._ended.stop()

    def _failed_step(self, error: Exception) -> None:
        self._failures += 1
        if isinstance(error, VolumeError):
            reason = "FailedMount"
        elif isinstance(error, CniError):
            reason = "FailedCreatePodSandBox"
        else:
            reason = "FailedSync"
        if not isinstance(
            error, (RuntimeFault, CniError, VolumeError, HostNetworkError, StatusError, OSError)
        ):
            log.exception("pod %s: a fault of this kubelet", self.uid, exc_info=error)
        record_event(self._shared, self.pod, "Warning", reason, str(error))
        meta = self.pod.metadata
        log.warning("pod %s/%s: %s", meta.namespace, meta.name, error)
        self.wake_after(min(0.5 * 2**self._failures, 120.0) * random.uniform(0.8, 1.2))
        self._shared.post(self.uid, 0.3)

    async def _step(self) -> bool:
        """One look, one move. True when there is nothing left to do, ever."""
        if self._leaves():
            await self._end()
            return True
        await self._ended.note(self.pod)
        phase = (self.pod.status.phase if self.pod.status else "") or ""
        if phase in _FINAL or self.status().phase in _FINAL:
            await self._settle()
            return False
        if self._past_deadline():
            return False
        if self._rejected():
            return False
        await self._restart_changed()
        if not self._leaves():  # it may have been deleted while a container was ending
            await self._advance()
        return False

    def _leaves(self) -> bool:
        """Whether it was deleted."""
        return self.gone or self.pod.metadata.deletion_timestamp is not None

    def _past_deadline(self) -> bool:
        """activeDeadlineSeconds: past it the pod has failed."""
        limit = self.pod.spec.active_deadline_seconds if self.pod.spec else None
        if limit is None:
            return False
        age = parse_time(now()).timestamp() - parse_time(self.facts.start_time).timestamp()
        if age < limit:
            self.wake_after(limit - age)
            return False
        self.facts.failed = (
            "DeadlineExceeded",
            "Pod was active on the node longer than the specified deadline",
        )
        record_event(self._shared, self.pod, "Normal", "DeadlineExceeded", self.facts.failed[1])
        self.wake()
        return True

    def _rejected(self) -> bool:
        """A pod that was put here past the scheduler, on ports that another one has, has failed."""
        taken = self._shared.ports.claim(self.uid, self.pod)
        if not taken:
            return False
        self.facts.failed = ("NodePorts", f"Pod was rejected: {taken}")
        record_event(self._shared, self.pod, "Warning", *self.facts.failed)
        self.wake()
        return True

    async def _restart_changed(self) -> None:
        """A running container whose image was changed in the API makes room for its successor."""
        for container in self.pod.spec.containers if self.pod.spec else ():
            current, _ = status.latest(self._shared.containers.of(self.uid), container.name)
            if current is None or current.status != "running" or current.spec_hash == spec_hash(container):
                continue
            if self._leaves():
                return
            why = f"Container {container.name} definition changed, will be restarted"
            await self.stop_container(container, current, why)

    async def stop_container(
        self, container: Container, current: ContainerState, why: str, grace: float | None = None
    ) -> None:
        await termination.stop(self._shared, self.pod, container, current, self._deadline(grace), why)

    def _deadline(self, grace: float | None = None) -> termination.Deadline:
        """For what is to be ended now."""
        deadline = termination.Deadline(self._shared.clock, self._grace() if grace is None else grace)
        self._deadlines.add(deadline)
        return deadline

    def _grace(self) -> float:
        meta, spec = self.pod.metadata, self.pod.spec
        if meta.deletion_grace_period_seconds is not None:
            return float(meta.deletion_grace_period_seconds)
        grace = spec.termination_grace_period_seconds if spec else None
        return 30.0 if grace is None else float(grace)

    # Forward: sandbox, init containers, containers.

    async def _advance(self) -> None:
        shared, spec = self._shared, self.pod.spec
        assert spec is not None
        offline = not spec.host_network and not shared.network_ready.is_set()
        if offline and not shared.containers.sandboxes(self.uid):
            why = "network is not ready: the node has no pod CIDR yet"
            record_event(shared, self.pod, "Warning", "NetworkNotReady", why)
            shared.post(self.uid, 0.3)
            return
        if self._sandbox.adopt():
            await self._plugged()
        elif not await self._attach():
            return
        # Before all that can fail, and whether it does: what runs is probed.
        self._follow_running()
        # Before, too: what changes while volumes are set up or containers start is set up again.
        before, self._mounted = self._mounted, self.pod.metadata.resource_version or ""
        try:
            batch = self._due.of(self.pod)
            if batch:
                await self._start(batch)
            elif before != self._mounted:
                await self._container_start.volumes(self.pod, live_only=True)
            if self._container_start.stale:
                self._mounted = ""
                self.wake_after(_STALE)
        except Exception:
            self._mounted = ""
            raise
        finally:
            self._follow_running()
        shared.post(self.uid, 0.02)

    async def _attach(self) -> bool:
        """Adopt what an earlier life left running, or see to it that nothing runs without a sandbox.

        False: the pod waits.
        """
        shared = self._shared
        running = [s for s in shared.containers.of(self.uid) if s.status == "running"]
        found = shared.containers.sandboxes(self.uid)
        if found and found[-1].status == "running":
            if running or shared.cni.ips(found[-1].id):
                _, ready = await self._sandbox.begin(self.pod)
                await self._ready(ready)
            return True
        self.facts.sandbox_ready = False
        if running:
            record_event(
                shared,
                self.pod,
                "Normal",
                "SandboxChanged",
                "Pod sandbox changed, it will be killed and re-created.",
            )
            await termination.stop_all(shared, self.pod, running, self._deadline())
            await self._ended.note(self.pod)
        return not self._leaves()

    async def _start(self, batch: Sequence[Start]) -> None:
        shared = self._shared
        self._sandbox.prepare_files()
        # Both to their ends: a sandbox that is still being made when the next step begins is not known to it.
        begun, volumes = await asyncio.gather(
            self._sandbox.begin(self.pod), self._container_start.volumes(self.pod), return_exceptions=True
        )
        if isinstance(begun, BaseException):
            raise begun
        if isinstance(volumes, BaseException):
            raise volumes
        _, ready = begun
        self._due.started(batch)
        starts = [
            self._container_start.start(self.pod, container, attempt, volumes) for container, attempt in batch
        ]
        shared.post(self.uid, 0.5)
        results = await asyncio.gather(self._ready(ready), *starts, return_exceptions=True)
        errors = [r for r in results if isinstance(r, BaseException)]
        if errors:
            raise errors[0]
        delays = [r for r in results if isinstance(r, float) and r > 0]
        if delays:
            self.wake_after(min(delays))

    async def _ready(self, ready: asyncio.Task[list[str]]) -> None:
        await asyncio.shield(ready)
        await self._plugged()

    async def _plugged(self) -> None:
        """The sandbox that runs has its network, whichever try it was that made it."""
        if self.facts.sandbox_ready and self._network_of == self._sandbox.id:
            return
        self.facts.ips = self._sandbox.ips
        if self.facts.ips:
            await self._shared.host.set_ports(self.uid, host_ports.mappings(self.pod, self.facts.ips[0]))
        self.facts.sandbox_ready, self._network_of = True, self._sandbox.id

    def _follow_running(self) -> None:
        """Probes and postStart hooks of what runs: the probes begin after the hook."""
        spec = self.pod.spec
        assert spec is not None
        if not self.facts.ips:
            return  # whom to probe is not known yet
        found = self._shared.containers.of(self.uid)
        for container in [*(spec.init_containers or ()), *spec.containers]:
            current, _ = status.latest(found, container.name)
            if current is None or current.status != "running":
                self._probes.drop(container.name)
                continue
            if not self._post_starts.holds(container, current):
                self._probes.follow(container, current)
                continue
            self._post_starts.begin(container, current)

    # Backward.

    async def _settle(self) -> None:
        """The pod is over.

        What still runs ends, its network goes; its ended containers stay for their logs.
        """
        shared = self._shared
        self._probes.stop()
        running = [s for s in shared.containers.of(self.uid) if s.status == "running"]
        if running:
            await termination.stop_all(shared, self.pod, running, self._deadline())
            await self._ended.note(self.pod)
        await self._sandbox.settled()
        shared.ports.release(self.uid)  # before the scheduler hears that it is over
        self.facts.sandbox_ready = False
        if not self.facts.ips and self.pod.status and self.pod.status.pod_ips:
            self.facts.ips = [entry.ip for entry in self.pod.status.pod_ips]
        shared.post(self.uid, 0.0)
        await termination.release_network(shared, self.uid)

    async def _end(self) -> None:
        """The pod was deleted: stop, tell, remove, and let the object go."""
        shared, meta = self._shared, self.pod.metadata
        self.facts.terminating = True
        self._probes.stop()
        if not self.facts.ips and self.pod.status and self.pod.status.pod_ips:
            self.facts.ips = [entry.ip for entry in self.pod.status.pod_ips]
        if self._last is None:  # what failed half-way goes on with the time that is left
            self._last = self._deadline()
        states = shared.containers.of(self.uid)
        if any(s.status == "running" for s in states):
            await termination.stop_all(shared, self.pod, states, self._last)
        await self._ended.note(self.pod)
        await self._sandbox.settled()
        shared.ports.release(self.uid)  # before the scheduler hears that it is over
        self.facts.sandbox_ready = False
        self.facts.waiting.clear()
        self._final = self.status()
        if not self.gone:
            shared.post(self.uid, 0.0)
            await shared.flush(self.uid)
        await termination.remove(shared, self.uid)
        await self._delete_object(meta.name or "", meta.namespace or "")

    async def _delete_object(self, name: str, namespace: str) -> None:
        delay = 0.2
        while not self.gone:
            await self._shared.flush(self.uid)  # nothing new, unless the master did not hear it before
            try:
                await self._shared.client.delete(
                    Pod, name, namespace, grace=0, preconditions=Preconditions(uid=self.uid)
                )
                return
            except StatusError as error:
                if error.code in (404, 409):
                    return
                log.debug("deleting %s/%s: %s", namespace, name, error)
            await asyncio.sleep(delay)
            delay = min(delay * 2, 10.0)


def _version(pod: Pod) -> int:
    try:
        return int(pod.metadata.resource_version or 0)
    except ValueError:
        return 0
