# SPDX-License-Identifier: GPL-3.0-or-later
"""What every store promises, through the protocol alone."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import pytest
from store_support import Log, Open, until

from navarch.store.base import Compacted, Conflict, Exists, Future, Missing, Store, Unavailable
from navarch.store.sqlite import SqliteStore


async def test_a_created_key_is_read_back_with_its_revision(store: Store) -> None:
    revision = await store.create("/a/x", b"1")
    found = await store.get("/a/x")
    assert found is not None
    assert (found.value, found.revision, found.created) == (b"1", revision, revision)
    assert store.revision == revision
    assert await store.get("/a/y") is None


async def test_every_write_takes_the_next_revision(store: Store) -> None:
    first = await store.create("/a/x", b"1")
    second = await store.update("/a/x", b"2", expected=first)
    third = await store.delete("/a/x", expected=second)
    assert first < second < third
    fourth = await store.create("/a/x", b"4")
    found = await store.get("/a/x")
    assert found is not None
    assert found.created == fourth > third


async def test_writes_that_lost_say_what_was_found(store: Store) -> None:
    with pytest.raises(Missing):
        await store.update("/a/x", b"", expected=1)
    with pytest.raises(Missing):
        await store.delete("/a/x")
    revision = await store.create("/a/x", b"1")
    with pytest.raises(Exists) as exists:
        await store.create("/a/x", b"2")
    assert exists.value.revision == revision
    with pytest.raises(Conflict) as conflict:
        await store.update("/a/x", b"2", expected=revision + 7)
    assert conflict.value.found == revision
    with pytest.raises(Conflict):
        await store.delete("/a/x", expected=revision + 7)
    assert store.revision == revision


async def test_one_of_many_concurrent_writers_wins(store: Store) -> None:
    results = await asyncio.gather(
        *(store.create("/a/x", b"%d" % n) for n in range(20)), return_exceptions=True
    )
    won = [n for n, result in enumerate(results) if isinstance(result, int)]
    assert len(won) == 1
    assert sum(isinstance(result, Exists) for result in results) == 19
    at = (await store.get("/a/x")).revision  # type: ignore[union-attr]  # just created
    results = await asyncio.gather(
        *(store.update("/a/x", b"%d" % n, expected=at) for n in range(20)), return_exceptions=True
    )
    assert sum(isinstance(result, int) for result in results) == 1
    assert sum(isinstance(result, Conflict) for result in results) == 19


async def test_writes_to_one_key_in_one_batch_follow_each_other(store: Store, log: Log) -> None:
    first = await store.create("/a/x", b"1")
    store.subscribe("/a/", first, log)
    # Without awaiting in between: all land in one transaction.
    results = await asyncio.gather(
        store.delete("/a/x", expected=first),
        store.create("/a/x", b"2"),
        store.delete("/a/x"),
        store.create("/a/x", b"3"),
    )
    assert results == sorted(results)
    assert [(event.value, event.deleted) for event in log.events] == [
        (b"", True),
        (b"2", False),
        (b"", True),
        (b"3", False),
    ]
    assert (await store.get("/a/x", revision=results[1])).value == b"2"  # type: ignore[union-attr]
    assert await store.get("/a/x", revision=results[2]) is None
    assert (await store.get("/a/x", revision=first)).value == b"1"  # type: ignore[union-attr]


async def test_a_range_is_in_key_order_and_paged(store: Store) -> None:
    names = ["b", "a", "c", "a-b", "aa", "ä"]
    await asyncio.gather(*(store.create(f"/p/{name}", name.encode()) for name in names))
    await store.create("/q/z", b"")
    page = await store.range("/p/")
    assert [item.key for item in page.items] == sorted((f"/p/{name}" for name in names), key=str.encode)
    assert page.revision == store.revision
    cut = await store.range("/p/", limit=2)
    assert cut.remaining == 4
    rest = await store.range("/p/", start=cut.items[-1].key + "\0", limit=10)
    assert [*cut.items, *rest.items] == page.items
    assert rest.remaining == 0


async def test_old_states_stay_readable_until_compaction(store: Store) -> None:
    one = await store.create("/p/a", b"1")
    two = await store.create("/p/b", b"1")
    three = await store.update("/p/a", b"2", expected=one)
    four = await store.delete("/p/b")
    assert [i.value for i in (await store.range("/p/", revision=one)).items] == [b"1"]
    assert [i.revision for i in (await store.range("/p/", revision=two)).items] == [one, two]
    assert [i.value for i in (await store.range("/p/", revision=three)).items] == [b"2", b"1"]
    assert [i.key for i in (await store.range("/p/", revision=four)).items] == ["/p/a"]
    with pytest.raises(Future):
        await store.range("/p/", revision=four + 1)
    await store.compact(three)
    assert store.compacted == three
    with pytest.raises(Compacted):
        await store.range("/p/", revision=two)
    with pytest.raises(Compacted):
        await store.get("/p/a", revision=one)
    with pytest.raises(Compacted):
        store.subscribe("/p/", two, lambda events: None)
    with pytest.raises(Compacted):
        await store.compact(two)
    with pytest.raises(Future):
        await store.compact(four + 1)
    assert [i.value for i in (await store.range("/p/", revision=three)).items] == [b"2", b"1"]


@pytest.mark.parametrize("open_store", ["sqlite"], indirect=True)
async def test_compaction_removes_what_nobody_can_read(store: Store, tmp_path: Path) -> None:
    at = await store.create("/p/a", b"0")
    for n in range(50):
        at = await store.update("/p/a", b"%d" % n, expected=at)
    await store.create("/p/b", b"")
    at = await store.delete("/p/b")
    await store.compact(at)
    conn = sqlite3.connect(tmp_path / "store.db")
    with contextlib.closing(conn):
        assert conn.execute("SELECT key, value FROM log").fetchall() == [("/p/a", b"49")]


async def test_a_subscriber_gets_history_then_live_once_each(store: Store, log: Log) -> None:
    """Writers go on while the subscriber reads its history: no gap, nothing twice, in order."""
    for n in range(3):
        await store.create(f"/p/{n}", b"")
    start = store.revision
    stop = False
    acknowledged: list[int] = []

    async def write(worker: int) -> None:
        n = 0
        while not stop:
            acknowledged.append(await store.create(f"/p/{worker}-{n}", b"x" * 100))
            n += 1

    writers = [asyncio.create_task(write(worker)) for worker in range(8)]
    await until(lambda: len(acknowledged) > 3000, 50)
    store.subscribe("/p/", start, log)
    await until(lambda: len(acknowledged) > 6000, 50)
    stop = True
    await asyncio.gather(*writers)
    await until(lambda: len(log.events) >= len(acknowledged))
    assert log.revisions == sorted(acknowledged)


async def test_an_event_is_delivered_before_its_write_is_answered(store: Store, log: Log) -> None:
    store.subscribe("/p/", store.revision, log)
    hint = object()
    revision = await store.create("/p/a", b"1", hint=hint)
    assert log.revisions == [revision]
    assert log.events[0].hint is hint
    revision = await store.update("/p/a", b"2", expected=revision, durable=False, hint=hint)
    assert log.revisions[-1] == revision
    assert log.events[-1].hint is hint


async def test_a_subscription_sees_its_prefix_only_until_closed(store: Store, log: Log) -> None:
    subscription = store.subscribe("/p/a", store.revision, log)
    await store.create("/p/b", b"")
    await store.create("/p/ab", b"")
    await store.create("/p/a/x", b"")
    assert [event.key for event in log.events] == ["/p/ab", "/p/a/x"]
    subscription.close()
    subscription.close()
    await store.create("/p/a", b"")
    assert len(log.events) == 2


async def test_heartbeats_are_seen_at_once_and_written_when_closing(open_store: Open, log: Log) -> None:
    store = await open_store()
    first = at = await store.create("/p/a", b"0")
    store.subscribe("/p/", at, log)
    for n in range(100):
        at = await store.update("/p/a", b"%d" % n, expected=at, durable=False)
    assert log.revisions == list(range(first + 1, at + 1))
    assert (await store.get("/p/a")).value == b"99"  # type: ignore[union-attr]
    assert (await store.range("/p/")).items[0].revision == at
    with pytest.raises(Conflict):
        await store.update("/p/a", b"", expected=first)
    await store.close()
    store = await open_store()
    found = await store.get("/p/a")
    assert found is not None
    assert (found.value, found.revision, found.created) == (b"99", at, first)
    assert store.revision >= at
    # A clean end leaves no hole: watches go on where they were.
    again = Log()
    store.subscribe("/p/", first, again)
    await until(lambda: again.revisions and again.revisions[-1] == at)


async def test_a_durable_write_supersedes_a_heartbeat(store: Store) -> None:
    first = await store.create("/p/a", b"0")
    beat = await store.update("/p/a", b"1", expected=first, durable=False)
    last = await store.update("/p/a", b"2", expected=beat)
    later = await store.update("/p/a", b"3", expected=last, durable=False)
    assert (await store.get("/p/a", revision=first)).value == b"0"  # type: ignore[union-attr]
    assert (await store.get("/p/a", revision=last)).value == b"2"  # type: ignore[union-attr]
    assert (await store.get("/p/a")).value == b"3"  # type: ignore[union-attr]
    await store.delete("/p/a", expected=later)
    assert await store.get("/p/a") is None
    await store.compact(store.revision)
    assert await store.get("/p/a") is None


@pytest.mark.parametrize("open_store", ["sqlite"], indirect=True)
async def test_heartbeats_behind_durable_writes_keep_the_order(store: Store, log: Log) -> None:
    at = await store.create("/p/a", b"0")
    await store.update("/p/a", b"0", expected=at, durable=False)  # revisions are reserved now
    at = store.revision
    store.subscribe("/p/", at, log)
    await asyncio.gather(
        store.create("/p/b", b""),
        store.update("/p/a", b"1", expected=at, durable=False),
        store.create("/p/c", b""),
    )
    assert [event.key for event in log.events] == ["/p/b", "/p/a", "/p/c"]
    assert log.revisions == sorted(log.revisions)


async def test_a_lease_takes_its_keys_with_it(store: Store, log: Log) -> None:
    store.subscribe("/p/", store.revision, log)
    short, long = await store.grant(3), await store.grant(60)
    await store.create("/p/a", b"", lease=short)
    await store.create("/p/b", b"", lease=long)
    at = await store.create("/p/c", b"", lease=short)
    await store.update("/p/c", b"", expected=at)  # without the lease: it stays
    assert await store.keep_alive(short) == 3
    await until(lambda: any(event.deleted for event in log.events))
    assert [item.key for item in (await store.range("/p/")).items] == ["/p/b", "/p/c"]
    with pytest.raises(Missing):
        await store.create("/p/d", b"", lease=short)
    await store.revoke(long)
    assert [item.key for item in (await store.range("/p/")).items] == ["/p/c"]
    with pytest.raises(Missing):
        await store.keep_alive(long)


async def test_a_lease_that_is_kept_alive_stays(store: Store, log: Log) -> None:
    lease = await store.grant(2)
    store.subscribe("/p/", await store.create("/p/a", b"", lease=lease), log)
    for _ in range(6):
        await asyncio.sleep(0.5)
        await store.keep_alive(lease)
    assert await store.get("/p/a") is not None
    await until(lambda: log.events)
    assert await store.get("/p/a") is None


async def test_leases_survive_a_restart(open_store: Open, log: Log) -> None:
    store = await open_store()
    lease = await store.grant(3)
    await store.create("/p/a", b"", lease=lease)
    await store.close()
    store = await open_store()
    found = await store.get("/p/a")
    assert found is not None
    assert found.lease == lease
    store.subscribe("/p/", found.revision, log)
    await until(lambda: log.events)
    assert await store.get("/p/a") is None


@pytest.mark.parametrize("open_store", ["sqlite"], indirect=True)
async def test_a_backup_is_a_store_that_gives_out_no_old_revision(store: Store, tmp_path: Path) -> None:
    await store.create("/p/a", b"1")
    await store.backup(str(tmp_path / "copy.db"))
    assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600
    lost = await store.create("/p/b", b"2")
    copy = SqliteStore(str(tmp_path / "copy.db"))
    await copy.start()
    try:
        assert [item.key for item in (await copy.range("/p/")).items] == ["/p/a"]
        with pytest.raises(Compacted):
            copy.subscribe("/p/", lost, lambda events: None)
        assert await copy.create("/p/c", b"") > lost
    finally:
        await copy.close()


async def test_a_closed_store_refuses_and_closing_finishes_what_was_accepted(open_store: Open) -> None:
    store = await open_store()
    writes = [asyncio.create_task(store.create(f"/p/{n}", b"")) for n in range(100)]
    await asyncio.sleep(0)
    await store.close()
    await store.close()
    await asyncio.gather(*writes)
    with pytest.raises(Unavailable):
        await store.create("/p/x", b"")
    with pytest.raises(Unavailable):
        await store.get("/p/1")
    store = await open_store()
    assert len((await store.range("/p/")).items) == 100


async def test_a_cancelled_writer_leaves_the_store_well(store: Store) -> None:
    task = asyncio.create_task(store.create("/p/a", b"1"))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await store.create("/p/b", b"")
    with pytest.raises(Exists):
        await store.create("/p/a", b"2")
