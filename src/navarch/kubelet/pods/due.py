# SPDX-License-Identifier: GPL-3.0-or-later
"""Which containers of a pod start next: the order of init containers, restart policy, attempts and back-off.

Starting them is the worker's and `container_start`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from navarch.api.core.pod.container import Container, is_sidecar
from navarch.api.core.pod.pod import Pod
from navarch.kubelet.backoff import Backoff
from navarch.kubelet.pods import status
from navarch.kubelet.pods.context import Shared, record_event
from navarch.kubelet.pods.ended import EndedContainers
from navarch.kubelet.pods.post_start import PostStarts, post_start
from navarch.kubelet.pods.spec import spec_hash
from navarch.kubelet.pods.status import Facts
from navarch.kubelet.runtime.base import ContainerState

#: A container and the number of the attempt to come.
Start = tuple[Container, int]


class DueContainers:
    def __init__(
        self,
        shared: Shared,
        uid: str,
        facts: Facts,
        ended: EndedContainers,
        post_starts: PostStarts,
        wake_after: Callable[[float], None],
    ) -> None:
        """wake_after: called with the seconds after which a container that backs off is due."""
        self._shared = shared
        self._uid = uid
        self._facts = facts
        self._ended = ended
        self._post_starts = post_starts
        self._wake_after = wake_after
        self._crashes = Backoff(shared.clock)
        self._begun: dict[str, int] = {}  # container -> number of its last restart

    def of(self, pod: Pod) -> list[Start]:
        """The containers to start now."""
        spec = pod.spec
        assert spec is not None
        found = self._shared.containers.of(self._uid)
        # A new sandbox begins with the init containers again, unless nothing would come after them.
        here = [c for c in found if self._here(c)]
        began = any(status.latest(here, c.name)[0] is not None for c in spec.containers) or all(
            self._over(pod, c, status.latest(found, c.name)[0]) for c in spec.containers
        )
        due: list[Start] = []
        for container in spec.init_containers or ():
            current, _ = status.latest(found, container.name)
            if is_sidecar(container):
                due += self._if_due(pod, container, current, init=True)
                up = current is not None and current.status == "running"
                held = container.name in self._facts.unstarted or self._post_starts.holds(container, current)
                if not began and (not up or held):
                    return due
                continue
            if began:
                continue
            if current is None or not self._here(current):
                return [*due, (container, _next(pod, container, current))]
            if current.status == "exited" and current.exit_code == 0:
                continue
            return due + self._if_due(pod, container, current, init=True)
        for container in spec.containers:
            current, _ = status.latest(found, container.name)
            starts = self._if_due(pod, container, current, init=False)
            due += starts
            if (starts and post_start(container)) or self._post_starts.holds(container, current):
                break  # the next ones wait for its hook
        return due

    def started(self, batch: Sequence[Start]) -> None:
        """These are being started: a restart counts as a crash once, however often its start is tried."""
        for container, attempt in batch:
            if attempt and self._begun.get(container.name) != attempt:
                self._begun[container.name] = attempt
                self._crashes.next(container.name)
                self._ended.trim(container.name)

    def _here(self, state: ContainerState) -> bool:
        """Whether the container belongs to the running sandbox. Containers of older kubelets do not say."""
        sandboxes = self._shared.containers.sandboxes(self._uid)
        running = sandboxes[-1].id if sandboxes and sandboxes[-1].status == "running" else ""
        return state.sandbox in ("", running)

    def _over(
        self, pod: Pod, container: Container, current: ContainerState | None, *, init: bool = False
    ) -> bool:
        """Whether the container has run and will not run again."""
        if current is not None:
            ended = current.status == "exited"
            return ended and not status.restarts(pod, container, current.exit_code, init=init)
        reported = status.reported(pod, container.name)
        if reported is None or not reported.state or not reported.state.terminated:
            return False
        return not status.restarts(pod, container, reported.state.terminated.exit_code, init=init)

    def _if_due(
        self, pod: Pod, container: Container, current: ContainerState | None, *, init: bool
    ) -> list[Start]:
        if self._over(pod, container, current, init=init):
            return []
        if current is None or current.status == "created":
            # Created: a kubelet was killed before it could start it, and it is made again.
            return [(container, _next(pod, container, current))]
        if current.status == "running":
            return []
        if current.spec_hash != spec_hash(container):
            return [(container, current.attempt + 1)]
        if self._begun.get(container.name) == current.attempt + 1:
            return [(container, current.attempt + 1)]
        remaining = self._crashes.remaining(container.name, self._ended.at(current))
        if remaining > 0:
            self._back_off(pod, container, remaining)
            return []
        return [(container, current.attempt + 1)]

    def _back_off(self, pod: Pod, container: Container, remaining: float) -> None:
        meta, delay = pod.metadata, self._crashes.delay(container.name)
        text = (
            f"back-off {delay:.0f}s restarting failed container={container.name} "
            f"pod={meta.name}_{meta.namespace}({self._uid})"
        )
        if self._facts.backing_off.get(container.name) != text:
            self._facts.backing_off[container.name] = text
            message = text[0].upper() + text[1:]
            record_event(self._shared, pod, "Warning", "BackOff", message, container.name)
        self._wake_after(remaining + 0.01)


def _next(pod: Pod, container: Container, current: ContainerState | None) -> int:
    """The number of the attempt to come."""
    if current is not None:
        return current.attempt + (current.status != "created")
    reported = status.reported(pod, container.name)
    return reported.restart_count + 1 if reported is not None and reported.container_id else 0
