# SPDX-License-Identifier: GPL-3.0-or-later
"""Small helpers that the store tests share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from navarch.store.base import Event, Store

Open = Callable[[], Awaitable[Store]]


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


class Log:
    """What a subscriber was given."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, events: Sequence[Event]) -> None:
        self.events += events

    @property
    def revisions(self) -> list[int]:
        return [event.revision for event in self.events]
