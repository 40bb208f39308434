# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry on a real store with all controllers and the scheduler running, in process and impatient."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from navarch import controllers, pki
from navarch.api.builtin import scheme
from navarch.api.core.node.address import Reserved
from navarch.auth.user import User
from navarch.client.local import LocalClient
from navarch.registry.admission.standard import plugins
from navarch.registry.registry import Registry
from navarch.scheduler import Scheduler
from navarch.store.sqlite import SqliteStore


class Cluster:
    def __init__(self, client: LocalClient, registry: Registry) -> None:
        self.client = client
        self.registry = registry

    async def eventually(self, check: Callable[[], Awaitable[Any]], seconds: float = 20.0) -> Any:
        """The first true answer of `check`; fails with the last answer when none comes in time."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while True:
            answer = await check()
            if answer:
                return answer
            assert loop.time() < end, f"never became true, last {answer!r}"
            await asyncio.sleep(0.02)


@pytest.fixture
def grace() -> float:
    """Seconds until a silent node is lost: more than a test takes, but in those that are about it."""
    return 40.0


@pytest.fixture
async def still(tmp_path: Path) -> AsyncIterator[Cluster]:
    """Without controllers and scheduler."""
    store = SqliteStore(str(tmp_path / "store.db"))
    await store.start()
    registry = Registry(store, scheme(), admission=plugins(service_cidr="10.96.0.0/24", toleration_seconds=1))
    await registry.start()
    try:
        yield Cluster(LocalClient(registry, User(name="test", groups=("system:masters",))), registry)
    finally:
        await registry.close()
        await store.close()


@pytest.fixture
async def cluster(still: Cluster, grace: float) -> AsyncIterator[Cluster]:
    client = still.client
    ca = pki.make_ca()

    def sign(request: bytes, signer: str, seconds: int, not_before: float) -> bytes:
        return pki.sign_request(ca, request, not_before=datetime.fromtimestamp(not_before, UTC))

    options = controllers.Options(
        cluster_cidr="10.244.0.0/22",
        node_monitor_grace=grace,
        signer=sign,
        reserved=Reserved(services=["10.96.0.0/24"]),
    )
    tasks = [
        asyncio.create_task(controllers.run(client, options), name="controllers"),
        asyncio.create_task(Scheduler(client).run(), name="scheduler"),
    ]
    try:
        yield still
        for task in tasks:
            assert not task.done(), task.exception()
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
