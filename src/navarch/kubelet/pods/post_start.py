# SPDX-License-Identifier: GPL-3.0-or-later
"""postStart hooks: each runs once a container, which counts as started when it has ended well; the pod's
next containers wait for it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from navarch.api.core.pod.container import Container
from navarch.api.core.pod.probe import LifecycleHandler
from navarch.kubelet.pods import hooks
from navarch.kubelet.pods.container_start import ContainerStart
from navarch.kubelet.pods.context import Shared, record_event
from navarch.kubelet.pods.hooks import ActionFailed
from navarch.kubelet.runtime.base import ContainerState, RuntimeFault

if TYPE_CHECKING:
    from navarch.kubelet.pods.worker import PodWorker


def post_start(container: Container) -> LifecycleHandler | None:
    return container.lifecycle.post_start if container.lifecycle else None


class PostStarts:
    """Those of one pod."""

    def __init__(self, shared: Shared, worker: PodWorker, container_start: ContainerStart) -> None:
        self._shared = shared
        self._worker = worker
        self._container_start = container_start
        self._tasks: dict[str, asyncio.Task[None]] = {}  # by the container's id
        self._ended: set[str] = set()

    def holds(self, container: Container, current: ContainerState | None) -> bool:
        """Whether it runs and its hook has not ended well yet."""
        if current is None or current.status != "running" or post_start(container) is None:
            return False
        if current.id not in self._ended and self._marker(container, current).exists():
            self._ended.add(current.id)
        return current.id not in self._ended

    def begin(self, container: Container, current: ContainerState) -> None:
        """Run the hook, unless it was begun. When it fails the container is killed."""
        if current.id not in self._tasks:
            self._tasks[current.id] = asyncio.create_task(
                self._run(container, current), name=f"postStart {container.name}"
            )

    def stop(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    def _marker(self, container: Container, current: ContainerState) -> Path:
        """A file by which a restarted kubelet knows that it ran."""
        return self._container_start.termination_log(container.name, current.attempt).with_suffix(".started")

    async def _run(self, container: Container, current: ContainerState) -> None:
        shared, pod = self._shared, self._worker.pod
        hook = post_start(container)
        assert hook is not None
        try:
            await hooks.run(shared, pod, container, hook, current)
        except (ActionFailed, RuntimeFault) as error:
            why = f"PostStartHook failed: {error}"
            record_event(shared, pod, "Warning", "FailedPostStartHook", why, container.name)
            why = f"FailedPostStartHook: killing {container.name}"
            await self._worker.stop_container(container, current, why)
            return
        self._marker(container, current).touch()
        self._worker.wake()
