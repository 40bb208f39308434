# SPDX-License-Identifier: GPL-3.0-or-later
"""5,000 services of 10 endpoints the whole way: a real master over HTTPS, a node's watch, proxy and DNS in a
process with all that a kubelet loads, real nftables in a namespace of its own.

Time to the first rules, memory, and from the write of one endpoint's change to the kernel's news of it.
Needs root and nft.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.cluster import Master, master, report, rss, run
from benchmarks.load import percentile
from benchmarks.proxy import ENDPOINTS, SERVICES, pods, processor
from navarch.api.core.service.service import Service
from navarch.api.discovery.endpointslice import SERVICE_NAME, EndpointSlice
from navarch.client.http import HttpClient
from navarch.network import netlink, nftables
from navarch.network.netns import run_in

CHANGES = 100
SPACE = "navarch-bench-services"
AT_ONCE = 32


def service(number: int) -> Service:
    ip = f"10.96.{1 + number // 250}.{number % 250 + 1}"
    spec = {"clusterIP": ip, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}
    return msgspec.convert({"metadata": {"name": f"s{number}"}, "spec": spec}, Service)


def endpoints(number: int, ips: list[str]) -> EndpointSlice:
    return msgspec.convert(
        {
            "metadata": {
                "name": f"s{number}-abcde",
                "namespace": "default",
                "labels": {SERVICE_NAME: f"s{number}"},
            },
            "addressType": "IPv4",
            "endpoints": [
                {
                    "addresses": [ip],
                    "conditions": {"ready": True, "serving": True, "terminating": False},
                    "nodeName": f"node-{place % 3}",
                    "targetRef": {"kind": "Pod", "name": f"s{number}-{place}", "namespace": "default"},
                }
                for place, ip in enumerate(ips)
            ],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        },
        EndpointSlice,
    )


async def node(config: str, space: int) -> None:
    """The measured process: says `{"loaded": MiB}` and, when the rules are there, `{"seconds": ...}`."""
    import navarch.kubelet.main  # noqa: F401  # what a kubelet has in memory anyway
    from navarch.network.dns.service import NodeDns
    from navarch.network.proxy.kernel import Kernel
    from navarch.network.proxy.service import ServiceProxy
    from navarch.network.services import Services

    print(json.dumps({"loaded": rss(os.getpid())}), flush=True)
    began, used = time.perf_counter(), processor()
    async with HttpClient.from_kubeconfig(config) as client:
        services = Services(client)
        cidrs = {"service_cidr": "10.96.0.0/16", "cluster_cidr": "10.244.0.0/16"}
        dns = NodeDns(
            services, address="127.0.0.1", domain="cluster.local", node_ip="127.0.0.1", port=0, **cidrs
        )
        kernel = Kernel(("ip", "netns", "exec", SPACE), lambda function: run_in(space, function))
        proxy = ServiceProxy(services, "node-0", kernel=kernel, **cidrs)
        async with asyncio.TaskGroup() as tasks:
            for work in (services.run, dns.run, proxy.run):
                tasks.create_task(work())
            await dns.resolver.ready.wait()
            answering = time.perf_counter() - began
            await proxy.settled.wait()
            seconds = time.perf_counter() - began
            done = {"seconds": seconds, "dns_seconds": answering, "cpu_s": processor() - used}
            print(json.dumps(done), flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            os._exit(0)


async def fill(client: HttpClient) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def make(number: int) -> None:
        async with gate:
            await client.create(service(number), "default")
            await client.create(endpoints(number, pods(number)), "default")

    async with asyncio.TaskGroup() as tasks:
        for number in range(SERVICES):
            tasks.create_task(make(number))


def heard(news: socket.socket, ip: str) -> float:
    """When the kernel tells of an element with this address."""
    wanted = socket.inet_aton(ip)
    while True:
        if wanted in news.recv(1 << 16):
            return time.perf_counter()


def start(here: Master, space: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.services", str(here.kubeconfig), str(space)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


async def measure(here: Master, space: int) -> None:
    async with HttpClient.from_kubeconfig(here.kubeconfig) as client:
        await fill(client)
        used = here.cpu()
        process = start(here, space)
        assert process.stdout is not None
        try:
            loaded = json.loads(process.stdout.readline())["loaded"]
            done: dict[str, Any] = json.loads(await asyncio.to_thread(process.stdout.readline))
            more = {"dns_s": done["dns_seconds"], "cpu_s": done["cpu_s"], "master_cpu_s": here.cpu() - used}
            report("services_first_sync", done["seconds"], "s", **more)
            report(
                "services_kubelet_memory",
                rss(process.pid),
                "MiB",
                without_services_mib=loaded,
                services=SERVICES,
                endpoints=SERVICES * ENDPOINTS,
            )
            news = run_in(space, lambda: netlink.listen(nftables.FAMILY, (nftables.GROUP,)))
            news.setblocking(True)
            news.settimeout(30)
            written, seen = [], []
            with news:
                for number in range(CHANGES):
                    ips = pods(number)
                    ips[number % ENDPOINTS] = f"10.245.{number}.9"
                    one = endpoints(number, ips)
                    waiting = asyncio.create_task(asyncio.to_thread(heard, news, f"10.245.{number}.9"))
                    await asyncio.sleep(0.02)
                    began = time.perf_counter()
                    await client.update(one)
                    written.append(time.perf_counter() - began)
                    seen.append(await waiting - began)
            seen.sort()
            report(
                "services_endpoint_change_api_to_kernel",
                percentile(seen, 0.5),
                "ms",
                p99_ms=percentile(seen, 0.99),
                write_ms=percentile(sorted(written), 0.5),
            )
            report("services_kubelet_memory_after_changes", rss(process.pid), "MiB")
        finally:
            process.kill()
            process.wait()


def main() -> None:
    if os.geteuid() != 0:
        print("the services' benchmark needs root", file=sys.stderr)
        return
    subprocess.run(["ip", "netns", "del", SPACE], capture_output=True, check=False)
    subprocess.run(["ip", "netns", "add", SPACE], check=True)
    holder = subprocess.Popen(["ip", "netns", "exec", SPACE, "sleep", "600"])
    try:
        while Path(f"/proc/{holder.pid}/comm").read_text().strip() != "sleep":
            time.sleep(0.01)
        with master() as here:
            run(measure(here, holder.pid))
    finally:
        holder.kill()
        holder.wait()
        subprocess.run(["ip", "netns", "del", SPACE], check=False)


if __name__ == "__main__":
    run(node(sys.argv[1], int(sys.argv[2])))
