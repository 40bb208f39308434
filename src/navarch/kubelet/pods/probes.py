# SPDX-License-Identifier: GPL-3.0-or-later
"""Liveness, readiness and startup probes: one task a probe of a running container, whose results go into the
pod's facts.

Semantics: API reference, Probe. A startup probe holds the other two back until it has succeeded.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Literal

import msgspec

from navarch.api.core.pod.container import Container
from navarch.api.core.pod.probe import Probe
from navarch.api.machinery.meta import now, parse_time
from navarch.kubelet.pods import hooks, status
from navarch.kubelet.pods.context import Shared, record_event
from navarch.kubelet.pods.hooks import ActionFailed
from navarch.kubelet.runtime.base import ContainerState, RuntimeFault

if TYPE_CHECKING:
    from navarch.kubelet.pods.worker import PodWorker

Kind = Literal["Startup", "Liveness", "Readiness"]


def _without_unknown(container: Container) -> Container:
    """gRPC probes are accepted and not acted on: as if there were none."""

    def known(probe: Probe | None) -> Probe | None:
        return probe if probe is not None and (probe.exec or probe.http_get or probe.tcp_socket) else None

    return msgspec.structs.replace(
        container,
        startup_probe=known(container.startup_probe),
        readiness_probe=known(container.readiness_probe),
        liveness_probe=known(container.liveness_probe),
    )


class Probes:
    def __init__(self, shared: Shared, worker: PodWorker) -> None:
        self._shared = shared
        self._worker = worker
        self._tasks: dict[str, tuple[str, list[asyncio.Task[None]]]] = {}  # container name -> (id, tasks)

    def follow(self, container: Container, state: ContainerState) -> None:
        """Probe this container, if it has probes and is not probed yet."""
        known = self._tasks.get(container.name)
        if known is not None and known[0] == state.id:
            return
        self.drop(container.name)
        container = _without_unknown(container)
        tasks: list[asyncio.Task[None]] = []
        started = asyncio.Event()
        reported = self._reported(container, state)
        if container.startup_probe is not None and not reported[1]:
            self._worker.facts.unstarted.add(container.name)
            tasks.append(self._task("Startup", container, container.startup_probe, state, started))
        else:
            started.set()
        if container.readiness_probe is not None:
            if not reported[0]:
                self._worker.facts.unready.add(container.name)
            tasks.append(self._task("Readiness", container, container.readiness_probe, state, started))
        if container.liveness_probe is not None:
            tasks.append(self._task("Liveness", container, container.liveness_probe, state, started))
        self._tasks[container.name] = (state.id, tasks)
        self._worker.facts.followed.add(state.id)

    def _reported(self, container: Container, state: ContainerState) -> tuple[bool, bool]:
        """(ready, started) as the master knows it of this very container.

        A restarted kubelet does not flap.
        """
        known = status.reported(self._worker.pod, container.name)
        if known is None or known.container_id != f"docker://{state.id}":
            return False, False
        return known.ready, bool(known.started)

    def drop(self, name: str) -> None:
        """The container does not run any more."""
        known = self._tasks.pop(name, None)
        for task in known[1] if known else ():
            task.cancel()
        self._worker.facts.followed.discard(known[0] if known else "")
        self._worker.facts.unready.discard(name)
        self._worker.facts.unstarted.discard(name)

    def stop(self) -> None:
        """No more probing; the last results stay."""
        for _, tasks in self._tasks.values():
            for task in tasks:
                task.cancel()
        self._tasks.clear()

    def _task(
        self, kind: Kind, container: Container, probe: Probe, state: ContainerState, started: asyncio.Event
    ) -> asyncio.Task[None]:
        return asyncio.create_task(
            self._run(kind, container, probe, state, started), name=f"{kind} probe of {container.name}"
        )

    async def _run(
        self, kind: Kind, container: Container, probe: Probe, state: ContainerState, started: asyncio.Event
    ) -> None:
        if kind != "Startup":
            await started.wait()
        period = float(probe.period_seconds or 10)
        age = max(0.0, parse_time(now()).timestamp() - parse_time(state.started_at or now()).timestamp())
        await asyncio.sleep(max(0.0, (probe.initial_delay_seconds or 0) - age))
        successes, failures = 0, 0
        while True:
            problem = await self._once(container, probe, state)
            if problem is None:
                successes, failures = successes + 1, 0
                if successes >= (probe.success_threshold or 1):
                    self._succeeded(kind, container, started)
                    if kind == "Startup":
                        return
            else:
                successes, failures = 0, failures + 1
                record_event(
                    self._shared,
                    self._worker.pod,
                    "Warning",
                    "Unhealthy",
                    f"{kind} probe failed: {problem}",
                    container.name,
                )
                if failures >= (probe.failure_threshold or 3):
                    if kind != "Readiness":
                        await self._kill(kind, container, probe, state)
                        return
                    self._worker.facts.unready.add(container.name)
                    self._shared.post(self._worker.uid, 0.0)
            # Soon again while a container is coming up, so that it is ready when it is, not a period later.
            early = (
                kind == "Readiness"
                and container.name in self._worker.facts.unready
                and successes == 0
                and failures <= 3
            )
            await asyncio.sleep((min(period, 1.0) if early else period) * random.uniform(0.95, 1.05))

    def _succeeded(self, kind: Kind, container: Container, started: asyncio.Event) -> None:
        facts = self._worker.facts
        if kind == "Startup":
            facts.unstarted.discard(container.name)
            started.set()
            self._shared.post(self._worker.uid, 0.0)
            self._worker.wake()
        elif kind == "Readiness" and container.name in facts.unready:
            facts.unready.discard(container.name)
            self._shared.post(self._worker.uid, 0.0)

    async def _once(self, container: Container, probe: Probe, state: ContainerState) -> str | None:
        """What was wrong, or None."""
        timeout = float(probe.timeout_seconds or 1)
        ip = self._worker.facts.ips[0] if self._worker.facts.ips else self._shared.address.now
        try:
            async with asyncio.timeout(timeout):
                if probe.exec is not None:
                    await hooks.command(self._shared, state.id, probe.exec.command or ())
                elif probe.http_get is not None:
                    await hooks.http_get(container, probe.http_get, ip, "kube-probe/1.37")
                elif probe.tcp_socket is not None:
                    await hooks.tcp(container, probe.tcp_socket.port, probe.tcp_socket.host or ip)
        except TimeoutError:
            return f"no answer within {timeout:.0f} s"
        except (ActionFailed, RuntimeFault) as error:
            return str(error)
        return None

    async def _kill(self, kind: Kind, container: Container, probe: Probe, state: ContainerState) -> None:
        grace = probe.termination_grace_period_seconds
        why = f"Container {container.name} failed {kind.lower()} probe, will be restarted"
        await self._worker.stop_container(container, state, why, None if grace is None else float(grace))
