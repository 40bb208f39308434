# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine has, kept current by its event stream: containers by pod, waiters for exits, and a wake-up
of the pod a change is about.

Reads never reach the engine. Deciding anything is the pod workers' business.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from navarch.kubelet.runtime.base import SANDBOX, ContainerState, NoSuchContainer, Runtime, RuntimeFault

log = logging.getLogger(__name__)

_ORDER = {"created": 0, "running": 1, "exited": 2}
#: Seconds that the engine may be away before the node is not ready: containers outlive its restart
#: (live-restore), and a node that is not ready leaves the services and may lose its pods.
_PATIENCE = 10.0


class Containers:
    def __init__(self, runtime: Runtime, wake: Callable[[str], None]) -> None:
        self._runtime = runtime
        self._wake = wake
        self._by_pod: dict[str, dict[str, ContainerState]] = {}
        self._pod_of: dict[str, str] = {}
        self._waiters: dict[str, list[asyncio.Future[None]]] = {}
        self.synced = asyncio.Event()
        #: Why the engine does not answer, "" when it does.
        self.problem = ""
        self.problem_changed: Callable[[], None] = lambda: None

    def of(self, uid: str) -> list[ContainerState]:
        """A pod's containers without its sandboxes, oldest attempt first."""
        found = [c for c in self._by_pod.get(uid, {}).values() if c.name != SANDBOX]
        return sorted(found, key=lambda c: (c.name, c.attempt, c.created))

    def sandboxes(self, uid: str) -> list[ContainerState]:
        found = [c for c in self._by_pod.get(uid, {}).values() if c.name == SANDBOX]
        return sorted(found, key=lambda c: (c.attempt, c.created))

    def get(self, id: str) -> ContainerState | None:
        return self._by_pod.get(self._pod_of.get(id, ""), {}).get(id)

    def pods(self) -> set[str]:
        """UIDs of the pods that have containers or sandboxes."""
        return {uid for uid, found in self._by_pod.items() if found}

    def live_sandboxes(self) -> set[str]:
        return {
            c.id
            for found in self._by_pod.values()
            for c in found.values()
            if c.name == SANDBOX and c.status == "running"
        }

    def put(self, state: ContainerState) -> None:
        """A newer state.

        A container never goes back (it is never started twice), so late news of an earlier state is ignored.
        """
        found = self._by_pod.setdefault(state.uid, {})
        old = found.get(state.id)
        if old is not None and _ORDER[old.status] > _ORDER[state.status]:
            return
        found[state.id] = state
        self._pod_of[state.id] = state.uid
        if state.status == "exited":
            self._release(state.id)

    def drop(self, id: str) -> None:
        uid = self._pod_of.pop(id, "")
        found = self._by_pod.get(uid)
        if found is not None:
            found.pop(id, None)
            if not found:
                del self._by_pod[uid]
        self._release(id)

    def _release(self, id: str) -> None:
        for waiter in self._waiters.pop(id, ()):
            if not waiter.done():
                waiter.set_result(None)

    def exited(self, id: str) -> asyncio.Future[None]:
        """Done when the container has ended or is gone."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        state = self.get(id)
        if state is None or state.status == "exited":
            future.set_result(None)
        else:
            self._waiters.setdefault(id, []).append(future)
        return future

    async def refresh(self, id: str) -> None:
        """Ask the engine about one container."""
        uid = self._pod_of.get(id, "")
        try:
            state = await self._runtime.inspect(id)
            self.put(state)
            uid = state.uid
        except NoSuchContainer:
            self.drop(id)
        if uid:
            self._wake(uid)

    async def relist(self) -> None:
        """Ask the engine about everything.

        Wake the pods for which something was missed. Raises RuntimeFault.
        """
        known = dict(self._pod_of)  # what is made while the engine answers need not be in its answer
        current = {state.id: state for state in await self._runtime.containers()}
        changed = set()
        for id, uid in known.items():
            if id not in current:
                changed.add(uid)
                self.drop(id)
        for state in current.values():
            if self.get(state.id) != state:
                changed.add(state.uid)
                self.put(state)
        self.synced.set()
        self._say("")
        for uid in changed:
            self._wake(uid)

    def _say(self, problem: str) -> None:
        if problem != self.problem:
            self.problem = problem
            self.problem_changed()

    async def run(self) -> None:
        """Follow the engine until cancelled.

        An engine that goes away is tried again, from 0.2 s to every 5 s.
        """
        delay = 0.2
        clock = asyncio.get_running_loop().time
        away: float | None = None
        while True:
            fault = "it closed its event stream"
            try:
                async for id in self._runtime.events():
                    if id:
                        await self.refresh(id)
                    else:
                        await self.relist()
                    delay, away = 0.2, None
            except RuntimeFault as error:
                fault = str(error)
            log.warning("container engine: %s", fault)
            if away is None:
                away = clock()
            if clock() - away >= _PATIENCE:
                self._say(f"container engine: {fault}")
            await asyncio.sleep(delay)
            delay = min(delay * 2, 5.0)
