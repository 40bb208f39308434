# SPDX-License-Identifier: GPL-3.0-or-later
"""Services the whole way: API, slices, the kubelet's rules and real pods; from the node and from a pod."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from kubelet_support import Cluster, Pods, eventually, fetch, host_pid

from navarch.api.meta import ObjectMeta
from navarch.api.service import Service, ServicePort, ServiceSpec
from navarch.network.netns import connect

pytestmark = [pytest.mark.docker, pytest.mark.root]

WEB = ["sh", "-c", "mkdir -p /www; echo hello > /www/index.html; exec httpd -f -p 8080 -h /www"]


@pytest.fixture
def guarded(cluster: Cluster) -> Iterator[Cluster]:
    """No packet to a service's address may leave the machine, should a rule be missing."""
    rule = ("-d", cluster.services, "-m", "comment", "--comment", "test guard", "-j", "DROP")
    subprocess.run(["iptables", "-w", "-t", "mangle", "-I", "POSTROUTING", *rule], check=True)
    try:
        yield cluster
    finally:
        subprocess.run(["iptables", "-w", "-t", "mangle", "-D", "POSTROUTING", *rule], check=True)


async def test_a_service_answers_while_its_pod_is_ready_and_refuses_after(
    guarded: Cluster, pods: Pods
) -> None:
    spec = ServiceSpec(
        type="NodePort", selector={"app": "web"}, ports=[ServicePort(name="http", port=80, target_port=8080)]
    )
    made = await pods.client.create(
        Service(metadata=ObjectMeta(name="web", namespace=pods.namespace), spec=spec)
    )
    assert made.spec is not None
    assert made.spec.cluster_ip is not None
    vip = made.spec.cluster_ip
    await pods.create("web", {"name": "web", "command": WEB})
    await pods.running("web")
    pid = host_pid(guarded.engine, guarded.sandbox("web"))

    def answers() -> bool:
        try:
            connect(pid, vip, 80, 1.0).close()
        except OSError:
            return False
        return True

    await eventually(answers)
    assert await fetch(f"http://{vip}/") == b"hello\n"
    await pods.delete("web", grace=0)

    def refused() -> bool:
        done = subprocess.run(
            ["nft", "list", "table", "ip", f"navarch_{guarded.bridge}_services"], capture_output=True
        )
        return vip.encode() not in done.stdout

    await eventually(refused)
    with pytest.raises(OSError, match="refused"):
        await fetch(f"http://{vip}/")
