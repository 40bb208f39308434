# SPDX-License-Identifier: GPL-3.0-or-later
"""One real server for the tests of this folder, raw HTTP to it, and a namespace for each test."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
import pytest_asyncio
from apiserver_support import Http, Standalone


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    folder = tmp_path_factory.mktemp("standalone")
    standalone = Standalone(folder, "--nodes", "2", "--data-dir", str(folder / "data")).start()
    try:
        yield standalone
    finally:
        assert standalone.stop() == 0


@pytest_asyncio.fixture
async def http(server: Standalone) -> AsyncIterator[Http]:
    headers = {"Authorization": f"Bearer {server.token}"}
    connector = aiohttp.TCPConnector(ssl=server.tls())
    async with aiohttp.ClientSession(
        headers=headers, connector=connector, timeout=aiohttp.ClientTimeout(total=30)
    ) as session:
        yield Http(session, server.url)


@pytest.fixture
def namespace(server: Standalone, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own."""
    name = f"test-{secrets.token_hex(4)}"
    server.kubectl("create", "namespace", name)
    yield name
    server.kubectl("delete", "namespace", name, "--wait=false", check=False)
