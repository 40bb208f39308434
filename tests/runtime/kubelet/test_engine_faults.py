# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine that is restarted is no reason to say that the node is not ready; one that stays away is."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from kubelet_support import eventually

from navarch.kubelet.runtime import containers
from navarch.kubelet.runtime.containers import Containers
from navarch.kubelet.runtime.docker import DockerRuntime

PATIENCE = 6.0


class Relay:
    """The engine's socket at another path, which can go away and come back."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def up(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.path)

    async def down(self) -> None:
        assert self._server is not None
        self._server.close()
        self.path.unlink(missing_ok=True)
        for writer in [*self._open]:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection("/var/run/docker.sock")
        ends = {writer, far_writer}
        self._open |= ends
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        self._open -= ends


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest_asyncio.fixture
async def followed(
    machine: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Relay, Containers]]:
    monkeypatch.setattr(containers, "_PATIENCE", PATIENCE)
    relay = Relay(tmp_path / "engine.sock")
    await relay.up()
    runtime = DockerRuntime(str(relay.path), f"test.{secrets.token_hex(6)}")
    await runtime.start()
    known = Containers(runtime, lambda uid: None)
    task = asyncio.create_task(known.run())
    try:
        await eventually(known.synced.is_set)
        yield relay, known
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await runtime.close()
        await relay.down()


async def test_only_an_engine_that_stays_away_is_a_problem(followed: tuple[Relay, Containers]) -> None:
    relay, known = followed
    told: list[str] = []
    known.problem_changed = lambda: told.append(known.problem)
    await relay.down()
    await asyncio.sleep(PATIENCE / 3)
    known.synced.clear()
    await relay.up()
    await eventually(known.synced.is_set)
    assert told == []
    await relay.down()
    await eventually(lambda: told)
    assert told[0].startswith("container engine: ")
    await relay.up()
    await eventually(lambda: not known.problem)
    assert told[1:] == [""]
