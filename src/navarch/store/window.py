# SPDX-License-Identifier: GPL-3.0-or-later
"""The history of watch caches, bounded in bytes and in time.

Each cache has a `Window` of changes from which watches resume. All windows share one `History`: a budget of
bytes, and a time after which a change is released. Whoever else holds old objects (a page of a list, an
answer to a slow reader) names it as a `Pin`, and is dropped when the pins hold too much.

The reference sizes its watch cache by time (it keeps 75 s of events at least); here bytes decide first, since
one object may have 3 MB. Not here: the living objects (`cache`), the fan-out (`watchers`).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import NamedTuple

from navarch.store.watchers import OVERHEAD, Change, View

#: Bytes of the past that all windows together may keep alive, by default.
BUDGET = 64 << 20
#: Seconds that a change is kept at most.
SECONDS = 300.0
#: Of the budget, what is kept when it was exceeded: so that not every change has to look again.
_AFTER = 7 / 8


class _Chunk(NamedTuple):
    """The changes of one delivery."""

    at: float
    changes: list[Change]
    #: Bytes that only these changes keep alive.
    size: int


class Window:
    """The newest changes of one cache, `limit` at most."""

    __slots__ = ("_chunks", "_count", "_history", "_limit", "kept", "newest", "oldest", "superseded")

    def __init__(self, history: History, limit: int) -> None:
        self._history = history
        self._limit = limit
        self._chunks: deque[_Chunk] = deque()
        self._count = 0
        #: Bytes that the window alone keeps alive.
        self.kept = 0
        #: Bytes of objects that were replaced or deleted since the start. It only grows.
        self.superseded = 0
        #: Revision of the last change.
        self.newest = 0
        #: Watches from an older revision cannot be served.
        self.oldest = 0

    def begin(self, revision: int) -> None:
        """The state is known as of `revision`, and nothing before it."""
        self.newest = self.oldest = revision

    def remember(self, changes: list[Change]) -> None:
        """Changes of one delivery, in revision order, not empty."""
        size = 0
        for change in changes:
            # A living object is no cost of the window. What it replaced is.
            size += OVERHEAD
            if change.previous is not None:
                size += len(change.previous.value)
            if change.kind == "DELETED":
                size += len(change.entry.value)
        now = time.monotonic()
        self._chunks.append(_Chunk(now, changes, size))
        self.newest = changes[-1].entry.revision
        self._count += len(changes)
        self.kept += size
        self.superseded += size
        while self._count > self._limit:
            self.release()
        self._history.grown(self, size, now)

    def expire(self, before: float) -> None:
        """Release what is older than a monotonic time."""
        chunks = self._chunks
        while chunks and chunks[0].at < before:
            self.release()

    def release(self) -> None:
        """Forget the oldest delivery."""
        chunk = self._chunks.popleft()
        self._count -= len(chunk.changes)
        self.kept -= chunk.size
        self.oldest = chunk.changes[-1].entry.revision
        self._history.kept -= chunk.size

    def clear(self) -> None:
        while self._chunks:
            self.release()

    def since(self, revision: int, prefix: str, view: View, size: int) -> tuple[list[Change], int, bool]:
        """The changes after `revision`, as `view` sees them, until they have `size` bytes.

        Returns them, the revision they reach to, and whether that is the newest. The caller knows that
        `revision` is not behind `oldest`.
        """
        chunks = self._chunks
        low, high = 0, len(chunks)
        while low < high:
            middle = (low + high) // 2
            if chunks[middle].changes[-1].entry.revision <= revision:
                low = middle + 1
            else:
                high = middle
        found: list[Change] = []
        for chunk in islice(chunks, low, None):
            for change in chunk.changes:
                entry = change.entry
                if entry.revision <= revision or not entry.key.startswith(prefix):
                    continue
                visible = view(change)
                if visible is None:
                    continue
                found.append(visible)
                size -= len(entry.value) + OVERHEAD
                if size <= 0:
                    return found, entry.revision, False
        return found, max(revision, self.newest), True


class Pin:
    """Something that holds a state of a cache, or a part of it. size: its bytes, computed once."""

    __slots__ = ("_began", "_size", "_window", "drop")

    def __init__(self, window: Window, size: Callable[[], int], drop: Callable[[], object]) -> None:
        self._window = window
        self._began = window.superseded
        self._size: int | Callable[[], int] = size
        #: Lets go of it; called once, when there is too much of the past.
        self.drop = drop

    def held(self) -> int:
        """Bytes that are not alive otherwise, at most: what was replaced since cannot be more."""
        superseded = self._window.superseded - self._began
        if not superseded:
            return 0
        if not isinstance(self._size, int):
            self._size = self._size()
        return min(self._size, superseded)


class History:
    """The past of all caches of a process.

    budget: bytes that the windows keep alive, and again what the pins do. seconds: how long a change is kept.
    """

    def __init__(self, budget: int = BUDGET, seconds: float = SECONDS) -> None:
        self.budget = budget
        self._seconds = seconds
        #: Bytes that the windows keep alive.
        self.kept = 0
        self._windows: list[Window] = []
        #: In the order of their beginning.
        self._pins: dict[Pin, None] = {}
        #: Bytes superseded since the pins were looked at.
        self._unlooked = 0
        self._timer: asyncio.TimerHandle | None = None

    def window(self, limit: int) -> Window:
        window = Window(self, limit)
        self._windows.append(window)
        return window

    def forget(self, window: Window) -> None:
        """The window's cache was closed."""
        window.clear()
        self._windows.remove(window)
        if not self._windows and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def grown(self, window: Window, size: int, now: float) -> None:
        window.expire(now - self._seconds)
        self.kept += size
        if self.kept > self.budget:
            self._shed()
        if self._pins:
            self._unlooked += size
            if self._unlooked > self.budget // 8:
                self._unpin()
        if self._timer is None:
            self._arm()

    def _shed(self) -> None:
        """The largest windows give: the changes of one kind must not cost the others their past."""
        target = int(self.budget * _AFTER)
        while self.kept > target:
            largest = max(self._windows, key=lambda window: window.kept)
            enough = largest.kept // 2
            while self.kept > target and largest.kept > enough:
                largest.release()

    # Pins

    def pin(self, window: Window, size: Callable[[], int], drop: Callable[[], object]) -> Pin:
        pin = Pin(window, size, drop)
        self._pins[pin] = None
        return pin

    def unpin(self, pin: Pin) -> None:
        """Idempotent."""
        self._pins.pop(pin, None)

    def _unpin(self) -> None:
        """The oldest pins go first: the others may be about to end."""
        self._unlooked = 0
        over = sum(pin.held() for pin in self._pins) - self.budget
        for pin in list(self._pins):
            if over <= 0:
                break
            if held := pin.held():
                over -= held
                self.unpin(pin)
                pin.drop()

    # Time

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._seconds / 20, self._expire)

    def _expire(self) -> None:
        self._timer = None
        before = time.monotonic() - self._seconds
        for window in self._windows:
            window.expire(before)
        if any(window.kept for window in self._windows):
            self._arm()
