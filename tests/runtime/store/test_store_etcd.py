# SPDX-License-Identifier: GPL-3.0-or-later
"""The etcd store where a member, or the member that it talks to, goes away; and two stores on one etcd."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import etcd_support
import pytest
from etcd_support import Etcd
from store_support import Log, until

from navarch.store.base import Exists, Unavailable
from navarch.store.etcd import wire
from navarch.store.etcd.store import EtcdStore


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Etcd]:
    etcd = etcd_support.start(tmp_path, members=3)
    yield etcd
    etcd_support.stop(etcd)


@pytest.fixture
async def pair(etcd: Etcd) -> AsyncIterator[tuple[EtcdStore, EtcdStore]]:
    root = etcd.root()
    stores = EtcdStore(etcd.endpoints, root=root), EtcdStore(etcd.endpoints, root=root)
    for store in stores:
        await store.start()
    yield stores
    for store in stores:
        await store.close()


async def test_no_answered_write_is_lost_when_members_are_killed_under_load(three: Etcd, log: Log) -> None:
    """Each member in turn, so the leader and the one that the store talks to are among them."""
    store = EtcdStore(three.endpoints)
    await store.start()
    store.subscribe("/p/", store.revision, log)
    living: dict[str, int] = {}
    deleted: set[str] = set()
    stopping = False

    async def write(worker: int) -> None:
        n = 0
        while not stopping:
            key = f"/p/{worker}-{n}"
            living[key] = revision = await store.create(key, b"%d" % worker)
            if n % 3 == 0:
                living[key] = await store.update(key, b"again", expected=revision)
            elif n % 3 == 1:
                await store.delete(key, expected=revision)
                del living[key]
                deleted.add(key)
            n += 1

    writers = [asyncio.create_task(write(worker)) for worker in range(8)]
    try:
        for member in three.members:
            before = len(deleted)
            await until(lambda: len(deleted) > before + 50, 60)  # noqa: B023 - awaited within the round
            await asyncio.to_thread(member.stop, kill=True)
            before = len(deleted)
            await until(lambda: len(deleted) > before + 50, 60)  # noqa: B023
            member.start()
            await asyncio.to_thread(three.wait)
        stopping = True
        await asyncio.gather(*writers)
        found = {item.key: item.revision for item in (await store.range("/p/")).items}
        assert found == living
        assert log.revisions == sorted(set(log.revisions)), "events out of order or twice"
        seen = {event.key: event for event in log.events}
        assert {key for key, event in seen.items() if not event.deleted} == living.keys()
        assert {key for key, event in seen.items() if event.deleted} == deleted
    finally:
        for task in writers:
            task.cancel()
        await store.close()


async def test_without_a_majority_writes_are_refused_and_nothing_is_written(
    three: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("navarch.store.etcd.client.ATTEMPT", 1.0)
    monkeypatch.setattr("navarch.store.etcd.client.PATIENCE", 2.0)
    store = EtcdStore(three.endpoints)
    await store.start()
    try:
        for member in three.members[1:]:
            member.stop(kill=True)
        with pytest.raises(Unavailable, match="etcd does not answer"):
            await store.create("/p/a", b"1")
        for member in three.members[1:]:
            member.start()
        await asyncio.to_thread(three.wait)
        monkeypatch.undo()
        at = await store.create("/p/b", b"2")
        assert (await store.get("/p/b")).revision == at  # type: ignore[union-attr]  # just created
    finally:
        await store.close()


async def test_a_write_through_one_store_is_an_event_of_the_other(
    pair: tuple[EtcdStore, EtcdStore], log: Log
) -> None:
    one, other = pair
    other.subscribe("/p/", other.revision, log)
    hint = object()
    at = await one.create("/p/a", b"1", hint=hint)
    await until(lambda: log.events)
    assert log.revisions == [at]
    assert log.events[0].hint is None, "the object of another process"
    assert (await other.get("/p/a")).revision == at  # type: ignore[union-attr]  # just created


async def test_one_of_many_writers_in_two_processes_wins(pair: tuple[EtcdStore, EtcdStore]) -> None:
    results = await asyncio.gather(
        *(pair[n % 2].create("/p/a", b"%d" % n) for n in range(20)), return_exceptions=True
    )
    assert sum(isinstance(result, int) for result in results) == 1
    assert sum(isinstance(result, Exists) for result in results) == 19


async def test_clusters_with_roots_of_their_own_do_not_see_each_other(etcd: Etcd, log: Log) -> None:
    root = etcd.root()
    one, other = EtcdStore(etcd.endpoints, root=root), EtcdStore(etcd.endpoints, root=f"{root}-b")
    await one.start()
    await other.start()
    try:
        one.subscribe("/", one.revision, log)
        await other.create("/p/a", b"")
        at = await one.create("/p/a", b"")
        await until(lambda: log.events)
        assert log.revisions == [at]
        assert len((await one.range("/")).items) == 1
    finally:
        await one.close()
        await other.close()


async def test_many_keys_are_read_as_of_one_revision(pair: tuple[EtcdStore, EtcdStore]) -> None:
    one, _ = pair
    await asyncio.gather(*(one.create(f"/p/{n:05}", b"x") for n in range(4500)))
    page = await one.range("/p/")
    assert [item.key for item in page.items] == [f"/p/{n:05}" for n in range(4500)]
    cut = await one.range("/p/", limit=3000)
    assert (len(cut.items), cut.remaining) == (3000, 1500)


async def test_a_backup_is_a_snapshot_that_etcd_knows(
    pair: tuple[EtcdStore, EtcdStore], tmp_path: Path
) -> None:
    await pair[0].create("/p/a", b"1")
    path = tmp_path / "snapshot.db"
    await pair[0].backup(str(path))
    assert path.stat().st_mode & 0o777 == 0o600
    restore = ("snapshot", "restore", str(path), "--data-dir", str(tmp_path / "restored"))
    process = await asyncio.create_subprocess_exec(
        "etcdctl", *restore, env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"}
    )
    assert await process.wait() == 0


@pytest.mark.parametrize("data", [b"\x08", b"\x0a\x05ab", b"\x0b", b"\xff" * 11])
def test_bytes_that_are_no_message_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any of them
        list(wire.fields(data))


@pytest.mark.parametrize("value", [0, 1, 127, 128, 1 << 35, (1 << 63) - 1, -1, -(1 << 62)])
def test_numbers_come_back_as_they_were(value: int) -> None:
    [(field, found)] = wire.fields(wire.chosen_number(6, value))
    assert (field, wire.signed(int(found))) == (6, value)
