# SPDX-License-Identifier: GPL-3.0-or-later
"""A real master whose database is damaged: what it serves, what it says, and how `navarch store` brings it
back.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
import time
import urllib.error
from pathlib import Path

import pytest
from cli_support import MAPS, Master, make_master

from navarch.cli import main


@pytest.fixture
def master(tmp_path: Path) -> Master:
    return make_master(tmp_path)


def spoil(folder: Path, name: str) -> None:
    """Turn bytes of one stored object."""
    with contextlib.closing(sqlite3.connect(folder / "data/store.db", isolation_level=None)) as conn:
        changed = conn.execute(
            "UPDATE log SET value = CAST(replace(CAST(value AS TEXT), 'xxxxxx', 'xxyxxx') AS BLOB)"
            " WHERE key LIKE '%/configmaps/default/' || ?",
            (name,),
        )
        assert changed.rowcount == 1


def status(master: Master, method: str, path: str, body: object = None) -> tuple[int, dict[str, object]]:
    with pytest.raises(urllib.error.HTTPError) as refused:
        master.call(method, path, body)
    with refused.value as answer:
        return answer.code, json.loads(answer.read())


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, object], str]:
    capsys.readouterr()
    code = main(["store", *arguments])
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out else {}, said.err


def test_a_damaged_object_is_set_aside_told_and_brought_back(
    master: Master, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive, data = tmp_path / "cluster.tar.gz", ("--data-dir", str(tmp_path / "data"))
    with master.running():
        for name in ("a", "b"):
            master.write(name)
        assert master.backup(archive) == 0
        master.write("c")
        code, found, _ = run(capsys, "check", *data)
        assert (code, found["whole"], found["masterRuns"], found["damaged"]) == (0, True, True, [])
    spoil(tmp_path, "b")
    spoil(tmp_path, "c")
    with master.running():
        assert master.names() == {"a"}
        code, told = status(master, "GET", f"{MAPS}/b")
        assert (code, told["reason"]) == (500, "StorageReadError")
        assert "navarch store repair" in str(told["message"])
        code, told = status(master, "POST", MAPS, {"metadata": {"name": "b"}})
        assert (code, told["reason"]) == (500, "StorageReadError")
        assert status(master, "DELETE", f"{MAPS}/b")[0] == 500
        assert "configmaps/default/b is damaged" in (tmp_path / "log").read_text()
        metrics = master.call("GET", "/metrics").decode()
        assert "navarch_store_damaged_objects 2.0" in metrics
        deadline = time.monotonic() + 10
        while True:
            events = master.call("GET", "/api/v1/namespaces/default/events")["items"]
            named = {e["involvedObject"]["name"] for e in events if e["reason"] == "StoredObjectDamaged"}
            if named == {"b", "c"}:
                break
            assert time.monotonic() < deadline, events
            time.sleep(0.05)
        assert master.backup(tmp_path / "later.tar.gz") == 0
        said = capsys.readouterr()
        assert len(json.loads(said.out.splitlines()[-1])["damaged"]) == 2
        code, found, said_check = run(capsys, "check", *data)
        assert (code, found["whole"]) == (1, False)
        assert "configmaps/default/b, revision" in said_check
        code, _, refusal = run(capsys, "repair", "--archive", str(archive), *data)
        assert code == 1
        assert "master must be stopped" in refusal
    assert run(capsys, "check", "--archive", str(archive))[0] == 0
    assert run(capsys, "check", "--archive", str(tmp_path / "later.tar.gz"))[0] == 1
    code, found, said_repair = run(capsys, "repair", "--archive", str(archive), *data)
    assert code == 1
    assert found["restored"] == ["/registry/configmaps/default/b"]
    assert found["left"] == ["/registry/configmaps/default/c"]
    assert "--drop" in said_repair
    with master.running():
        assert master.names() == {"a", "b"}
        # What no backup has can be deleted by the API as well.
        query = "ignoreStoreReadErrorWithClusterBreakingPotential=true"
        assert master.call("DELETE", f"{MAPS}/c?{query}")["status"] == "Success"
        assert status(master, "GET", f"{MAPS}/c")[0] == 404
        master.write("c")
        assert master.names() == {"a", "b", "c"}
        assert "navarch_store_damaged_objects 0.0" in master.call("GET", "/metrics").decode()
    assert run(capsys, "check", *data)[0] == 0


@pytest.mark.parametrize("part", ["header", "page"])
def test_a_damaged_database_says_what_to_do(
    master: Master, tmp_path: Path, capsys: pytest.CaptureFixture[str], part: str
) -> None:
    archive, data = tmp_path / "cluster.tar.gz", ("--data-dir", str(tmp_path / "data"))
    with master.running():
        for n in range(40):
            master.write(f"m{n}")
        assert master.backup(archive) == 0
    store = tmp_path / "data/store.db"
    broken = bytearray(store.read_bytes())
    at = 0 if part == "header" else 8 * 4096
    broken[at : at + 64] = b"\xff" * 64
    store.write_bytes(broken)
    command = [sys.executable, "-m", "navarch", "master", "--config", str(tmp_path / "master.yaml")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, env={"PYTHONPATH": "src"})
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    last = ended.stderr.strip().splitlines()[-1]
    assert "store.db" in last
    assert "navarch store repair" in last
    code, _, said = run(capsys, "check", *data)
    assert code == 1
    if part == "header":
        assert "navarch restore" in said
        return
    assert "nothing can be read from revision" in said
    code, found, _ = run(capsys, "repair", "--archive", str(archive), *data)
    assert (code, found["changed"]) == (0, True)
    with master.running():
        assert master.names() == {f"m{n}" for n in range(40)}


def test_wrong_options_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, word in (
        (("repair", "--data-dir", str(tmp_path)), "--drop"),
        (("repair", "--drop", "--data-dir", str(tmp_path)), "there is no"),
        (("check", "--data-dir", str(tmp_path)), "there is no"),
        (("check", "--archive", str(tmp_path / "none")), "No such file"),
    ):
        code, _, said = run(capsys, *arguments)
        assert code == 2
        assert word in said
        assert len(said.strip().splitlines()) == 1
