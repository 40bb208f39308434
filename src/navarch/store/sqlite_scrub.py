# SPDX-License-Identifier: GPL-3.0-or-later
"""The background check of a SQLite store: it reads the whole file, a little at a time, and verifies each row.

What is damaged on disk is noticed while the good state is still in memory, or in a backup. What is done about
it is the store's business (`sqlite`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from navarch.store.base import StoreError, Unavailable
from navarch.store.sqlite_reader import Reader

log = logging.getLogger(__name__)

#: Rows and bytes of one look, and seconds between two. A file of 200 MB takes some ten minutes, at less than
#: one per cent of a core.
ROWS = 200
BYTES = 1 << 20
SCRUB_SECONDS = 1.0
#: Seconds between the end of the file and the next beginning, at least.
PAUSE = 3600.0


class Scrub:
    """Counts what it did, for the metrics."""

    def __init__(self) -> None:
        #: Seconds.
        self.pause = PAUSE
        self.rows = 0
        self.passes = 0
        self.damaged = 0
        #: Damaged rows that were written again from memory.
        self.rewritten = 0

    async def run(
        self, reader: Reader, interval: float, report: Callable[[int, str], Awaitable[None]]
    ) -> None:
        """report(revision, why) is called for each damaged row."""
        after, failed = 0, False
        while True:
            await asyncio.sleep(interval)
            try:
                rows = await reader.scan(after, ROWS, BYTES)
            except Unavailable as exc:
                if not failed:
                    log.error("store: the file cannot be checked behind revision %d: %s", after, exc)
                    self.damaged += 1
                failed = True
                await asyncio.sleep(self.pause)
                after = 0
                continue
            for row in rows:
                if row.damage:
                    self.damaged += 1
                    try:
                        await report(row.revision, row.damage)
                    except StoreError as exc:
                        log.warning("store: revision %d is looked at again later: %s", row.revision, exc)
            self.rows += len(rows)
            if rows:
                after = rows[-1].revision
            else:
                self.passes += 1
                after, failed = 0, False
                await asyncio.sleep(self.pause)
