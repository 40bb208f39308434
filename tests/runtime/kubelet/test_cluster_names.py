# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that a pod can resolve, by the DNS of its own node."""

from __future__ import annotations

import pytest
from kubelet_support import Cluster, Pods

from navarch.api.meta import ObjectMeta
from navarch.api.service import Service, ServicePort, ServiceSpec

pytestmark = [pytest.mark.docker, pytest.mark.root]


async def test_a_pod_finds_services_by_their_short_names(cluster: Cluster, pods: Pods) -> None:
    service = await pods.client.create(
        Service(
            metadata=ObjectMeta(name="web", namespace=pods.namespace),
            spec=ServiceSpec(ports=[ServicePort(port=80)]),
        )
    )
    assert service.spec is not None
    look = "cat /etc/resolv.conf; for i in 1 2 3; do timeout 3 busybox nslookup web; sleep 0.2; done 2>&1"
    await pods.create(
        "asker", {"name": "a", "command": ["sh", "-c", f"PATH=/bin; {look}"]}, restartPolicy="Never"
    )
    await pods.until("asker", lambda p: p.status and p.status.phase == "Succeeded")
    text = await pods.logs("asker", "a")
    assert f"nameserver {cluster.dns}\n" in text
    assert f"search {pods.namespace}.svc.cluster.local svc.cluster.local cluster.local" in text
    assert "options ndots:5" in text
    assert service.spec.cluster_ip in text.split()
