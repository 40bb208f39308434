# SPDX-License-Identifier: GPL-3.0-or-later
"""Services the whole way: API, slices, the kubelet's rules and real pods; from the node and from a pod."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from kubelet_support import Cluster, Pods, eventually, fetch, host_pid

from navarch.api.core.service.service import Service, ServicePort, ServiceSpec
from navarch.api.machinery.meta import ObjectMeta
from navarch.network.netns import run_in

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


def answers(pid: int, ip: str) -> bool:
    """Whether a connection from the network of a process gets through."""

    def ask() -> bool:
        with socket.socket() as sock:
            sock.settimeout(2.0)
            try:
                sock.connect((ip, 80))
                sock.settimeout(30.0)  # connected: now it depends on how busy the machine is
                sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
                return b"hello" in sock.recv(4096) + sock.recv(4096)
            except OSError:
                return False

    return run_in(pid, ask)


async def web(pods: Pods, **spec: Any) -> str:
    """A service with one pod that is ready; its address."""
    ports = [ServicePort(name="http", port=80, target_port=8080)]
    made = await pods.client.create(
        Service(
            metadata=ObjectMeta(name="web", namespace=pods.namespace),
            spec=ServiceSpec(selector={"app": "web"}, ports=ports, **spec),
        )
    )
    assert made.spec is not None
    assert made.spec.cluster_ip is not None
    await pods.create("web", {"name": "web", "command": WEB})
    await pods.running("web")
    return made.spec.cluster_ip


async def test_a_service_answers_while_its_pod_is_ready_and_refuses_after(
    guarded: Cluster, pods: Pods
) -> None:
    vip = await web(pods, type="NodePort")
    pid = host_pid(guarded.engine, guarded.sandbox("web"))
    await eventually(lambda: answers(pid, vip))
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


async def test_no_connection_fails_while_the_kubelet_restarts(guarded: Cluster, pods: Pods) -> None:
    vip = await web(pods, session_affinity="ClientIP")
    pid = host_pid(guarded.engine, guarded.sandbox("web"))
    await eventually(lambda: answers(pid, vip))
    results: list[bool] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            results.append(answers(pid, vip))
            time.sleep(0.01)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for number in (signal.SIGKILL, signal.SIGTERM):
            guarded.kill_kubelet(number)
            await asyncio.sleep(0.3)
            lines = guarded.log().count("node server listens")
            guarded.start_kubelet()
            await eventually(lambda lines=lines: guarded.log().count("node server listens") > lines)
            await asyncio.sleep(1.0)
    finally:
        ended.set()
        asking.join()
    assert len(results) > 50 and all(results), f"{results.count(False)} of {len(results)} failed"
