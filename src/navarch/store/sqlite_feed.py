# SPDX-License-Identifier: GPL-3.0-or-later
"""Subscriptions of the SQLite store: history is the file's log, and the heartbeats that are not in it yet."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from navarch.store.base import Deliver, Event
from navarch.store.fanout import Fanout, Subscription
from navarch.store.sqlite_reader import CHUNK, Reader
from navarch.store.sqlite_rows import Row

if TYPE_CHECKING:
    from navarch.store.sqlite_commit import Write

log = logging.getLogger(__name__)


class Feed(Fanout):
    def __init__(self, reader: Reader) -> None:
        super().__init__()
        self._reader = reader

    def subscribe(
        self, prefix: str, since: int, visible: int, beats: Sequence[Write], deliver: Deliver
    ) -> Subscription:
        """`beats`: the heartbeats that are visible and may not be on disk."""
        held = [
            Event(beat.key, beat.value, beat.revision, beat.created)
            for beat in beats
            if beat.revision > since and beat.key.startswith(prefix)
        ]
        return self.add(prefix, deliver, since, visible, held)

    async def history(self, prefix: str, after: int, upto: int) -> AsyncIterator[tuple[int, Sequence[Event]]]:
        while after < upto:
            rows = await self._reader.writes(prefix, after, upto)
            after = rows[-1].revision if len(rows) == CHUNK else upto
            yield after, [event for row in rows if (event := _event(row)) is not None]


def _event(row: Row) -> Event | None:
    if row.damage:
        # The key is set aside where its newest state is read.
        log.error("store: revision %d of %s is left out: %s", row.revision, row.key, row.damage)
        return None
    return Event(row.key, row.value or b"", row.revision, row.created, row.value is None)
