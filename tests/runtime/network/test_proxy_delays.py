# SPDX-License-Identifier: GPL-3.0-or-later
"""News that come while the service proxy is busy with the kernel, which is a double here."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from navarch.network.proxy.kernel import RulesError
from navarch.network.proxy.service import ServiceProxy
from navarch.network.services import Services
from navarch.network.serviceviews import ServiceView

CHECKED = 30123


class Kernel:
    """Has a table when it was loaded; `hold` is awaited in the midst of every look."""

    def __init__(self) -> None:
        self.tables: set[str] = set()
        self.looks = 0
        self.refuse = 0
        self.hold: Callable[[], Any] | None = None

    async def listen(self) -> socket.socket:
        return socket.create_server(("127.0.0.1", 0))

    async def clients(self, table: str, sets: Any) -> dict[str, Any]:
        if self.refuse:
            self.refuse -= 1
            raise RulesError("no answer")
        return {}

    async def load(self, rules: str) -> None:
        self.tables.add(rules.split()[2])

    async def has_table(self, name: str) -> bool:
        self.looks += 1
        found = bool(self.tables)
        if self.hold is not None:
            await self.hold()
        return found

    async def forget(self, stale: object) -> int:
        return 0


@pytest.fixture
async def proxy() -> ServiceProxy:
    client: Any = None
    services, kernel = Services(client), Kernel()
    services.services.synced.set()
    services.slices.synced.set()
    double: Any = kernel
    made = ServiceProxy(
        services, "n", service_cidr="10.96.0.0/16", cluster_cidr="10.244.0.0/16", kernel=double, look=60.0
    )
    return made


async def eventually(check: Callable[[], object]) -> None:
    async with asyncio.timeout(5.0):
        while not check():
            await asyncio.sleep(0.01)


async def test_rules_that_go_while_the_proxy_looks_are_put_back_at_once(proxy: ServiceProxy) -> None:
    double: Any = proxy.kernel

    async def flushed() -> None:
        """Somebody flushes right after the kernel has answered."""
        double.hold = None
        double.tables.clear()
        proxy.look()

    task = asyncio.create_task(proxy.run())
    try:
        await eventually(lambda: double.tables)
        double.hold = flushed
        proxy.look()
        await eventually(lambda: double.looks > 1 and double.tables)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_first_load_that_fails_loses_no_health_check(proxy: ServiceProxy) -> None:
    double: Any = proxy.kernel
    double.refuse = 1
    spec = {
        "clusterIP": "10.96.0.1",
        "type": "LoadBalancer",
        "externalTrafficPolicy": "Local",
        "healthCheckNodePort": CHECKED,
        "sessionAffinity": "ClientIP",
        "ports": [{"port": 80, "nodePort": 30080}],
    }
    document = {"metadata": {"name": "s", "namespace": "d", "resourceVersion": "1"}, "spec": spec}
    proxy._services.services.replace([msgspec.convert(document, ServiceView)])
    task = asyncio.create_task(proxy.run())
    try:
        await eventually(proxy.settled.is_set)
        assert CHECKED in proxy.health._services
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
