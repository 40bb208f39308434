# SPDX-License-Identifier: GPL-3.0-or-later
"""A pod whose stored object is damaged runs on: that it is in no list is no deletion."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3

import pytest
from kubelet_support import PATIENCE, Cluster, Pods, eventually, sleeper

from navarch.api.core.pod.pod import Pod
from navarch.api.machinery.errors import StatusError

pytestmark = [pytest.mark.docker, pytest.mark.root]


def damage(cluster: Cluster, key: str) -> None:
    with contextlib.closing(
        sqlite3.connect(cluster.folder / "master/store.db", isolation_level=None)
    ) as conn:
        assert conn.execute("UPDATE log SET value = x'7b' WHERE key = ?", (key,)).rowcount


async def answering(pods: Pods) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(StatusError):
                await pods.client.list(Pod, pods.namespace)
                return
            await asyncio.sleep(0.05)


async def test_a_pod_of_a_damaged_object_runs_until_it_is_deleted(cluster: Cluster, pods: Pods) -> None:
    await pods.create("kept", {"name": "a", "command": sleeper()})
    await pods.create("other", {"name": "a", "command": sleeper()})
    await pods.running("kept")
    await pods.running("other")
    before = cluster.ids("kept")
    cluster.kill_kubelet()
    cluster.kill_master()
    damage(cluster, f"/registry/pods/{pods.namespace}/kept")
    cluster.start_master()
    await answering(pods)
    await pods.client.delete(Pod, "other", pods.namespace, grace=0)
    log = len(cluster.log())
    cluster.start_kubelet()

    await eventually(lambda: not cluster.containers("other"))
    said = f"pod {pods.namespace}/kept is in no list, and runs on"
    await eventually(lambda: said in cluster.log()[log:])
    assert cluster.ids("kept") == before

    path = f"/api/v1/namespaces/{pods.namespace}/pods/kept"
    option = {"ignoreStoreReadErrorWithClusterBreakingPotential": "true"}
    await pods.client.request("DELETE", path, query=option)
    # The kubelet asks less and less often.
    await eventually(lambda: not cluster.containers("kept", all=True), 2 * PATIENCE)
