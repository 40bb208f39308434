# SPDX-License-Identifier: GPL-3.0-or-later
"""Heartbeats of many nodes at once, each of which needs revisions reserved: nobody waits for ever."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from navarch.store import sqlite_commit
from navarch.store.sqlite import SqliteStore


def test_heartbeats_that_reserve_at_the_same_time_all_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_commit, "BLOCK", 2)
    beats = 0

    async def beat(store: SqliteStore, key: str, revision: int) -> None:
        nonlocal beats
        for n in range(30):
            revision = await store.update(key, b"%d" % n, expected=revision, durable=False)
            beats += 1
            for _ in range(n % 4):
                await asyncio.sleep(0)

    async def run() -> None:
        store = SqliteStore(str(tmp_path / "store.db"))
        await store.start()
        try:
            made = {f"/k{n}": await store.create(f"/k{n}", b"") for n in range(12)}
            await asyncio.gather(*(beat(store, key, revision) for key, revision in made.items()))
        finally:
            await store.close()

    # A loop that is stuck does not see a timeout of its own.
    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), f"the event loop is stuck after {beats} heartbeats"
    assert beats == 12 * 30
