# SPDX-License-Identifier: GPL-3.0-or-later
"""The service proxy with 5,000 services of 10 endpoints: first sync, a change of one endpoint, connecting.

In network namespaces of its own; the machine's rules are not touched. Needs root and nft.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec

from benchmarks.cluster import report, run
from benchmarks.load import percentile
from navarch.api.core.service.service import Service
from navarch.client.base import Client, Listing, WatchEvent
from navarch.network.netns import run_in
from navarch.network.proxy.kernel import Kernel
from navarch.network.proxy.service import ServiceProxy
from navarch.network.services import Services

SERVICES = 5_000
ENDPOINTS = 10
CHANGES = 100
CONNECTIONS = 500
ROUNDS = 6
SPACE = "navarch-bench"
CLIENT_SPACE, SERVER_SPACE = f"{SPACE}-client", f"{SPACE}-server"
SERVER = "10.244.255.2"


def vip(number: int) -> str:
    return f"10.96.{number // 250}.{number % 250 + 1}"


def service(number: int) -> bytes:
    return msgspec.json.encode(
        {
            "metadata": {
                "name": f"s{number}",
                "namespace": "default",
                "resourceVersion": "1",
                "uid": f"u{number}",
            },
            "spec": {
                "type": "ClusterIP",
                "clusterIP": vip(number),
                "clusterIPs": [vip(number)],
                "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}],
                "selector": {"app": f"s{number}"},
                "sessionAffinity": "None",
                "internalTrafficPolicy": "Cluster",
            },
        }
    )


def endpoints(number: int, version: int, ips: list[str]) -> bytes:
    return msgspec.json.encode(
        {
            "metadata": {
                "name": f"s{number}-abcde",
                "namespace": "default",
                "resourceVersion": str(version),
                "labels": {"kubernetes.io/service-name": f"s{number}"},
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
        }
    )


def pods(number: int) -> list[str]:
    return [f"10.244.{1 + number % 250}.{2 + place}" for place in range(ENDPOINTS)]


class Feed:
    """A watch that gives what is put into it."""

    def __init__(self, view: type[Any]) -> None:
        self._queue: asyncio.Queue[list[WatchEvent[Any]]] = asyncio.Queue()
        self._decoder = msgspec.json.Decoder(view)

    def put(self, body: bytes) -> None:
        one = self._decoder.decode(body)
        self._queue.put_nowait([WatchEvent("MODIFIED", one, one.metadata.resource_version)])

    async def __aiter__(self) -> AsyncIterator[list[WatchEvent[Any]]]:
        while True:
            yield await self._queue.get()

    async def close(self) -> None:
        pass


class Api:
    """What a server sends, without the server: bodies as bytes, decoded here as a client does."""

    def __init__(self) -> None:
        self._services = [service(number) for number in range(SERVICES)]
        self._slices = [endpoints(number, 1, pods(number)) for number in range(SERVICES)]
        self.feeds: dict[Any, Feed] = {}

    async def list(self, kind: Any, namespace: str | None = None, **options: Any) -> Listing[Any]:
        bodies = self._services if kind is Service else self._slices
        decoder = msgspec.json.Decoder(options["view"])
        return Listing([decoder.decode(body) for body in bodies], "1")

    async def watch(self, kind: Any, namespace: str | None = None, **options: Any) -> Feed:
        self.feeds[kind is Service] = feed = Feed(options["view"])
        return feed


def sh(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


#: Takes connections on two ports: entries of connections made directly must not be in the way of others.
_SERVER = """
import selectors, socket
selector = selectors.DefaultSelector()
for port in (8080, 8081):
    selector.register(socket.create_server(("0.0.0.0", port), backlog=4096), selectors.EVENT_READ)
print("ready", flush=True)
while True:
    for key, _ in selector.select():
        key.fileobj.accept()[0].close()
"""


@contextlib.contextmanager
def spaces() -> Iterator[tuple[int, int]]:
    """The namespaces of a node, a client and a server. Gives processes in the first two."""
    names = (SPACE, CLIENT_SPACE, SERVER_SPACE)
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
            sh("ip", "netns", "add", name)
            sh("ip", "-n", name, "link", "set", "lo", "up")
        for link, space, net in (
            ("client", CLIENT_SPACE, "10.244.254"),
            ("server", SERVER_SPACE, "10.244.255"),
        ):
            sh(
                "ip",
                "link",
                "add",
                link,
                "netns",
                SPACE,
                "type",
                "veth",
                "peer",
                "name",
                "eth0",
                "netns",
                space,
            )
            for where, device, ip in ((SPACE, link, f"{net}.1/24"), (space, "eth0", f"{net}.2/24")):
                sh("ip", "-n", where, "addr", "add", ip, "dev", device)
                sh("ip", "-n", where, "link", "set", device, "up")
            sh("ip", "-n", space, "route", "add", "default", "via", f"{net}.1")
        sh("ip", "-n", SPACE, "route", "add", "default", "via", SERVER)
        sh("ip", "netns", "exec", SPACE, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        for space in (SPACE, CLIENT_SPACE):
            processes.append(subprocess.Popen(["ip", "netns", "exec", space, "sleep", "600"]))
        command = ["ip", "netns", "exec", SERVER_SPACE, sys.executable, "-c", _SERVER]
        server = subprocess.Popen(command, stdout=subprocess.PIPE)
        processes.append(server)
        assert server.stdout is not None
        server.stdout.readline()
        yield processes[0].pid, processes[1].pid
    finally:
        for process in processes:
            process.kill()
            process.wait()
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def connect(where: tuple[str, int]) -> list[float]:
    """Seconds to connect, sorted."""
    found = []
    for _ in range(CONNECTIONS):
        began = time.perf_counter()
        with socket.create_connection(where, 2.0):
            found.append(time.perf_counter() - began)
    return sorted(found)


def processor() -> float:
    """Seconds of processor time, nft's included: what it costs however busy the machine is."""
    used = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


async def measure(node: int, client_pid: int) -> None:
    api = Api()
    client: Client = api  # type: ignore[assignment]  # only list and watch are used
    services = Services(client)
    proxy = ServiceProxy(
        services,
        "node-0",
        service_cidr="10.96.0.0/16",
        cluster_cidr="10.244.0.0/16",
        kernel=Kernel(("ip", "netns", "exec", SPACE), lambda function: run_in(node, function)),
    )
    began = time.perf_counter()
    cpu = processor()
    tasks = [asyncio.create_task(services.run()), asyncio.create_task(proxy.run())]
    try:
        await proxy.settled.wait()
        report("proxy_first_sync", time.perf_counter() - began, "s", cpu_s=processor() - cpu)
        feed = api.feeds[False]
        times = []
        cpu = processor()
        for number in range(CHANGES):
            ips = pods(number)
            ips[number % ENDPOINTS] = "10.244.253.9"
            body = endpoints(number, 2, ips)
            start = time.perf_counter()
            feed.put(body)
            proxy.settled.clear()
            await proxy.settled.wait()
            times.append(time.perf_counter() - start)
        cost = (processor() - cpu) / CHANGES * 1e3
        ordered = sorted(times)
        report(
            "proxy_endpoint_change",
            percentile(ordered, 0.5),
            "ms",
            least_ms=percentile(ordered, 0.0),
            p99_ms=percentile(ordered, 0.99),
            cpu_ms=cost,
        )
        feed.put(endpoints(4_000, 2, [SERVER]))
        proxy.settled.clear()
        await proxy.settled.wait()
        direct: list[float] = []
        through: list[float] = []
        for _ in range(ROUNDS):
            # In turns, as the machine may be busy with other things now and then.
            direct += await asyncio.to_thread(run_in, client_pid, lambda: connect((SERVER, 8081)))
            through += await asyncio.to_thread(run_in, client_pid, lambda: connect((vip(4_000), 80)))
        one, other = percentile(sorted(direct), 0.5), percentile(sorted(through), 0.5)
        report("proxy_connect_ratio", other / one, "x", direct_us=one * 1e3, through_us=other * 1e3)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def main() -> None:
    if os.geteuid() != 0:
        print("the proxy's benchmark needs root", file=sys.stderr)
        return
    with spaces() as (node, client):
        run(measure(node, client))
