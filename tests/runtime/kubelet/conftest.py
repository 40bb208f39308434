# SPDX-License-Identifier: GPL-3.0-or-later
"""One real cluster for the tests of this folder, and a namespace for each test."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from kubelet_support import Cluster, Pods, eventually

from navarch.api.core.namespace import Namespace
from navarch.api.core.pod.pod import Pod
from navarch.client.http import HttpClient


def _engine() -> bool:
    return os.geteuid() == 0 and os.path.exists("/var/run/docker.sock") and os.path.exists("/bin/busybox")


@pytest.fixture(scope="session")
def machine() -> None:
    """What every cluster here stands on."""
    if not _engine():
        pytest.skip("needs root, a running Docker Engine and busybox-static")


@pytest.fixture(scope="session")
def cluster(machine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), f"10.99.{16 * number}.0/20", f"nvtest{number}")
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest_asyncio.fixture
async def pods(cluster: Cluster) -> AsyncIterator[Pods]:
    async with HttpClient.from_kubeconfig(cluster.admin) as client:
        pods = Pods(client, f"test-{secrets.token_hex(4)}")
        await pods.make_namespace()
        yield pods
        for pod in (await client.list(Pod, pods.namespace)).items:
            await client.delete(Pod, pod.metadata.name or "", pods.namespace, grace=0)
        await client.delete(Namespace, pods.namespace)
        await eventually(lambda: not cluster.containers(all=True))
