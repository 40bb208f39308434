# SPDX-License-Identifier: GPL-3.0-or-later
"""Stores from URLs, and a master whose store is etcd."""

from __future__ import annotations

import signal
import urllib.error
from pathlib import Path

import pytest
from cli_support import make_master
from etcd_support import Etcd
from ports_support import free_port

from navarch.store import factory
from navarch.store.etcd.store import EtcdStore
from navarch.store.sqlite import SqliteStore


def test_a_url_says_which_store_and_where(tmp_path: Path) -> None:
    assert isinstance(factory.make(f"sqlite:{tmp_path}/store.db"), SqliteStore)
    assert isinstance(factory.make("etcd://10.0.0.1:2379,10.0.0.2:2379/ships"), EtcdStore)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "neither"),
        ("/var/lib/store.db", "neither"),
        ("mysql://db", "neither"),
        ("sqlite:", "neither"),
        ("etcd://", "no member"),
        ("etcd://db", "HOST:PORT"),
        ("etcd://db:port", "HOST:PORT"),
        ("etcd://db:0", "HOST:PORT"),
        ("etcd://db:1?password=x", "password: unknown"),
        ("etcd://db:1?ca=/missing", "cannot read /missing"),
    ],
)
def test_what_is_no_store_is_refused_with_what_is_wrong(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        factory.make(url)


def test_a_master_on_etcd_outlives_its_own_end_and_a_member_s(etcd: Etcd, tmp_path: Path) -> None:
    master = make_master(tmp_path, store=f"etcd://{','.join(etcd.endpoints)}{etcd.root()}")
    with master.running(end=signal.SIGKILL):
        for number in range(20):
            master.write(f"m{number}")
    with master.running():
        assert master.names() == {f"m{number}" for number in range(20)}
        for member in etcd.members:
            member.stop(kill=True)
            member.start()
        master.write("after")
        assert "after" in master.names()
        # Its state is copied by etcd's tools, not by the master.
        with pytest.raises(urllib.error.HTTPError, match="404"):
            master.call("GET", "/navarch/v1/backup")


def test_a_master_says_in_one_line_that_etcd_is_away(tmp_path: Path) -> None:
    port = free_port()
    process = make_master(tmp_path, store=f"etcd://127.0.0.1:{port}").start()
    assert process.wait(120) == 1
    last = (tmp_path / "log").read_text().splitlines()[-1]
    assert "etcd does not answer" in last
    assert str(port) in last


def test_a_store_that_is_none_is_named_by_its_key(tmp_path: Path) -> None:
    process = make_master(tmp_path, store="mysql://db").start()
    assert process.wait(60) == 2
    assert "store: 'mysql://db' is neither" in (tmp_path / "log").read_text()
