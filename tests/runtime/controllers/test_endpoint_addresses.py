# SPDX-License-Identifier: GPL-3.0-or-later
"""A pod whose address cannot be an endpoint keeps no other pod from being one."""

from __future__ import annotations

from typing import Any

import pytest

from navarch.api.core.endpoints import Endpoints
from navarch.api.core.pod.container import Container
from navarch.api.core.pod.pod import Pod
from navarch.api.core.pod.spec import PodSpec
from navarch.api.core.service.service import Service, ServicePort, ServiceSpec
from navarch.api.discovery.endpointslice import EndpointSlice
from navarch.api.machinery.meta import ObjectMeta
from navarch.controllers.service_backends import reachable


@pytest.mark.parametrize(
    ("ip", "good"),
    [
        ("10.1.2.3", True), ("169.1.2.3", True), ("fd00::1", True), ("127.0.0.1", False),
        ("169.254.9.9", False), ("0.0.0.0", False), ("224.0.0.1", False),
        ("239.1.1.1", False), ("::1", False), ("fe80::1", False),
        ("ff02::1", False), ("::", False), ("x", False), ("", False),
    ],
)  # fmt: skip
def test_which_addresses_can_be_endpoints(ip: str, good: bool) -> None:
    assert reachable(ip) == good


@pytest.mark.parametrize("bad", ["127.0.0.1", "169.254.1.1", "0.0.0.0"])
async def test_a_bad_address_keeps_no_service_from_its_endpoints(cluster: Any, bad: str) -> None:
    spec = ServiceSpec(selector={"app": "a"}, ports=[ServicePort(port=80)])
    await cluster.client.create(Service(metadata=ObjectMeta(name="s", namespace="default"), spec=spec))
    for name, ip in (("bad", bad), ("good", "10.244.0.9")):
        meta = ObjectMeta(name=name, namespace="default", labels={"app": "a"})
        containers = [Container(name="c", image="i")]
        await cluster.client.create(Pod(metadata=meta, spec=PodSpec(node_name="n", containers=containers)))
        ready = [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]
        status = {"phase": "Running", "podIP": ip, "conditions": ready}
        await cluster.client.patch(Pod, name, "default", {"status": status}, subresource="status")

    async def endpoints() -> bool:
        found = (await cluster.client.list(Endpoints, "default")).items
        slices = (await cluster.client.list(EndpointSlice, "default")).items
        ips = [a.ip for e in found for s in e.subsets or () for a in s.addresses or ()]
        return ips == ["10.244.0.9"] == [a for s in slices for e in s.endpoints for a in e.addresses]

    await cluster.eventually(endpoints)
