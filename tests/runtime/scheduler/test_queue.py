# SPDX-License-Identifier: GPL-3.0-or-later
"""The order in which pods are tried, with a clock that the test turns."""

from __future__ import annotations

import asyncio

from scheduler_support import pod

from navarch.scheduler.queue import Pending, SchedulingQueue

_SHAPE = pod()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def pending(uid: str, priority: int = 0) -> Pending:
    return Pending(uid, "default", uid, _SHAPE, priority, "")


def popped(queue: SchedulingQueue) -> list[str]:
    uids = []
    while (pod := queue.pop()) is not None:
        uids.append(pod.uid)
    return uids


async def test_priority_first_then_age() -> None:
    queue = SchedulingQueue(Clock())
    for uid, priority in (("old", 0), ("young", 0), ("vip", 10)):
        queue.add(pending(uid, priority))
    assert popped(queue) == ["vip", "old", "young"]


async def test_removed_pods_do_not_come_up() -> None:
    queue = SchedulingQueue(Clock())
    queue.add(pending("a"))
    queue.add(pending("b"))
    queue.remove("a")
    assert popped(queue) == ["b"]


async def test_parked_pods_wait_for_a_change_and_their_backoff() -> None:
    clock = Clock()
    queue = SchedulingQueue(clock)
    pod = pending("a")
    queue.add(pod)
    assert queue.pop() is pod
    queue.park(pod)
    clock.now = 100.0
    assert queue.pop() is None
    queue.move_parked()
    assert queue.pop() is pod
    queue.park(pod)
    queue.move_parked()
    assert queue.pop() is None  # two seconds now
    clock.now += 2.1
    assert queue.pop() is pod


async def test_backoff_doubles_to_ten_seconds() -> None:
    clock = Clock()
    queue = SchedulingQueue(clock)
    pod = pending("a")
    queue.add(pod)
    waits = []
    for _ in range(6):
        assert queue.pop() is pod
        queue.retry(pod)
        waits.append(pod.not_before - clock.now)
        clock.now = pod.not_before
    assert waits == [1, 2, 4, 8, 10, 10]


async def test_wait_wakes_for_additions_and_for_elapsed_backoff() -> None:
    loop = asyncio.get_running_loop()
    queue = SchedulingQueue(loop.time)
    waiting = asyncio.create_task(queue.wait())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    pod = pending("a")
    queue.add(pod)
    await asyncio.wait_for(waiting, 10)
    assert queue.pop() is pod
    pod.attempts = -4  # a back-off of a sixteenth of a second
    queue.retry(pod)
    await asyncio.wait_for(queue.wait(), 10)
    while queue.pop() is None:
        await asyncio.wait_for(queue.wait(), 10)


async def test_pods_that_await_others_are_tried_again_when_one_is_placed() -> None:
    clock = Clock()
    queue = SchedulingQueue(clock)
    follows = {
        "podAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "kubernetes.io/hostname", "labelSelector": {}}
            ]
        }
    }
    hopeful = Pending("follower", "default", "follower", pod(affinity=follows), 0, "")
    for waiting in (hopeful, pending("full")):
        queue.add(waiting)
        assert queue.pop() is waiting
        queue.park(waiting)
    clock.now = 100.0
    queue.move_hopeful()
    assert popped(queue) == ["follower"]
    queue.move_hopeful()
    assert popped(queue) == []
    queue.move_parked()
    assert popped(queue) == ["full"]
