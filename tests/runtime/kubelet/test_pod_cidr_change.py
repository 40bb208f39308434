# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that is given another range than its pods are in, as by a backup of before it had this one."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubelet_support import NODE, Cluster, Pods, eventually, ready, sleeper, state

from navarch.api.core.namespace import Namespace
from navarch.api.core.node.node import Node
from navarch.api.machinery.errors import StatusError
from navarch.client.http import HttpClient

pytestmark = [pytest.mark.docker, pytest.mark.root]

NUMBER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])


@pytest.fixture
def cluster(machine: None, tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path, f"10.99.{176 - 16 * NUMBER}.0/20", f"nvother{NUMBER}")
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def bridge_addresses(bridge: str) -> list[str]:
    said = subprocess.run(
        ["ip", "-j", "-4", "address", "show", "dev", bridge], capture_output=True, text=True, check=True
    ).stdout
    return [entry["local"] for link in json.loads(said) for entry in link.get("addr_info", ())]


async def range_of(client: HttpClient) -> str:
    try:
        spec = (await client.get(Node, NODE)).spec
    except StatusError:
        return ""
    return (spec.pod_cidr if spec else "") or ""


async def test_its_pods_come_again_in_the_range_it_has_now(cluster: Cluster) -> None:
    async with HttpClient.from_kubeconfig(cluster.admin) as client:
        pods = Pods(client, "moves")
        await pods.make_namespace()
        async with asyncio.timeout(30):
            while not (old := await range_of(client)):
                await asyncio.sleep(0.1)
        await pods.create("p", {"name": "a", "command": sleeper()})
        before = await pods.running("p")
        assert before.status is not None
        cluster.kill_kubelet()
        await client.delete(Node, NODE)
        cluster.start_kubelet()
        async with asyncio.timeout(60):
            while (new := await range_of(client)) in ("", old):
                await asyncio.sleep(0.1)
        prefix = new.rpartition(".")[0]
        after = await pods.until(
            "p", lambda p: ready(p) and p.status.pod_ip.startswith(f"{prefix}."), seconds=60
        )
        assert after.metadata.uid == before.metadata.uid
        assert state(after, "a").restart_count == 1
        await eventually(lambda: bridge_addresses(cluster.bridge) == [f"{prefix}.1"])
        await eventually(lambda: cluster.addresses() == {after.status.pod_ip})
        await pods.create("q", {"name": "a", "command": sleeper()})
        assert (await pods.running("q")).status.pod_ip.startswith(f"{prefix}.")
        await client.delete(Namespace, "moves")
        await eventually(lambda: not cluster.containers(all=True))
