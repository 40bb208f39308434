# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods that wait for a node: ready ones by priority then age, refused ones parked until something changes,
each no sooner than its back-off."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable

from navarch.scheduler.equivalence_class import EquivalenceClass

_FIRST_BACKOFF = 1.0
_LAST_BACKOFF = 10.0


class Pending:
    """One pod that has no node yet."""

    __slots__ = (
        "attempts",
        "eclass",
        "message",
        "name",
        "namespace",
        "not_before",
        "order",
        "priority",
        "uid",
    )

    def __init__(
        self, uid: str, namespace: str, name: str, eclass: EquivalenceClass, priority: int, message: str
    ) -> None:
        self.uid = uid
        self.namespace = namespace
        self.name = name
        self.eclass = eclass
        self.priority = priority
        #: What its PodScheduled condition says now.
        self.message = message
        self.attempts = 0
        #: On the loop's clock.
        self.not_before = 0.0
        self.order = 0


class SchedulingQueue:
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._numbers = itertools.count()
        self._pods: dict[str, Pending] = {}
        self._ready: list[tuple[int, int, Pending]] = []  # (-priority, order, pod)
        self._later: list[tuple[float, int, Pending]] = []  # (not_before, order, pod)
        self._parked: dict[str, Pending] = {}
        #: Of those parked, the ones to whom another pod's placement may open a node.
        self._hopeful: set[str] = set()
        self._wake = asyncio.Event()
        self._moved = False

    def __len__(self) -> int:
        return len(self._pods)

    def get(self, uid: str) -> Pending | None:
        return self._pods.get(uid)

    def add(self, pod: Pending) -> None:
        """A new pod, or one whose wishes changed."""
        self._pods[pod.uid] = pod
        self._unpark(pod.uid)
        self._push(pod)

    def remove(self, uid: str) -> None:
        """The pod is gone or has its node. Entries still in a heap are passed over when they come up."""
        self._pods.pop(uid, None)
        self._unpark(uid)

    def clear(self) -> None:
        self._pods.clear()
        self._ready.clear()
        self._later.clear()
        self._parked.clear()
        self._hopeful.clear()

    def pop(self) -> Pending | None:
        """The next pod to try, which stays known until removed, parked or retried; None when none is
        ready."""
        now = self._clock()
        if self._moved:
            self._moved = False
            parked, self._parked = self._parked, {}
            self._hopeful.clear()
            for pod in parked.values():
                self._push(pod)
        while self._later and self._later[0][0] <= now:
            _, order, pod = heapq.heappop(self._later)
            if self._current(pod, order):
                self._push(pod)
        while self._ready:
            _, order, pod = heapq.heappop(self._ready)
            if self._current(pod, order):
                return pod
        return None

    def park(self, pod: Pending) -> None:
        """No node will do now: wait until `move_parked` or, where that may help, `move_hopeful`."""
        self._delay(pod)
        if self._pods.get(pod.uid) is pod:
            self._parked[pod.uid] = pod
            if pod.eclass.awaits_pods:
                self._hopeful.add(pod.uid)

    def retry(self, pod: Pending) -> None:
        """Something failed that may succeed later."""
        self._delay(pod)
        if self._pods.get(pod.uid) is pod:
            self._push(pod)

    def move_parked(self) -> None:
        """The cluster changed in a way that may help: parked pods become ready as their back-off allows."""
        if self._parked:
            self._moved = True
            self._wake.set()

    def move_hopeful(self) -> None:
        """A pod was placed: those that want to be near others, or spread with them, are tried again."""
        for uid in list(self._hopeful):
            pod = self._parked[uid]
            self._unpark(uid)
            self._push(pod)

    async def wait(self) -> None:
        """Until `pop` may have something."""
        if self._ready or self._moved:
            return
        self._wake.clear()
        if not self._later:
            await self._wake.wait()
            return
        try:
            async with asyncio.timeout(max(self._later[0][0] - self._clock(), 0.0)):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _unpark(self, uid: str) -> None:
        self._parked.pop(uid, None)
        self._hopeful.discard(uid)

    def _delay(self, pod: Pending) -> None:
        pod.attempts += 1
        pod.not_before = self._clock() + min(_FIRST_BACKOFF * 2.0 ** (pod.attempts - 1), _LAST_BACKOFF)

    def _push(self, pod: Pending) -> None:
        pod.order = next(self._numbers)
        if pod.not_before > self._clock():
            heapq.heappush(self._later, (pod.not_before, pod.order, pod))
        else:
            heapq.heappush(self._ready, (-pod.priority, pod.order, pod))
        self._wake.set()

    def _current(self, pod: Pending, order: int) -> bool:
        return pod.order == order and self._pods.get(pod.uid) is pod
