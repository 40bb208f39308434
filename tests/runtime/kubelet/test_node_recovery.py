# SPDX-License-Identifier: GPL-3.0-or-later
"""A master that had given a node up, its silence being too long, is told that node and pods are well."""

from __future__ import annotations

import asyncio

import pytest
from kubelet_support import PATIENCE, Cluster, Pods, ready, sleeper

from navarch.api.core.node.node import Node
from navarch.api.core.pod.pod import Pod
from navarch.api.machinery.meta import now

pytestmark = [pytest.mark.docker, pytest.mark.root]


async def test_what_the_master_says_in_a_silence_is_put_right_after_it(cluster: Cluster, pods: Pods) -> None:
    await pods.create("well", {"name": "a", "command": sleeper()})
    await pods.running("well")
    name = cluster.config.node_name
    lost = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "lastTransitionTime": now()}
    await pods.client.patch(
        Node, name, None, {"status": {"conditions": [lost]}}, type="strategic", subresource="status"
    )
    sick = {"type": "Ready", "status": "False", "reason": "NodeNotReady", "lastTransitionTime": now()}
    await pods.client.patch(
        Pod,
        "well",
        pods.namespace,
        {"status": {"conditions": [sick]}},
        type="strategic",
        subresource="status",
    )

    async with asyncio.timeout(PATIENCE):
        while await _says(pods, name) != "True":
            await asyncio.sleep(0.05)
    await pods.until("well", ready)


async def _says(pods: Pods, name: str) -> str | None:
    """The status of the node's Ready condition."""
    node = await pods.client.get(Node, name)
    return {c.type: c.status for c in (node.status.conditions if node.status else None) or ()}.get("Ready")
