# SPDX-License-Identifier: GPL-3.0-or-later
"""The Docker runtime by itself: sandboxes in either way of making them, and whose containers it sees."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from kubelet_support import IMAGE, build_image, namespace_of

from navarch.kubelet.pods import hooks
from navarch.kubelet.runtime.base import ContainerSpec, NoSuchContainer, NoSuchImage, SandboxSpec
from navarch.kubelet.runtime.docker import DockerRuntime

pytestmark = [
    pytest.mark.docker,
    pytest.mark.root,
    pytest.mark.skipif(
        os.geteuid() != 0 or not os.path.exists("/var/run/docker.sock"),
        reason="needs root and a Docker Engine",
    ),
]


@pytest_asyncio.fixture
async def runtime() -> AsyncIterator[DockerRuntime]:
    made = DockerRuntime("/var/run/docker.sock", f"test.{secrets.token_hex(6)}")
    await made.start()
    build_image(made._api)
    yield made
    for container in await made.containers():
        await made.remove(container.id)
    await made.close()


def sandbox(uid: str) -> SandboxSpec:
    return SandboxSpec(uid=uid, namespace="n", pod="p", attempt=0, hostname="p")


def sleeping(uid: str, sandbox: str) -> ContainerSpec:
    return ContainerSpec(
        uid=uid,
        namespace="n",
        pod="p",
        name="a",
        attempt=0,
        spec_hash="",
        sandbox=sandbox,
        image=IMAGE,
        entrypoint=["sleep", "100"],
    )


@pytest.mark.parametrize("own", [True, False], ids=["pause makes the namespace", "the engine makes it"])
async def test_a_sandbox_has_a_network_of_its_own_that_containers_join(
    runtime: DockerRuntime, own: bool
) -> None:
    runtime._own_netns = own
    uid = secrets.token_hex(8)
    id = await runtime.create_sandbox(sandbox(uid))
    state = await runtime.start_sandbox(id, host_network=False, sysctls={})
    assert namespace_of(state.pid, "net") != namespace_of("self", "net")
    spec = sleeping(uid, id)
    made = await runtime.create(spec)
    # The same again, as a kubelet does whose first try was cut short: one container is left.
    again = await runtime.create(spec)
    assert made != again
    started = await runtime.start_container(again)
    assert started.status == "running"
    assert namespace_of(started.pid, "net") == namespace_of(state.pid, "net")
    assert {c.name for c in await runtime.containers()} == {"a", "$sandbox"}
    assert set(await runtime.of(uid)) == {id, again}
    assert await runtime.of(secrets.token_hex(8)) == []
    with pytest.raises(NoSuchContainer):
        await runtime.inspect(made)


async def test_a_command_whose_time_is_up_before_it_has_begun_leaves_no_process(
    runtime: DockerRuntime,
) -> None:
    id = await runtime.create_sandbox(sandbox(secrets.token_hex(8)))
    state = await runtime.start_sandbox(id, host_network=False, sysctls={})
    made = await runtime.start_container(await runtime.create(sleeping(state.uid, id)))
    shared: Any = SimpleNamespace(runtime=runtime)
    for number in range(16):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.005 * number):
                await hooks.command(shared, made.id, ["sleep", "77"])
    rows = runtime._api.top(made.id, "-eo pid,args")["Processes"]
    assert [row[-1] for row in rows] == ["sleep 100"]


async def test_a_runtime_sees_its_own_containers_only(runtime: DockerRuntime) -> None:
    other = DockerRuntime("/var/run/docker.sock", f"other.{secrets.token_hex(6)}")
    await other.start()
    try:
        id = await other.create_sandbox(sandbox(secrets.token_hex(8)))
        assert await runtime.containers() == []
        with pytest.raises(NoSuchContainer):
            await runtime.inspect(id)
    finally:
        for container in await other.containers():
            await other.remove(container.id)
        await other.close()


async def test_an_image_that_is_missing_is_named(runtime: DockerRuntime) -> None:
    assert await runtime.image("navarch-test/none:1") is None
    id = await runtime.create_sandbox(sandbox(secrets.token_hex(8)))
    spec = ContainerSpec(
        uid="u",
        namespace="n",
        pod="p",
        name="a",
        attempt=0,
        spec_hash="",
        sandbox=id,
        image="navarch-test/none:1",
    )
    with pytest.raises(NoSuchImage, match="navarch-test/none:1"):
        await runtime.create(spec)
