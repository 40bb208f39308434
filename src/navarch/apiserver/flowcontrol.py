# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose request is next: the idea of API priority and fairness (KEP-1040), for one event loop.

There are two things to share. A request that waits (for a commit, mostly) holds one of its level's seats, so
that not all seats are one user's. And as long as the loop has work, requests are begun in slices of a few
milliseconds, between which the loop looks at its sockets, so that a newcomer is seen. What does not fit
waits in a queue of its user; users take turns, request by request, and levels too. A user's flood delays
that user. While there is no contention, a request costs two comparisons and a look at the clock.

Levels: `exempt` (system:masters: no limit of number, but its turn is like all others'), `system` (nodes),
`workload`. Watches and streams hold a seat until they have begun; after that they count for their user.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterator
from time import perf_counter
from typing import Any

from navarch.api.machinery import errors
from navarch.apiserver.levels import level_of
from navarch.apiserver.limits import Limits
from navarch.auth.user import User

#: Seconds of requests between two looks at the sockets.
SLICE = 0.010

#: Seconds a request may wait for its turn.
WAIT_SECONDS = 15.0

#: Users remembered while they ask nothing.
_IDLE_FLOWS = 2000

#: Upper bounds, in seconds, of the histogram of waits.
_BUCKETS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0)


class _Level:
    """Users of one priority level. `ring`: those with waiting requests, in the order of their turns."""

    def __init__(self, name: str, seats: int | None) -> None:
        self.name = name
        self.seats = seats
        self.executing = 0
        self.queued = 0
        self.long_running = 0
        self.ring: deque[Flow] = deque()
        self.dispatched = 0
        self.rejected: Counter[str] = Counter()
        self.waits = [0] * (len(_BUCKETS) + 1)
        self.waited = 0.0

    def free(self) -> bool:
        return self.seats is None or self.executing < self.seats

    def next(self) -> asyncio.Future[None] | None:
        """The waiting request whose turn it is; None when none is waiting, or no seat is free."""
        while self.ring and self.free():
            flow = self.ring.popleft()
            flow.in_ring = False
            found = None
            while flow.waiting and found is None:
                future, _ = flow.waiting.popleft()
                self.queued -= 1
                flow._control.queued -= 1
                found = None if future.done() else future
            if flow.waiting:
                self.add(flow)
            if found is not None:
                flow.seat()
                return found
        return None

    def add(self, flow: Flow) -> None:
        """Give a user with waiting requests its turn, behind the others."""
        if not flow.in_ring:
            flow.in_ring = True
            self.ring.append(flow)


class Flow:
    """One user's requests."""

    __slots__ = ("_control", "executing", "in_ring", "level", "long_running", "waiting")

    def __init__(self, control: FlowControl, level: _Level) -> None:
        self._control = control
        self.level = level
        self.executing = 0
        self.long_running = 0
        self.in_ring = False
        #: What waits, and since when.
        self.waiting: deque[tuple[asyncio.Future[None], float]] = deque()

    @property
    def idle(self) -> bool:
        return not (self.executing or self.long_running or self.waiting)

    def enter(self) -> bool:
        """Take a seat if there is one now. False: `wait` for it."""
        # In one piece, since every request comes this way.
        level, control = self.level, self._control
        if level.queued or (level.seats is not None and level.executing >= level.seats):
            return False
        now = perf_counter()
        if not control._slicing:
            control._begin(now)
        elif now >= control._until:
            return False
        level.executing += 1
        level.dispatched += 1
        self.executing += 1
        return True

    def seat(self) -> None:
        level = self.level
        level.executing += 1
        level.dispatched += 1
        self.executing += 1

    def leave(self) -> None:
        """Give the seat back."""
        level = self.level
        level.executing -= 1
        self.executing -= 1
        if level.queued:
            self._control._wake()

    async def wait(self) -> None:
        """Take a seat in turn. Raises StatusError 429."""
        level, control = self.level, self._control
        if level.seats is not None and len(self.waiting) >= control.queue:
            raise self._refused("queue-full")
        began = perf_counter()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append((future, began))
        level.queued += 1
        control.queued += 1
        level.add(self)
        control._wake()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.leave()
            raise
        waited = perf_counter() - began
        level.waits[bisect_left(_BUCKETS, waited)] += 1
        level.waited += waited

    def expire(self, before: float) -> None:
        """Refuse what waits since before that time."""
        while self.waiting and self.waiting[0][1] < before:
            future, _ = self.waiting.popleft()
            self.level.queued -= 1
            self._control.queued -= 1
            if not future.done():
                future.set_exception(self._refused("time-out"))

    def begin_long(self) -> None:
        """A watch or stream begins. Raises StatusError 429."""
        if self.level.seats is not None and self.long_running >= self._control.long_running:
            raise self._refused("long-running")
        self.long_running += 1
        self.level.long_running += 1

    def end_long(self) -> None:
        self.long_running -= 1
        self.level.long_running -= 1

    def _refused(self, reason: str) -> errors.StatusError:
        self.level.rejected[reason] += 1
        return errors.too_many_requests("too many requests, please try again later")


class FlowControl:
    def __init__(self, limits: Limits) -> None:
        self.queue = limits.requests_queued_per_user
        self.long_running = limits.long_running_per_user
        most = limits.requests_in_flight
        seats = {"exempt": None, "system": (most + 1) // 2, "workload": most}
        self._levels = {name: _Level(name, most) for name, most in seats.items()}
        self._rotation = deque(self._levels.values())
        self._flows: dict[tuple[str, tuple[str, ...]], Flow] = {}
        #: Requests that wait, of all levels.
        self.queued = 0
        #: Whether a slice is under way, when it began and ends, what was begun in it from the queues, and
        #: what such a request cost lately.
        self._slicing = False
        self._began = self._until = 0.0
        self._granted = 0
        self._cost = SLICE / 32

    def of(self, user: User) -> Flow:
        key = (user.name, user.groups)
        flow = self._flows.get(key)
        if flow is None:
            flow = self._flows[key] = Flow(self, self._levels[level_of(user)])
        return flow

    def sweep(self) -> None:
        """To be called every few seconds: what waited too long is refused, idle users are forgotten."""
        before = perf_counter() - WAIT_SECONDS
        forget = len(self._flows) > _IDLE_FLOWS
        for key, flow in list(self._flows.items()):
            if flow.waiting:
                flow.expire(before)
            elif forget and flow.idle:
                del self._flows[key]

    def _wake(self) -> None:
        if not self._slicing:
            self._begin(perf_counter())

    def _begin(self, now: float) -> None:
        self._slicing = True
        self._granted = 0
        self._began, self._until = now, now + SLICE
        asyncio.get_running_loop().call_soon(self._next_slice)

    def _next_slice(self) -> None:
        """The loop has looked at its sockets, and what was begun has run as far as it could."""
        if not self.queued:
            self._slicing = False
            return
        now = perf_counter()
        if self._granted:
            self._cost = (self._cost + (now - self._began) / self._granted) / 2
        most = max(1, int(SLICE / self._cost))
        granted = 0
        while granted < most:
            future = self._take_turn()
            if future is None:
                break
            future.set_result(None)
            granted += 1
        if not granted:
            self._slicing = False
            return
        self._began, self._until = now, now + SLICE
        self._granted = granted
        asyncio.get_running_loop().call_soon(self._next_slice)

    def _take_turn(self) -> asyncio.Future[None] | None:
        """The next request of the next level that has one, seated."""
        for _ in range(len(self._rotation)):
            level = self._rotation[0]
            self._rotation.rotate(-1)
            found = level.next()
            if found is not None:
                return found
        return None

    def collect(self) -> Iterator[Any]:
        """The collector interface of prometheus-client; the reference's names."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        labels = ["priority_level", "flow_schema"]
        prefix = "apiserver_flowcontrol_"
        seats = GaugeMetricFamily(f"{prefix}nominal_limit_seats", "Requests at a time.", labels=labels[:1])
        executing = GaugeMetricFamily(
            f"{prefix}current_executing_requests", "Requests being answered.", labels=labels
        )
        queued = GaugeMetricFamily(
            f"{prefix}current_inqueue_requests", "Requests waiting for their turn.", labels=labels
        )
        long = GaugeMetricFamily(
            f"{prefix}current_longrunning_requests", "Watches and streams that are open.", labels=labels
        )
        dispatched = CounterMetricFamily(f"{prefix}dispatched_requests", "Requests begun.", labels=labels)
        rejected = CounterMetricFamily(
            f"{prefix}rejected_requests", "Requests answered 429.", labels=[*labels, "reason"]
        )
        waits = HistogramMetricFamily(
            f"{prefix}request_wait_duration_seconds", "Wait of requests that were queued.", labels=labels
        )
        for name, level in self._levels.items():
            key = [name, name]
            if level.seats is not None:
                seats.add_metric(key[:1], level.seats)
            executing.add_metric(key, level.executing)
            queued.add_metric(key, level.queued)
            long.add_metric(key, level.long_running)
            dispatched.add_metric(key, level.dispatched)
            for reason, count in level.rejected.items():
                rejected.add_metric([*key, reason], count)
            running, buckets = 0, []
            for bound, found in zip((*map(str, _BUCKETS), "+Inf"), level.waits, strict=True):
                running += found
                buckets.append((bound, running))
            waits.add_metric(key, buckets, level.waited)
        yield GaugeMetricFamily(
            "apiserver_current_inflight_requests",
            "Requests being answered.",
            sum(level.executing for level in self._levels.values()),
        )
        yield from (seats, executing, queued, long, dispatched, rejected, waits)
