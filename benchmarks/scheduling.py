# SPDX-License-Identifier: GPL-3.0-or-later
"""The scheduler at work: pods created live until all are bound, over many nodes; memory with all of them
there."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from datetime import UTC, datetime

from benchmarks import load
from benchmarks.api import Line
from benchmarks.cluster import Master, master, pod, report, run

PODS = "/api/v1/namespaces/default/pods"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
COUNT = 10_000


async def make_nodes(target: load.Target, count: int) -> None:
    """Node objects that are Ready, each with a lease; no kubelets behind them."""

    def node(number: int) -> bytes:
        return json.dumps(
            {"metadata": {"name": f"node-{number}", "labels": {"kubernetes.io/os": "linux"}}}
        ).encode()

    offer = {"cpu": "32", "memory": "128Gi", "pods": "110"}
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": _now()}
    status = json.dumps({"status": {"capacity": offer, "allocatable": offer, "conditions": [ready]}}).encode()
    patch = "application/merge-patch+json"
    calls = [target.request("POST", "/api/v1/nodes", node(number)) for number in range(count)]
    await load.run(target, iter(calls), 16)
    calls = [target.request("PATCH", f"/api/v1/nodes/node-{n}/status", status, patch) for n in range(count)]
    await load.run(target, iter(calls), 16)
    calls = [target.request("POST", LEASES, _lease(number)) for number in range(count)]
    await load.run(target, iter(calls), 16)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _lease(number: int) -> bytes:
    renewed = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = {"holderIdentity": f"node-{number}", "leaseDurationSeconds": 40, "renewTime": renewed}
    return json.dumps({"metadata": {"name": f"node-{number}"}, "spec": spec}).encode()


async def renew(target: load.Target, count: int) -> None:
    """Every lease within half a minute, for as long as the measurement lasts."""
    patch = "application/merge-patch+json"  # an update wants the version that it replaces
    while True:
        for start in range(0, count, 100):
            calls = [
                target.request("PATCH", f"{LEASES}/node-{number}", _lease(number), patch)
                for number in range(start, min(start + 100, count))
            ]
            await load.run(target, iter(calls), 1)
            await asyncio.sleep(30 * 100 / count)


async def placed(here: Master, nodes: int, figure: str, selector: str) -> None:
    """From the first create sent to the last pod that a watch with this field selector shows, each once."""
    target = here.target
    (counter,) = await load.watch(
        target, f"{PODS}?watch=true&resourceVersion=0&fieldSelector=spec.nodeName!=", 1
    )
    before = counter.count
    prepared = [target.request("POST", PODS, pod(f"live-{number:06}")) for number in range(COUNT)]
    cpu = here.cpu()
    started = time.perf_counter()
    await load.run(target, iter(prepared), 32)
    created = time.perf_counter() - started
    async with asyncio.timeout(120):
        while counter.count < before + COUNT:
            await asyncio.sleep(0.005)
    seconds = next(moment for count, moment in counter.times if count >= before + COUNT) - started
    report(
        figure,
        COUNT / seconds,
        "pods/s",
        nodes=nodes,
        pods=COUNT,
        creates_per_s=COUNT / created,
        server_cpu_us=(here.cpu() - cpu) / COUNT * 1e6,
    )
    counter.transport.close()


async def without_kubelets(here: Master, nodes: int) -> None:
    target = here.target
    await make_nodes(target, nodes)
    await asyncio.sleep(4)  # taints of being new come off, pod ranges are given out
    keeping = asyncio.create_task(renew(target, nodes), name="renew leases")
    try:
        await placed(here, nodes, f"pods_bound_{nodes}", "spec.nodeName!=")
    finally:
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping


async def wait_for_nodes(target: load.Target, count: int) -> None:
    """Until the last of the simulated nodes has its lease, which is made last."""
    line = await Line.open(target)
    async with asyncio.timeout(120):
        while True:
            try:
                await line.ask(target.request("GET", f"{LEASES}/sim-{count - 1}"))
            except RuntimeError:
                await asyncio.sleep(0.5)
            else:
                line.close()
                return


async def with_kubelets(here: Master, nodes: int) -> None:
    await wait_for_nodes(here.target, nodes)
    await asyncio.sleep(4)
    await placed(here, nodes, f"pods_running_{nodes}_simulated_kubelets", "status.phase%3DRunning")


def main() -> None:
    for nodes in (1000, 5000):
        with master() as here:
            run(without_kubelets(here, nodes))
            time.sleep(2)
            report(f"master_rss_{nodes}_nodes", here.rss(), "MiB", nodes=nodes, pods=COUNT)
    with master("--nodes", "5000") as here:
        run(with_kubelets(here, 5000))
