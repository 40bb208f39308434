# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulated nodes keep to what real ones do: pods get addresses of their range, deleted they join anew."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from typing import Any

import pytest
from test_controllers import rc, running

from navarch.api.core.node.node import Node
from navarch.api.machinery.errors import StatusError
from navarch.kubelet.simulated import SimulatedNodes


@pytest.fixture
async def nodes(cluster: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(SimulatedNodes(cluster.client, 2).run(), name="nodes")
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_pods_have_addresses_of_their_nodes(cluster: Any, nodes: None) -> None:
    await cluster.client.create(rc(replicas=8))
    found = await running(cluster, 8)
    ranges = {node.metadata.name: node.spec.pod_cidr for node in (await cluster.client.list(Node)).items}
    addresses = [pod.status.pod_ip for pod in found if pod.status]
    assert len(set(addresses)) == 8
    for pod in found:
        assert pod.spec is not None and pod.status is not None
        network = ipaddress.ip_network(ranges[pod.spec.node_name])
        assert ipaddress.ip_address(pod.status.pod_ip or "") in network


async def test_a_deleted_node_joins_anew(cluster: Any, nodes: None) -> None:
    async def ready() -> Any:
        try:
            node = await cluster.client.get(Node, "sim-1")
        except StatusError:
            return None
        conditions = node.status.conditions if node.status else None
        return node if any(c.type == "Ready" and c.status == "True" for c in conditions or ()) else None

    before = await cluster.eventually(ready)
    await cluster.client.delete(Node, "sim-1")

    async def again() -> bool:
        node = await ready()
        return node is not None and node.metadata.uid != before.metadata.uid

    await cluster.eventually(again)
