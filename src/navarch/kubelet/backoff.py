# SPDX-License-Identifier: GPL-3.0-or-later
"""Exponential back-off.

10 s doubling to 5 min, forgotten after 10 min without failure (the reference kubelet's figures).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

FIRST = 10.0
LONGEST = 300.0
FORGET = 600.0


class Backoff:
    """Per key.

    The first failure may be retried at once, then after 10 s, 20 s, ... The clock is injected (monotonic
    seconds).
    """

    def __init__(
        self,
        clock: Callable[[], float],
        first: float = FIRST,
        longest: float = LONGEST,
        forget: float = FORGET,
    ) -> None:
        self._clock = clock
        self._first = first
        self._longest = longest
        self._forget = forget
        self._entries: dict[Hashable, tuple[float, float]] = {}  # key -> (delay, last try)

    def remaining(self, key: Hashable, since: float) -> float:
        """Seconds until the key may be tried again, its last failure being `since`; 0 is now."""
        entry = self._entries.get(key)
        if entry is None:
            return 0.0
        delay, tried = entry
        if since - tried > self._forget:
            del self._entries[key]  # it went well for long enough
            return 0.0
        return max(0.0, since + delay - self._clock())

    def delay(self, key: Hashable) -> float:
        entry = self._entries.get(key)
        return entry[0] if entry else 0.0

    def next(self, key: Hashable) -> None:
        """A try is made now: the one after it waits twice as long."""
        now = self._clock()
        entry = self._entries.get(key)
        if entry is None:
            self._entries[key] = (self._first, now)
        else:
            self._entries[key] = (min(entry[0] * 2, self._longest), now)

    def reset(self, key: Hashable) -> None:
        self._entries.pop(key, None)
