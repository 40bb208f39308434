# SPDX-License-Identifier: GPL-3.0-or-later
"""`navarch backup` and `navarch restore` around a real master: what is written meanwhile, what comes back,
and that no revision is given out twice."""

from __future__ import annotations

import json
import ssl
import stat
import tarfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from cli_support import MAPS, Master, make_master


@pytest.fixture
def master(tmp_path: Path) -> Master:
    return make_master(tmp_path)


@pytest.fixture
def kept(master: Master, tmp_path: Path) -> Path:
    """A backup that knows of one write."""
    archive = tmp_path / "cluster.tar.gz"
    with master.running():
        master.write("kept")
        assert master.backup(archive) == 0
    return archive


def test_a_backup_taken_while_it_is_written_to_comes_back_whole(
    master: Master, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = tmp_path / "cluster.tar.gz"
    key = (tmp_path / "pki/sa.key").read_bytes()
    written: list[str] = []
    newest = 0
    with master.running():
        for n in range(20):
            master.write(f"before-{n}")
        stop = threading.Event()

        def writer() -> None:
            while not stop.is_set():
                master.write(f"during-{len(written)}")
                written.append(f"during-{len(written)}")

        thread = threading.Thread(target=writer)
        thread.start()
        try:
            assert master.backup(archive) == 0
        finally:
            stop.set()
            thread.join()
        assert stat.S_IMODE(archive.stat().st_mode) == 0o600
        deadline = time.monotonic() + 10  # what was sent is read before it is taken away
        while (tmp_path / "data/.backup").exists():
            assert time.monotonic() < deadline, "the master keeps the copy"
            time.sleep(0.05)
        newest = master.write("after")
        assert master.restore(archive) == 1
        assert "master must be stopped" in capsys.readouterr().err
        assert "after" in master.names()

    (tmp_path / "pki/sa.key").write_bytes(b"lost")
    age = (tmp_path / "pki/ca.key").stat().st_mtime_ns
    assert master.restore(archive, "--check") == 0
    assert (tmp_path / "pki/sa.key").read_bytes() == b"lost"
    for _ in range(2):  # the second time from the same archive, on what the first one made
        assert master.restore(archive) == 0
        assert (tmp_path / "pki/sa.key").read_bytes() == key
        assert (tmp_path / "pki/ca.key").stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "pki/ca.key").stat().st_mtime_ns == age  # it was the same
        with master.running():
            names = master.names()
            assert {f"before-{n}" for n in range(20)} <= names
            assert "after" not in names
            # Of what was written meanwhile: all up to some moment, nothing behind it.
            seen = [name in names for name in written]
            assert seen == sorted(seen, reverse=True)
            old = master.call("GET", f"{MAPS}?watch=true&timeoutSeconds=1&resourceVersion={newest}")
            assert (old["type"], old["object"]["code"]) == ("ERROR", 410)
            revision = master.write("new")
            assert revision > newest + 1_000_000
            newest = revision


def test_a_damaged_archive_is_found_out_before_anything_is_touched(
    master: Master, kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = kept.read_bytes()
    key = (tmp_path / "pki/ca.key").read_bytes()
    (tmp_path / "pki/other").write_bytes(b"mine")
    with tarfile.open(kept) as tar:
        tar.extractall(tmp_path / "taken", filter="data")
    (tmp_path / "taken/pki/ca.key").write_bytes(b"forged")
    with tarfile.open(tmp_path / "forged.tar.gz", "w:gz") as tar:
        for name in ("manifest.json", "pki", "store.db"):
            tar.add(tmp_path / "taken" / name, name)
    (tmp_path / "cut.tar.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "none.tar.gz").write_bytes(b"nothing")
    for name, told in (
        ("cut", "not whole"), ("none", "is no backup"), ("forged", "pki/ca.key"), ("missing", "No such file"),
    ):  # fmt: skip
        for words in (["--check"], []):
            assert master.restore(tmp_path / f"{name}.tar.gz", *words) == 2
            said = capsys.readouterr().err.strip()
            assert told in said
            assert "\n" not in said
    assert (tmp_path / "pki/ca.key").read_bytes() == key
    with master.running():
        assert master.names() == {"kept"}


def test_the_backup_of_another_authority_is_refused_unless_it_is_meant(
    master: Master, kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other").mkdir()
    other = make_master(tmp_path / "other")
    authority = (tmp_path / "other/pki/ca.crt").read_bytes()
    capsys.readouterr()
    assert other.restore(kept, "--check") == 0
    assert json.loads(capsys.readouterr().out)["sameAuthority"] is False
    assert other.restore(kept) == 2
    said = capsys.readouterr().err.strip()
    assert "another ca.crt" in said
    assert "\n" not in said
    assert (tmp_path / "other/pki/ca.crt").read_bytes() == authority
    assert not (tmp_path / "other/data/store.db").exists()

    assert other.restore(kept, "--other-cluster") == 0
    assert (tmp_path / "other/pki/ca.crt").read_bytes() == (tmp_path / "pki/ca.crt").read_bytes()
    (tmp_path / "other/pki/ca.crt").unlink()
    for same in (master, other):  # also where there is no authority yet
        capsys.readouterr()
        assert same.restore(kept, "--check") == 0
        assert json.loads(capsys.readouterr().out)["sameAuthority"] is True


def test_only_an_administrator_gets_a_backup(master: Master, tmp_path: Path) -> None:
    with master.running():
        request = urllib.request.Request(f"https://127.0.0.1:{master.port}/navarch/v1/backup")
        tls = ssl.create_default_context(cafile=tmp_path / "pki/ca.crt")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, context=tls, timeout=10)
        assert refused.value.code in (401, 403)
