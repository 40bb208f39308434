# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes that flip in a store's file: what is damaged is noticed and set aside, nothing else is lost, nothing
older is taken for new, and a backup brings it back.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from store_support import until

from navarch.store import sqlite_check, sqlite_file, sqlite_repair, sqlite_rows
from navarch.store.base import Compacted, Damaged, Missing, Unavailable
from navarch.store.sqlite import SqliteStore

Start = Callable[..., Awaitable[SqliteStore]]


def judge(key: str, value: bytes) -> str:
    return ""


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    stores: list[SqliteStore] = []

    async def begin(path: Path = tmp_path / "store.db", **options: float) -> SqliteStore:
        store = SqliteStore(str(path), **{"history": 0, "scrub": 0, **options})  # type: ignore[arg-type]
        store.scrub.pause = 0.05
        await store.start()
        stores.append(store)
        return store

    yield begin
    for store in stores:
        await store.close()


@asynccontextmanager
async def written(start: Start, path: Path, **options: float) -> AsyncIterator[SqliteStore]:
    store = await start(path, **options)
    yield store
    await store.close()


def change(path: Path, statement: str, *values: object) -> None:
    """What a disk does: a column is another, and its checksum stays."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as conn:
        assert conn.execute(statement, values).rowcount == 1


def flipped(data: bytes, at: int = 0) -> bytes:
    return data[:at] + bytes((data[at] ^ 0x10,)) + data[at + 1 :]


@pytest.mark.parametrize(
    "column",
    ["key = '/p/c'", "key = CAST(x'2f702fff' AS TEXT)", "created = created + 256", "previous = previous + 1",
     "lease = 65536", "lease = NULL", "sum = sum + 65536", "sum = 'x'", "value = x'00'", "value = NULL",
     "value = 'text'", "created = 1.5"],
)  # fmt: skip
@pytest.mark.parametrize("updates", [0, 2])
async def test_any_column_of_the_newest_row_of_a_key(
    start: Start, tmp_path: Path, column: str, updates: int
) -> None:
    path = tmp_path / "store.db"
    async with written(start, path) as store:
        at = {key: await store.create(f"/p/{key}", key.encode() * 100) for key in "abd"}
        for n in range(updates):
            at["b"] = await store.update("/p/b", b"b%d" % n, expected=at["b"])
        await store.create("/p/e", b"e")
    # A column that may not be NULL is NULL on a disk, all the same.
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("PRAGMA writable_schema = 1")
        conn.execute("UPDATE sqlite_schema SET sql = replace(sql, ' NOT NULL', '') WHERE name = 'log'")
    change(path, f"UPDATE log SET {column} WHERE revision = ?", at["b"])
    store = await start(path)
    left = {item.key: item.value for item in (await store.range("/p/")).items}
    assert left == {"/p/a": b"a" * 100, "/p/d": b"d" * 100, "/p/e": b"e"}
    assert "/p/b" in store.damaged
    for call in (
        store.get("/p/b"),
        store.create("/p/b", b"new"),
        store.update("/p/b", b"new", expected=at["b"]),
        store.delete("/p/b"),
    ):
        with pytest.raises(Damaged):
            await call
    # The others go on, and compaction keeps what a repair needs.
    await store.update("/p/a", b"more", expected=at["a"])
    await store.compact(store.revision)
    await store.close()
    report = sqlite_check.check(str(path), judge, structure=False)
    assert [(d.key, d.revision) for d in report.damaged] == [("/p/b", at["b"])]
    store = await start(path)
    await store.range("/p/")  # a value is verified when it is read
    assert set(store.damaged) == {"/p/b"}
    # Dropped, it may be made again.
    revision = await store.drop("/p/b")
    assert await store.get("/p/b") is None
    assert await store.create("/p/b", b"again") == revision + 1
    with pytest.raises(Missing):
        await store.drop("/p/b")
    await store.compact(store.revision)
    await store.close()
    store = await start(path)
    assert store.damaged == {}
    assert [item.key for item in (await store.range("/p/")).items] == ["/p/a", "/p/b", "/p/d", "/p/e"]
    assert sqlite_check.check(str(path), judge, structure=True).whole


async def test_a_deletion_that_is_damaged_brings_nothing_back(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with written(start, path) as store:
        await store.create("/p/a", b"a")
        await store.delete("/p/a")
        await store.create("/p/b", b"b")
    change(path, "UPDATE log SET created = 77 WHERE revision = 2")
    store = await start(path)
    assert [item.key for item in (await store.range("/p/")).items] == ["/p/b"]
    with pytest.raises(Damaged):
        await store.get("/p/a")


async def test_a_replaced_row_that_is_damaged_is_of_no_importance(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with written(start, path) as store:
        at = await store.create("/p/a", b"one")
        at = await store.update("/p/a", b"two", expected=at)
        await store.create("/p/b", b"b")
        await store.update("/p/a", b"three", expected=at)
    change(path, "UPDATE log SET key = '/p/x' WHERE revision = 2")
    change(path, "UPDATE log SET value = x'00' WHERE revision = 1")
    store = await start(path)
    assert store.damaged == {}
    assert {item.key: item.value for item in (await store.range("/p/")).items} == {
        "/p/a": b"three",
        "/p/b": b"b",
    }
    with pytest.raises(Damaged):
        await store.get("/p/a", revision=1)
    seen: list[int] = []
    store.subscribe("/p/", 0, lambda events: seen.extend(event.revision for event in events))
    await until(lambda: seen == [3, 4])


async def test_compaction_does_not_remove_what_a_damaged_row_names(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = await start(path)
    await store.create("/p/living", b"living")
    at = await store.create("/p/a", b"one")
    at = await store.update("/p/a", b"two", expected=at)
    await store.update("/p/a", b"three", expected=at)
    change(path, "UPDATE log SET previous = 1 WHERE revision = 3")
    await store.compact(store.revision)
    await store.close()
    store = await start(path)
    assert {item.key for item in (await store.range("/p/")).items} == {"/p/living", "/p/a"}


async def test_the_scrub_writes_a_damaged_row_again_from_memory(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = await start(path, scrub=0.01)
    kept = {f"/p/{n}": b"%d" % n * 50 for n in range(500)}
    at = {key: await store.create(key, value) for key, value in kept.items()}
    lost: list[str] = []
    store.recall = lambda key, revision: kept[key] if at[key] == revision and key != "/p/7" else None
    store.on_damage = lambda damage: lost.append(damage.key)
    change(path, "UPDATE log SET value = x'00' WHERE revision = ?", at["/p/300"])
    change(path, "UPDATE log SET key = 'x' WHERE revision = ?", at["/p/301"])
    change(path, "UPDATE log SET value = x'00' WHERE revision = ?", at["/p/7"])
    await until(lambda: store.scrub.rewritten == 2 and lost, 30)
    assert lost == ["/p/7"]
    await store.compact(store.revision)
    await store.close()
    store = await start(path)
    found = {item.key: item.value for item in (await store.range("/p/")).items}
    assert set(store.damaged) == {"/p/7"}
    assert found == {key: value for key, value in kept.items() if key != "/p/7"}


@pytest.mark.parametrize("name", sqlite_file.META)
async def test_damaged_marks_give_out_no_revision_twice(start: Start, tmp_path: Path, name: str) -> None:
    path = tmp_path / "store.db"
    async with written(start, path) as store:
        lease = await store.grant(60)
        at = await store.create("/p/a", b"a", lease=lease)
        at = await store.update("/p/a", b"b", expected=at, lease=lease)
        await store.compact(at)
        newest = await store.create("/p/b", b"b")
    change(path, "UPDATE meta SET value = 1 WHERE name = ?", name)
    change(path, "UPDATE lease SET ttl = 1e300")
    store = await start(path)
    assert await store.create("/p/c", b"c") > newest
    assert await store.keep_alive(lease) <= 3600
    with pytest.raises(Compacted):
        store.subscribe("/p/", at - 1, lambda events: None)


async def test_an_older_file_gets_checksums_and_keeps_a_copy(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as conn:
        for statement in (
            "CREATE TABLE log (revision INTEGER PRIMARY KEY, key TEXT NOT NULL, created INTEGER NOT NULL,"
            " previous INTEGER NOT NULL, lease INTEGER NOT NULL, value BLOB)",
            "CREATE TABLE lease (id INTEGER PRIMARY KEY, ttl REAL NOT NULL)",
            "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
            "INSERT INTO meta VALUES ('reserved', 4), ('compacted', 1), ('swept', 1)",
            "INSERT INTO lease VALUES (7, 60)",
            "INSERT INTO log VALUES (1, '/p/a', 1, 0, 7, x'61'), (2, '/p/b', 2, 0, 0, x'62'),"
            " (3, '/p/b', 2, 2, 0, NULL), (4, '/p/ü', 4, 0, 0, x'00ff')",
            f"PRAGMA application_id = {sqlite_file.APPLICATION}",
            "PRAGMA user_version = 1",
        ):
            conn.execute(statement)
    store = await start(path)
    assert store.damaged == {}
    assert {i.key: (i.value, i.revision, i.lease) for i in (await store.range("/p/")).items} == {
        "/p/a": (b"a", 1, 7),
        "/p/ü": (b"\x00\xff", 4, 0),
    }
    assert (store.revision, store.compacted) == (4, 1)
    assert await store.keep_alive(7) == 60
    await store.close()
    assert sqlite_check.check(str(path), judge, structure=True).whole
    with contextlib.closing(sqlite3.connect(tmp_path / "store.db.schema1.bak")) as conn:
        assert conn.execute("SELECT count(*) FROM log").fetchone() == (4,)


@pytest.mark.parametrize("seed", range(6))
async def test_bytes_flipped_anywhere_lose_only_what_they_hit(
    start: Start, tmp_path: Path, seed: int
) -> None:
    """Any page, any byte: the store starts and has everything but what is named, or says what to do; and a
    repair from a backup has it all.
    """
    rng = random.Random(seed)
    whole, path, backup = tmp_path / "whole.db", tmp_path / "store.db", tmp_path / "backup.db"
    kept: dict[str, bytes] = {}
    async with written(start, whole) as store:
        for n in range(120):
            kept[f"/p/{n}"] = rng.randbytes(rng.choice((20, 300, 9000)))
            at = await store.create(f"/p/{n}", b"first")
            await store.update(f"/p/{n}", kept[f"/p/{n}"], expected=at)
        await store.backup(str(backup))
    data = whole.read_bytes()
    for _ in range(12):
        broken = bytearray(data)
        for _ in range(rng.choice((1, 1, 3))):
            broken[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(broken)
        await _try(start, path, kept)
        for part in ("-wal", "-shm"):
            Path(f"{path}{part}").unlink(missing_ok=True)
        path.write_bytes(broken)
        try:
            sqlite_repair.repair(str(path), str(backup), judge, drop=True)
        except Unavailable as exc:
            assert "navarch restore" in str(exc)  # the header: there is nothing to go by
            continue
        store = await start(path)
        found = {item.key: item.value for item in (await store.range("/p/")).items}
        await store.close()
        assert found == kept


async def _try(start: Start, path: Path, kept: dict[str, bytes]) -> None:
    try:
        store = await start(path)
        found = {item.key: item.value for item in (await store.range("/p/")).items}
    except Unavailable as exc:
        assert "navarch store repair" in str(exc)
        return
    for key, value in found.items():
        assert kept[key] == value, "an older or a damaged value was served"
    for key in kept.keys() - found.keys():
        with pytest.raises(Damaged):
            await store.get(key)
    await store.close()


async def test_a_repair_takes_what_is_newer_from_the_store(start: Start, tmp_path: Path) -> None:
    path, backup = tmp_path / "store.db", tmp_path / "backup.db"
    store = await start(path)
    at = {key: await store.create(f"/p/{key}", key.encode()) for key in "abcd"}
    await store.backup(str(backup))
    at["b"] = await store.update("/p/b", b"newer", expected=at["b"])
    at["c"] = await store.update("/p/c", b"newer", expected=at["c"])
    at["e"] = await store.create("/p/e", b"after the backup")
    newest = store.revision
    await store.close()
    for key in "ace":
        change(path, "UPDATE log SET value = x'00' WHERE revision = ?", at[key])
    again = sqlite_repair.repair(str(path), str(backup), judge)
    assert (again.restored, again.older, again.left) == (["/p/a"], ["/p/c"], ["/p/e"])
    store = await start(path)
    found = {item.key: item.value for item in (await store.range("/p/")).items}
    assert found == {"/p/a": b"a", "/p/b": b"newer", "/p/c": b"c", "/p/d": b"d"}
    assert set(store.damaged) == {"/p/e"}
    assert await store.create("/p/f", b"") > newest
    with pytest.raises(Compacted):
        store.subscribe("/p/", newest, lambda events: None)
    await store.close()
    assert sqlite_repair.repair(str(path), None, judge, drop=True).dropped == ["/p/e"]
    assert not sqlite_repair.repair(str(path), None, judge, drop=True).changed
    store = await start(path)
    assert store.damaged == {}
    assert (tmp_path / "store.db.before-repair").exists()


async def test_a_log_that_lost_its_end_gives_out_no_revision_twice(start: Start, tmp_path: Path) -> None:
    path, copy = tmp_path / "store.db", tmp_path / "copy.db"
    store = await start(path)
    for n in range(50):
        await store.create(f"/p/{n}", b"x" * 2000)
    newest = store.revision
    for part in ("", "-wal"):  # as after a kill
        shutil.copy(f"{path}{part}", f"{copy}{part}")
    wal = Path(f"{copy}-wal")
    whole = wal.read_bytes()
    for damaged in (whole[:-5000], whole[:-1], flipped(whole, 0), flipped(whole, len(whole) // 2)):
        for part in ("", "-wal", "-shm"):
            Path(f"{copy}{part}").unlink(missing_ok=True)
        shutil.copy(path, copy)
        wal.write_bytes(damaged)
        other = await start(copy)
        assert other.revision > newest
        with pytest.raises(Compacted):
            other.subscribe("/p/", newest, lambda events: None)
        await other.close()
    for part in ("", "-wal", "-shm"):
        Path(f"{copy}{part}").unlink(missing_ok=True)
    for part in ("", "-wal"):
        shutil.copy(f"{path}{part}", f"{copy}{part}")
    other = await start(copy)
    assert other.revision == newest
    other.subscribe("/p/", newest - 10, lambda events: None)


def test_one_byte_of_a_row_is_found_by_its_checksum() -> None:
    key, numbers = b"/registry/pods/default/web", (1234, 900, 7)
    sum = sqlite_rows.checksum(5000, key, *numbers, b"value")
    for at in range(len(key)):
        bad = flipped(key, at)
        head = sqlite_rows.corrected((5000, bad, *numbers, sum, False))
        assert head is not None
        assert head.key == key.decode()
    for at, wrong in ((0, 1234 ^ 256), (1, 900 - (1 << 16)), (2, 7 ^ 1 << 40)):
        cells = [*numbers]
        cells[at] = wrong
        head = sqlite_rows.corrected((5000, key, *cells, sum, False))
        assert head is not None
        assert (head.created, head.previous, head.lease) == numbers
    assert sqlite_rows.corrected((5000, b"/registry/pods/default/xyz", *numbers, sum, False)) is None
