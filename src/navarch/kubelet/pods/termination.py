# SPDX-License-Identifier: GPL-3.0-or-later
"""Ending containers and pods: preStop, the stop signal, the grace period, the kill; then network, sandbox,
files, cgroup.

When to end is the worker's decision; nothing here talks to the master.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from navarch.api.core.pod.container import Container
from navarch.api.core.pod.pod import Pod
from navarch.kubelet.pods import hooks, resources, subpath
from navarch.kubelet.pods.context import Shared, record_event
from navarch.kubelet.runtime.base import ContainerState, RuntimeFault
from navarch.kubelet.volumes.base import tear_down
from navarch.network.cni import CniError
from navarch.network.host import HostNetworkError

log = logging.getLogger(__name__)

#: What a container gets after its preStop hook used the whole grace period (as the reference kubelet has it).
_LAST_SECONDS = 2.0
#: A killed container that the engine still calls running is inspected again after this.
_KILL_PATIENCE = 10.0


class Deadline:
    """When the grace period ends; it can be brought forward while it runs."""

    def __init__(self, clock: Callable[[], float], seconds: float) -> None:
        self._clock = clock
        self.at = clock() + seconds
        self._nearer = asyncio.Event()

    def remaining(self) -> float:
        return max(0.0, self.at - self._clock())

    def shorten(self, seconds: float) -> None:
        """Not later than so many seconds from now."""
        at = self._clock() + seconds
        if at < self.at:
            self.at = at
            self._nearer.set()

    async def wait(self, done: asyncio.Future[None]) -> bool:
        """Whether it was done in time."""
        while not done.done() and self.remaining() > 0:
            self._nearer.clear()
            hurry: asyncio.Future[Any] = asyncio.ensure_future(self._nearer.wait())
            await asyncio.wait({done, hurry}, timeout=self.remaining(), return_when=asyncio.FIRST_COMPLETED)
            hurry.cancel()
        return done.done()


async def stop(
    shared: Shared,
    pod: Pod | None,
    container: Container | None,
    state: ContainerState,
    deadline: Deadline,
    why: str,
) -> None:
    """End one container. Returns when it has ended, or after it withstood a kill for a while."""
    done = shared.containers.exited(state.id)
    if done.done():
        return
    if pod is not None:
        record_event(shared, pod, "Normal", "Killing", why, state.name)
    hook = container.lifecycle.pre_stop if container is not None and container.lifecycle else None
    if pod is not None and container is not None and hook is not None and deadline.remaining() > 0:
        running = asyncio.ensure_future(hooks.run(shared, pod, container, hook, state))
        finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        running.add_done_callback(lambda _: None if finished.done() else finished.set_result(None))
        if not await deadline.wait(finished):
            running.cancel()
        elif not running.cancelled() and (error := running.exception()) is not None:
            record_event(
                shared, pod, "Warning", "FailedPreStopHook", f"PreStopHook failed: {error}", state.name
            )
        if deadline.remaining() < _LAST_SECONDS:
            deadline = Deadline(shared.clock, _LAST_SECONDS)
    if deadline.remaining() > 0:
        signal = (
            container.lifecycle.stop_signal if container is not None and container.lifecycle else None
        ) or ""
        await _signal(shared, state.id, signal or state.stop_signal or "SIGTERM")
        if await deadline.wait(done):
            return
    while not done.done():
        await _signal(shared, state.id, "SIGKILL")
        await asyncio.wait({done}, timeout=_KILL_PATIENCE)
        if not done.done():
            try:
                await shared.containers.refresh(state.id)
            except RuntimeFault as error:
                # The engine is away, and may not have heard of the kill either.
                log.warning("asking about container %s: %s", state.id[:12], error)


async def _signal(shared: Shared, id: str, signal: str) -> None:
    try:
        await shared.runtime.signal(id, signal)
    except RuntimeFault as error:
        log.warning("signalling container %s: %s", id[:12], error)


async def stop_all(
    shared: Shared, pod: Pod | None, states: Sequence[ContainerState], deadline: Deadline
) -> None:
    """End a pod's containers: all at once, sidecars after the others in reverse order."""
    spec = pod.spec if pod is not None else None
    by_name = {c.name: c for c in [*(spec.init_containers or ()), *spec.containers]} if spec else {}
    sidecars = [
        c.name for c in (spec.init_containers if spec else None) or () if c.restart_policy == "Always"
    ]
    running = [s for s in states if s.status == "running"]

    async def end(state: ContainerState) -> None:
        await stop(shared, pod, by_name.get(state.name), state, deadline, f"Stopping container {state.name}")

    await asyncio.gather(*(end(s) for s in running if s.name not in sidecars))
    for name in reversed(sidecars):
        await asyncio.gather(*(end(s) for s in running if s.name == name))


async def release_network(shared: Shared, uid: str) -> None:
    """Give back the pod's addresses and remove its sandboxes.

    Raises CniError, RuntimeFault, HostNetworkError: try again.
    """
    await shared.host.set_ports(uid, [])
    for sandbox in shared.containers.sandboxes(uid):
        await shared.cni.delete(sandbox.id, sandbox.pid if sandbox.status == "running" else 0)
        await shared.runtime.remove(sandbox.id)
        shared.containers.drop(sandbox.id)


async def remove(shared: Shared, uid: str) -> None:
    """Remove all that is left of a pod whose containers have ended. Tries until it is done."""
    delay = 0.5
    while True:
        try:
            network = asyncio.create_task(release_network(shared, uid), name=f"network of {uid}")
            removals = [shared.runtime.remove(c.id) for c in shared.containers.of(uid)]
            results = await asyncio.gather(network, *removals, return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException):
                    raise result
            for state in shared.containers.of(uid):
                shared.containers.drop(state.id)
            # What was made and never heard of: its start failed, or the engine's answer was lost.
            for id in await shared.runtime.of(uid):
                await shared.runtime.remove(id)
            await asyncio.to_thread(subpath.release, shared.pod_folder(uid))
            await asyncio.to_thread(tear_down, shared.pod_folder(uid))
            break
        except (CniError, RuntimeFault, HostNetworkError, OSError) as error:
            log.warning("removing pod %s: %s (again in %.0f s)", uid, error, delay)
            await asyncio.sleep(delay)
            delay = min(delay * 2, 30.0)
    await asyncio.to_thread(resources.remove_cgroup, uid, shared.cgroup_driver)
    shared.objects.release(uid)
    shared.tokens.release(uid)
    shared.images.forget(uid)


async def remove_orphan(shared: Shared, uid: str) -> None:
    """End and remove a pod that the master does not know (any more)."""
    states = shared.containers.of(uid)
    names = {f"{s.namespace}/{s.pod}" for s in [*states, *shared.containers.sandboxes(uid)]}
    log.info("removing pod %s (%s), which is not the master's", uid, ", ".join(sorted(names)) or "files only")
    grace = max((s.grace for s in states if s.status == "running"), default=0)
    await stop_all(shared, None, states, Deadline(shared.clock, grace))
    await remove(shared, uid)
