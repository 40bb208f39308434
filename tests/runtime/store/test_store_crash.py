# SPDX-License-Identifier: GPL-3.0-or-later
"""What is left after the process was killed, or the disk filled up, under load."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from store_support import Log, Open, until

from navarch.store import sqlite_file
from navarch.store.base import Compacted, Missing, Store, Unavailable
from navarch.store.sqlite import SqliteStore

#: Writes from 16 tasks, with heartbeats between; each line is printed after the write was answered.
LOAD = """
import asyncio, os, sys
from navarch.store.sqlite import SqliteStore

def say(kind, key, revision):
    os.write(1, f"{kind} {key} {revision}\\n".encode())

async def work(store, life, worker):
    beat = f"/beat/{life}-{worker}"
    at = await store.create(beat, b"")
    for n in range(int(sys.argv[3])):
        key = f"/p/{life}-{worker}-{n}"
        revision = await store.create(key, b"x" * 300)
        say("created", key, revision)
        at = await store.update(beat, b"%d" % n, expected=at, durable=False)
        say("beat", beat, at)
        if n % 3 == 0:
            say("updated", key, await store.update(key, b"y" * 300, expected=revision))
        elif n % 3 == 1:
            say("deleted", key, await store.delete(key))

async def main():
    store = SqliteStore(sys.argv[1], flush_interval=float(sys.argv[5]))
    await store.start()
    await asyncio.gather(*(work(store, sys.argv[2], worker) for worker in range(int(sys.argv[4]))))
    await store.close()

asyncio.run(main())
"""


def _run(
    path: Path,
    life: int,
    rounds: int,
    *,
    workers: int = 16,
    flush: float = 0.02,
    before: tuple[str, ...] = (),
) -> subprocess.Popen[bytes]:
    arguments = [str(path), str(life), str(rounds), str(workers), str(flush)]
    return subprocess.Popen(
        [*before, sys.executable, "-c", LOAD, *arguments],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


async def test_kill_under_load_loses_no_answered_write_and_reuses_no_revision(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    living: dict[str, int] = {}
    deleted: set[str] = set()
    used: set[int] = set()
    for life in range(3):
        first_of_life = max(used, default=0)
        process = _run(path, life, 1_000_000)
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(3000 + 500 * life)]
            process.send_signal(signal.SIGKILL)
            lines += process.stdout.read().splitlines(keepends=True)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()  # type: ignore[union-attr]  # a pipe was asked for
        for line in lines:
            if not line.endswith(b"\n"):
                continue
            kind, key, number = line.decode().split()
            revision = int(number)
            assert revision not in used, "a revision was given out twice"
            assert revision > first_of_life, "a revision of an earlier life came back"
            used.add(revision)
            if kind == "deleted":
                living.pop(key, None)
                deleted.add(key)
            elif kind != "beat":
                living[key] = revision
        store = SqliteStore(str(path))
        await store.start()
        try:
            found = {item.key: item.revision for item in (await store.range("/p/")).items}
            for key, revision in living.items():
                # An update or deletion on its way when the process died may have been written or not.
                assert found.get(key, revision) >= revision
            lost = [key for key in living if key not in found]
            assert len(lost) <= 16, "only deletions on their way may be missing"
            assert not deleted & found.keys()
            assert store.revision >= max(used)
            with pytest.raises(Compacted):
                store.subscribe("/", max(used) - 1, lambda events: None)
            living = {key: found[key] for key in living if key in found}
            at = (await store.range("/beat/")).items[0]
            beat = await store.update(at.key, b"", expected=at.revision, durable=False)
            assert beat > max(used)
            used.add(beat)
        finally:
            await store.close()


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_the_sync_returns_before_the_answer_is_given(tmp_path: Path) -> None:
    """Killing a process proves nothing about the disk; the order of the system calls does."""
    trace = tmp_path / "trace"
    strace = ("strace", "-f", "-qq", "-y", "-s", "16", "-e", "trace=pwrite64,fdatasync,fsync,write")
    process = _run(tmp_path / "store.db", 0, 20, workers=1, flush=60, before=(*strace, "-o", str(trace)))
    assert process.stdout is not None
    answers = process.stdout.read().splitlines()
    process.stdout.close()
    if process.wait() != 0 and not answers:
        pytest.skip("strace may not trace here")
    # One writer at a time, so between two answers lie its write to the log and then a sync that succeeded.
    state, checked = "", 0
    began: dict[str, str] = {}
    for line in trace.read_text().splitlines():
        pid, _, call = line.partition(" ")
        call = call.strip()
        if call.endswith("<unfinished ...>"):
            began[pid] = call
            continue
        if call.startswith("<..."):
            call = began.pop(pid) + call
        if "store.db-wal" in call and call.startswith("pwrite64("):
            state = "written"
        elif "store.db-wal" in call and re.match(r"f(data)?sync\(.*= 0$", call):
            state = "synced" if state == "written" else state
        elif call.startswith("write(1<") and re.search('"(created|updated|deleted)', call):
            assert state == "synced", f"answered while the log was {state or 'untouched'}: {call}"
            state, checked = "", checked + 1
    assert checked == sum(not answer.startswith(b"beat") for answer in answers) > 20


@pytest.mark.parametrize("open_store", ["sqlite"], indirect=True)
async def test_a_full_database_refuses_the_batch_and_recovers(store: Store, log: Log) -> None:
    assert isinstance(store, SqliteStore)
    first = at = await store.create("/p/a", b"1")
    at = await store.update("/p/a", b"beat", expected=at, durable=False)
    store.subscribe("/", at, log)
    pages = await store._writer.call(lambda conn: conn.execute("PRAGMA page_count").fetchone()[0])
    await store._writer.call(lambda conn: conn.execute(f"PRAGMA max_page_count = {pages + 4}").fetchall())
    results = await asyncio.gather(
        *(store.create(f"/p/{n}", b"x" * 1000) for n in range(100)),
        store.update("/p/a", b"2", expected=at),
        store.create("/p/0", b"again"),  # rests on a write that fails
        store.update("/p/b", b"", expected=1),
        return_exceptions=True,
    )
    assert all(isinstance(result, Unavailable) for result in results[:101])
    assert isinstance(results[101], Unavailable | int)
    assert isinstance(results[102], Missing)
    found = await store.get("/p/a")
    assert found is not None
    assert (found.value, found.revision, found.created) == (b"beat", at, first)
    await store._writer.call(lambda conn: conn.execute("PRAGMA max_page_count = 1000000").fetchall())
    if isinstance(results[101], int):
        await store.delete("/p/0")
    revision = await store.create("/p/0", b"x")
    assert revision > at
    await store.update("/p/a", b"3", expected=at)
    assert [event.revision for event in log.events] == sorted(event.revision for event in log.events)
    assert {event.key for event in log.events} == {"/p/0", "/p/a"}
    assert [item.key for item in (await store.range("/p/")).items] == ["/p/0", "/p/a"]


@pytest.mark.parametrize("open_store", ["sqlite"], indirect=True)
async def test_a_full_disk_refuses_and_what_was_answered_is_there(open_store: Open, tmp_path: Path) -> None:
    """The kernel refuses to let the files grow; afterwards it does not, and the same store goes on."""
    store = await open_store()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    answered: dict[str, int] = {}
    refused: set[str] = set()

    async def write(worker: int) -> None:
        for n in range(200):
            key = f"/p/{worker}-{n}"
            try:
                answered[key] = await store.create(key, b"x" * 2000)
            except Unavailable:
                refused.add(key)

    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        await asyncio.gather(*(write(worker) for worker in range(16)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert answered
    assert refused
    for key in list(refused):
        answered[key] = await store.create(key, b"now")
    assert {item.key: item.revision for item in (await store.range("/p/")).items} == answered
    await store.close()
    store = await open_store()
    assert {item.key: item.revision for item in (await store.range("/p/")).items} == answered


@pytest.mark.parametrize("open_store", ["sqlite"], indirect=True)
async def test_a_failed_sync_ends_all_writing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """After it nobody knows what is on disk: nothing is promised any more, reading goes on."""
    assert isinstance(store, SqliteStore)
    await store.create("/p/a", b"")
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = "SQLITE_IOERR_FSYNC"
    fail = asyncio.get_running_loop().call_soon
    monkeypatch.setattr(
        store._writer,
        "commit",
        lambda params, rows, size, done: fail(done, error),
    )
    with pytest.raises(Unavailable):
        await store.create("/p/b", b"")
    monkeypatch.undo()
    assert "restarted" in store.failure
    with pytest.raises(Unavailable, match="restarted"):
        await store.create("/p/c", b"")
    assert await store.get("/p/a") is not None


@pytest.mark.parametrize("open_store", ["sqlite"], indirect=True)
async def test_a_write_that_cannot_be_stored_hurts_nobody_later(store: Store) -> None:
    with pytest.raises(Unavailable):
        await store.create("/p/\ud800", b"a key that is no text")
    await store.create("/p/a", b"")
    assert [item.key for item in (await store.range("/p/")).items] == ["/p/a"]


@pytest.mark.parametrize("open_store", ["sqlite"], indirect=True)
async def test_a_second_master_is_told_who_holds_the_data(store: Store, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=rf"in use by another process \(pid {os.getpid()}\)"):
        await SqliteStore(str(tmp_path / "store.db")).start()


async def test_files_that_are_not_ours_are_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_bytes(b"dear diary\n" * 100)
    with pytest.raises(Unavailable, match="not a SQLite database"):
        await SqliteStore(str(text)).start()
    assert text.read_bytes() == b"dear diary\n" * 100
    with contextlib.closing(sqlite3.connect(tmp_path / "other.db")) as conn:
        conn.execute("CREATE TABLE theirs (x)")
    with pytest.raises(Unavailable, match="another program"):
        await SqliteStore(str(tmp_path / "other.db")).start()
    with pytest.raises(Unavailable, match="cannot open"):
        await SqliteStore(str(tmp_path / "missing" / "store.db")).start()


@pytest.mark.parametrize("open_store", ["sqlite"], indirect=True)
async def test_a_newer_schema_is_refused_and_an_older_one_migrated(
    open_store: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await open_store()
    await store.create("/p/a", b"1")
    await store.close()

    def broken(conn: sqlite3.Connection) -> None:
        conn.execute("ALTER TABLE log ADD COLUMN note TEXT")
        raise sqlite3.OperationalError("half way")

    ours = sqlite_file.MIGRATIONS
    monkeypatch.setattr(sqlite_file, "MIGRATIONS", (*ours, broken))
    with pytest.raises(Unavailable, match="half way"):
        await open_store()
    ran: list[str] = []
    monkeypatch.setattr(sqlite_file, "MIGRATIONS", (*ours, lambda conn: ran.append("one")))
    store = await open_store()
    assert ran == ["one"]
    assert (await store.get("/p/a")) is not None
    await store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "store.db.schema2.bak")) as conn:
        assert conn.execute("PRAGMA user_version").fetchone() == (2,)
        assert conn.execute("SELECT key FROM log").fetchall() == [("/p/a",)]
    monkeypatch.setattr(sqlite_file, "MIGRATIONS", ours)
    with pytest.raises(Unavailable, match="newer version"):
        await open_store()


@pytest.mark.parametrize("open_store", ["sqlite"], indirect=True)
async def test_the_log_file_does_not_grow_with_the_writes(store: Store, tmp_path: Path) -> None:
    at = await store.create("/p/a", b"")
    for _ in range(20):
        await asyncio.gather(*(store.create(f"/p/{store.revision}-{n}", b"x" * 4000) for n in range(250)))
    assert at
    assert (tmp_path / "store.db").stat().st_size > 12 << 20
    assert (tmp_path / "store.db-wal").stat().st_size < 10 << 20


async def test_history_is_compacted_by_itself(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "store.db"), history=0.2, slack=10)
    await store.start()
    try:
        at = await store.create("/p/a", b"")
        for _ in range(100):
            at = await store.update("/p/a", b"", expected=at)
        await until(lambda: store.compacted >= at - 10)
        assert store.compacted <= at - 10
    finally:
        await store.close()
