# SPDX-License-Identifier: GPL-3.0-or-later
"""A queue of keys to reconcile: one worker at a time on a key, additions while waiting coalesce, failures
back off."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from navarch.api.machinery.errors import StatusError

log = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)

_FIRST_DELAY = 0.02
_LAST_DELAY = 60.0


class WorkQueue(Generic[K]):
    def __init__(self, name: str) -> None:
        self.name = name
        self._ready: asyncio.Queue[K] = asyncio.Queue()
        self._waiting: set[K] = set()  # in _ready
        self._busy: set[K] = set()
        self._again: set[K] = set()  # added while busy
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, key: K) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        if key in self._busy:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.put_nowait(key)

    def add_after(self, key: K, seconds: float) -> None:
        """Add later; an earlier pending time wins."""
        if seconds <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= loop.time() + seconds:
                return
            timer.cancel()
        self._timers[key] = loop.call_later(seconds, self.add, key)

    async def run(self, reconcile: Callable[[K], Awaitable[None]], workers: int = 1) -> None:
        """Until cancelled. `reconcile` that raises is tried again after 20 ms, doubling to 60 s."""
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(workers):
                    group.create_task(self._work(reconcile), name=f"{self.name} worker {number}")
        finally:
            for timer in self._timers.values():
                timer.cancel()

    async def _work(self, reconcile: Callable[[K], Awaitable[None]]) -> None:
        while True:
            key = await self._ready.get()
            self._waiting.discard(key)
            self._busy.add(key)
            try:
                await reconcile(key)
            except Exception as error:
                count = self._failures[key] = self._failures.get(key, 0) + 1
                level = logging.DEBUG if count < 5 else logging.WARNING
                log.log(
                    level,
                    "%s %s: %s (try %d)",
                    self.name,
                    key,
                    error,
                    count,
                    # What the API answered says all; of anything else the place is wanted.
                    exc_info=level == logging.WARNING and not isinstance(error, StatusError),
                )
                self.add_after(key, min(_FIRST_DELAY * 2.0 ** (count - 1), _LAST_DELAY))
            else:
                self._failures.pop(key, None)
            finally:
                self._busy.discard(key)
                if key in self._again:
                    self._again.discard(key)
                    self.add(key)
