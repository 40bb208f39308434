# SPDX-License-Identifier: GPL-3.0-or-later
"""Ended containers of one pod: when each ended, its termination message, and which of them are removed.

When a container starts again is decided in `due`.
"""

from __future__ import annotations

import asyncio
import functools
import logging

from navarch.api.core.pod.container import Container
from navarch.api.core.pod.pod import Pod
from navarch.api.machinery.meta import now, parse_time
from navarch.kubelet.pods import resources
from navarch.kubelet.pods.container_start import ContainerStart
from navarch.kubelet.pods.context import Shared
from navarch.kubelet.pods.status import Facts
from navarch.kubelet.pods.termination_message import message
from navarch.kubelet.runtime.base import ContainerState

log = logging.getLogger(__name__)

#: The exit code after SIGKILL.
_KILLED = 137
_MOMENT = 0.1


class EndedContainers:
    def __init__(self, shared: Shared, uid: str, facts: Facts, container_start: ContainerStart) -> None:
        self._shared = shared
        self._uid = uid
        self._facts = facts
        self._container_start = container_start
        self._at: dict[str, float] = {}  # container id -> when it ended, monotonic
        self._removals: dict[str, asyncio.Task[None]] = {}

    def at(self, state: ContainerState) -> float:
        """When it ended, on the kubelet's clock; now, where that was not noted yet."""
        return self._at.get(state.id, self._shared.clock())

    async def note(self, pod: Pod) -> None:
        """Note when containers ended, and read their termination messages."""
        for state in self._shared.containers.of(self._uid):
            if state.status != "exited" or state.id in self._at:
                continue
            container = _container(pod, state.name)
            await self._await_oom(container, state)
            age = 0.0
            if state.finished_at:
                age = max(0.0, parse_time(now()).timestamp() - parse_time(state.finished_at).timestamp())
            self._at[state.id] = self._shared.clock() - age
            if container is not None:
                path = self._container_start.termination_log(state.name, state.attempt)
                self._facts.messages[state.id] = await message(self._shared.runtime, container, state, path)
            self._shared.post(self._uid, 0.01)
        known = {c.id for c in self._shared.containers.of(self._uid)}
        for id in [id for id in self._at if id not in known]:
            del self._at[id]
            self._facts.messages.pop(id, None)

    async def _await_oom(self, container: Container | None, state: ContainerState) -> None:
        """The Engine reports an exit a moment before it reports that memory ran out."""
        if state.exit_code != _KILLED or state.oom_killed or self._facts.terminating:
            return
        if container is not None and resources.memory_limit(container):
            await asyncio.sleep(_MOMENT)
            await self._shared.containers.refresh(state.id)

    def trim(self, name: str) -> None:
        """Remove all ended containers of this name but the last: its logs and its last state are kept."""
        ended = [c for c in self._shared.containers.of(self._uid) if c.name == name and c.status == "exited"]
        for old in ended[:-1]:
            self._shared.containers.drop(old.id)
            key = f"remove {old.id}"
            self._removals[key] = asyncio.create_task(self._shared.runtime.remove(old.id), name=key)
            self._removals[key].add_done_callback(functools.partial(self._removed, key))

    def _removed(self, key: str, task: asyncio.Task[None]) -> None:
        self._removals.pop(key, None)
        if not task.cancelled() and task.exception() is not None:
            log.warning("%s: %s", key, task.exception())

    def stop(self) -> None:
        for task in self._removals.values():
            task.cancel()


def _container(pod: Pod, name: str) -> Container | None:
    spec = pod.spec
    found = [*(spec.init_containers or ()), *spec.containers] if spec else []
    return next((c for c in found if c.name == name), None)
