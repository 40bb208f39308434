# SPDX-License-Identifier: GPL-3.0-or-later
"""Backends for the store tests: every behaviour of the protocol is tried on each of them."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import FrameType

import etcd_support
import pytest
from store_support import Log, Open

from navarch.store.base import Store
from navarch.store.etcd.store import EtcdStore
from navarch.store.sqlite import SqliteStore


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """A store that hangs is a failed test, not a stuck suite."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError("the test took longer than 120 seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[etcd_support.Etcd]:
    """One member, which the tests of this process share."""
    etcd = etcd_support.start(tmp_path_factory.mktemp("etcd"))
    yield etcd
    etcd_support.stop(etcd)


@pytest.fixture(params=["sqlite", "etcd"])
async def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Open]:
    """Starts a store on the same data each time; all are closed at the end."""
    stores: list[Store] = []
    if request.param == "etcd":
        etcd = request.getfixturevalue("etcd")
        root = etcd.root()

    async def start() -> Store:
        store: Store
        if request.param == "etcd":
            store = EtcdStore(etcd.endpoints, root=root)
        else:
            store = SqliteStore(str(tmp_path / "store.db"), flush_interval=0.05)
        await store.start()
        stores.append(store)
        return store

    yield start
    for store in stores:
        await store.close()


@pytest.fixture
async def store(open_store: Open) -> Store:
    return await open_store()


@pytest.fixture
def log() -> Log:
    return Log()
