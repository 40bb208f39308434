# SPDX-License-Identifier: GPL-3.0-or-later
"""A write is answered after it is on disk: seen by strace, and by killing the server under load."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from pathlib import Path

import aiohttp
from apiserver_support import Http, Standalone


def config_map(name: str) -> dict[str, object]:
    return {"metadata": {"name": name}, "data": {"payload": "x" * 500}}


async def test_kill_under_load_loses_no_answered_write(tmp_path: Path) -> None:
    server = Standalone(tmp_path, "--data-dir", str(tmp_path / "data")).start()
    answered: dict[str, str] = {}
    maps = "/api/v1/namespaces/default/configmaps"
    try:
        connector = aiohttp.TCPConnector(ssl=server.tls(), limit=0)
        headers = {"Authorization": f"Bearer {server.token}"}
        async with aiohttp.ClientSession(headers=headers, connector=connector) as session:

            async def write(worker: int) -> None:
                number = 0
                while True:
                    name = f"w{worker}-{number}"
                    try:
                        async with session.post(server.url + maps, json=config_map(name)) as answer:
                            body = await answer.json()
                    except (aiohttp.ClientError, ConnectionError):
                        return
                    assert answer.status == 201, body
                    answered[name] = body["metadata"]["resourceVersion"]
                    number += 1

            workers = [asyncio.create_task(write(n)) for n in range(16)]
            while len(answered) < 500:
                await asyncio.sleep(0.01)
            server.kill()
            async with asyncio.timeout(20):
                await asyncio.gather(*workers)
        server.start()
        connector = aiohttp.TCPConnector(ssl=server.tls())
        headers = {"Authorization": f"Bearer {server.token}"}
        async with aiohttp.ClientSession(headers=headers, connector=connector) as session:
            code, listed = await Http(session, server.url)("GET", maps)
        assert code == 200
        kept = {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in listed["items"]}
        assert {name: kept.get(name) for name in answered} == answered
        for item in listed["items"]:
            assert len(item["data"]["payload"]) == 500
    finally:
        server.stop()


async def test_a_watch_from_before_a_restart_is_told_so_by_an_event(tmp_path: Path) -> None:
    """Where operators look for it; an HTTP status they take for a server that is broken."""
    server = Standalone(tmp_path, "--data-dir", str(tmp_path / "data")).start()
    try:
        server.kubectl("create", "configmap", "one")
        server.stop()
        server.start()
        connector = aiohttp.TCPConnector(ssl=server.tls())
        headers = {"Authorization": f"Bearer {server.token}"}
        async with aiohttp.ClientSession(headers=headers, connector=connector) as session:
            http = Http(session, server.url)
            maps = "/api/v1/namespaces/default/configmaps"
            for _ in range(2):  # the connection goes on after it
                code, told = await http("GET", f"{maps}?watch=true&resourceVersion=1")
                assert (code, told["type"]) == (200, "ERROR")
                assert (told["object"]["code"], told["object"]["reason"]) == (410, "Expired")
    finally:
        server.stop()


async def test_the_sync_returns_before_the_answer_is_sent(tmp_path: Path) -> None:
    strace = shutil.which("strace")
    assert strace, "strace is missing: `make test` installs it"
    trace = tmp_path / "trace"
    calls = "trace=fsync,fdatasync,write,writev,sendto,sendmsg,pwrite64"
    wrapper = (strace, "-f", "-tt", "-y", "-s", "0", "-e", calls, "-o", str(trace))
    server = Standalone(tmp_path, "--data-dir", str(tmp_path / "data"), wrapper=wrapper).start()
    try:
        connector = aiohttp.TCPConnector(ssl=server.tls())
        headers = {"Authorization": f"Bearer {server.token}"}
        async with aiohttp.ClientSession(headers=headers, connector=connector) as session:
            http = Http(session, server.url)
            await http("GET", "/version")
            await asyncio.sleep(0.5)
            before = trace.stat().st_size
            code, _ = await http("POST", "/api/v1/namespaces/default/configmaps", json=config_map("one"))
            assert code == 201
    finally:
        server.stop()
    told = trace.read_text()[before:]  # strace has ended: all it saw is written
    written, synced, answered = order(told)
    assert written < synced < answered, told


def order(trace: str) -> tuple[int, int, int]:
    """Lines: the log was first written, its sync returned, a byte went to a client after that write."""
    written = synced = answered = -1
    syncing: set[str] = set()
    for number, line in enumerate(trace.splitlines()):
        thread = line.split(" ", 1)[0]
        if written < 0 and re.search(r"\bp?write(64|v)?\(\d+<[^>]*-wal>", line):
            written = number
        if re.search(r"\bf(data)?sync\(\d+<[^>]*-wal>", line):
            if "unfinished" in line:
                syncing.add(thread)
            elif written >= 0 and synced < 0:
                synced = number
        elif "sync resumed" in line and thread in syncing and written >= 0 and synced < 0:
            synced = number
        if (
            written >= 0
            and answered < 0
            and re.search(r"\b(write|writev|sendto|sendmsg)\(\d+<(TCP|socket)", line)
        ):
            answered = number
    assert written >= 0, "the log was not written"
    assert synced >= 0, "the log was not synced"
    assert answered >= 0, "nothing was answered"
    return written, synced, answered


def test_the_order_is_read_right() -> None:
    good = ["1 write(9</d/store.db-wal>", "1 fdatasync(9</d/store.db-wal>) = 0", "2 write(12<TCP:[a]>"]
    assert order("\n".join(good)) == (0, 1, 2)
    early = json.loads(json.dumps([good[0], good[2], good[1]]))
    written, synced, answered = order("\n".join(early))
    assert not written < synced < answered
