# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts and pods as network namespaces, joined by a switch that is one too, and probes between them.

Nothing touches the machine's own network, and no namespace has a way out of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from navarch.api.core.node.node import Node, NodeAddress, NodeSpec, NodeStatus
from navarch.api.machinery.meta import ObjectMeta
from navarch.client.base import Client
from navarch.network.netns import run_in
from navarch.network.overlay import make
from navarch.network.overlay.follower import Follower
from navarch.network.overlay.vxlan import VxlanSettings

R = TypeVar("R")

CLUSTER = "10.98.0.0/16"
BRIDGE = "navarch0"

_HOST_NETWORK = """
import asyncio, sys
from navarch.network.host import HostNetwork
asyncio.run(HostNetwork(sys.argv[1], sys.argv[2]).apply(sys.argv[3]))
"""


class Space:
    """A network namespace, held by a process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(["unshare", "-n", "sleep", "300"])
        while os.readlink(f"/proc/{self.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
            pass
        self.ip("link set lo up")

    @property
    def pid(self) -> int:
        return self._process.pid

    def run(self, *command: str, stdin: str | None = None) -> str:
        done = subprocess.run(
            ["nsenter", "-t", str(self.pid), "-n", *command],
            capture_output=True,
            text=True,
            check=False,
            input=stdin,
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def ip(self, *lines: str) -> str:
        """Lines of ip(8)."""
        return "".join(self.run("ip", *line.split()) for line in lines)

    def call(self, function: Callable[[], R]) -> R:
        return run_in(self.pid, function)

    async def in_thread(self, function: Callable[[], R]) -> R:
        return await asyncio.to_thread(self.call, function)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@dataclass
class Pod:
    space: Space
    address: str


@dataclass
class Host:
    name: str
    number: int
    space: Space
    address: str
    pods: list[Pod] = field(default_factory=list)
    follower: Follower | None = None
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def cidr(self) -> str:
        return f"10.98.{self.number}.0/24"


class Lan:
    """Hosts on one link, 192.0.2.0/24 (RFC 5737: a range that is nobody's)."""

    def __init__(self, client: Client, overlay: str, mtu: int = 1500) -> None:
        self.client = client
        self.overlay = overlay
        self.mtu = mtu
        self.switch = Space()
        self.switch.ip("link add br0 type bridge", "link set br0 up")
        self.hosts: list[Host] = []
        #: What any node has told people.
        self.told: list[str] = []

    def host(self, number: int, pods: int) -> Host:
        space = Space()
        self.switch.ip(
            f"link add p{number} mtu {self.mtu} type veth peer name eth0 mtu {self.mtu} netns {space.pid}",
            f"link set p{number} master br0 up",
        )
        host = Host(f"host{number}", number, space, f"192.0.2.{number}")
        space.ip(f"addr add {host.address}/24 dev eth0", "link set eth0 up")
        # As strict as hosts are, with a way out that must not be taken.
        space.ip("route add default via 192.0.2.254")
        space.run("iptables", "-P", "FORWARD", "DROP")
        space.run(sys.executable, "-c", _HOST_NETWORK, BRIDGE, CLUSTER, host.cidr)
        space.ip(
            f"link add {BRIDGE} type bridge",
            f"addr add 10.98.{number}.1/24 dev {BRIDGE}",
            f"link set {BRIDGE} up",
        )
        self.hosts.append(host)
        for n in range(pods):
            self._pod(host, n)
        return host

    def _pod(self, host: Host, n: int) -> None:
        space, address = Space(), f"10.98.{host.number}.{10 + n}"
        mtu = self.mtu - 50 if self.overlay == "vxlan" else self.mtu
        host.space.ip(
            f"link add v{n} mtu {mtu} type veth peer name eth0 mtu {mtu} netns {space.pid}",
            f"link set v{n} master {BRIDGE} up",
        )
        space.ip(
            f"addr add {address}/24 dev eth0",
            "link set eth0 up",
            f"route add default via 10.98.{host.number}.1",
        )
        host.pods.append(Pod(space, address))

    async def announce(self, host: Host) -> None:
        """Put the node into the API, or bring it up to date."""
        node = Node(
            metadata=ObjectMeta(name=host.name),
            spec=NodeSpec(pod_cidr=host.cidr, pod_cidrs=[host.cidr]),
            status=NodeStatus(addresses=[NodeAddress(type="InternalIP", address=host.address)]),
        )
        known = {n.metadata.name for n in (await self.client.list(Node)).items}
        if host.name not in known:
            await self.client.create(node)
        await self.client.patch(
            Node,
            host.name,
            None,
            {"status": {"addresses": [{"type": "InternalIP", "address": host.address}]}},
            subresource="status",
        )

    async def join(self, host: Host) -> None:
        """Announce the node and start its follower."""
        await self.announce(host)
        await self.start(host)

    async def start(self, host: Host, overlay: str = "", vxlan: VxlanSettings | None = None) -> None:
        host.follower = Follower(
            make(overlay or self.overlay, vxlan or VxlanSettings()),
            self.client,
            node=host.name,
            address=host.address,
            bridge=BRIDGE,
            cluster_cidr=CLUSTER,
            run=host.space.in_thread,
            warn=self.told.append,
        )
        await host.follower.prepare()
        host.tasks = [
            asyncio.create_task(host.follower.watch(), name="watch"),
            asyncio.create_task(host.follower.run(), name="overlay"),
        ]
        await host.follower.apply(host.cidr)

    async def stop(self, host: Host) -> None:
        for task in host.tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        host.tasks = []

    async def close(self) -> None:
        for host in self.hosts:
            await self.stop(host)
            for pod in host.pods:
                pod.space.close()
            host.space.close()
        self.switch.close()


# What the kernel of a host holds.


def routes(host: Host) -> dict[str, str]:
    """Ours: range -> gateway."""
    lines = (line.split() for line in host.space.ip("route show proto 86").splitlines())
    return {words[0]: words[2] for words in lines}


def everything(host: Host) -> str:
    return host.space.ip("route", "neigh show nud permanent", "-4 addr show up") + host.space.run(
        "bridge", "fdb", "show"
    )


# Probes. Each gives the address the other side saw, or "" when nothing came.

_WAIT = 5.0
_numbers = itertools.count(os.getpid() << 8)


def sockets(
    at: Space, kind: int, protocol: int = 0, address: str = "0.0.0.0", port: int = 0
) -> socket.socket:
    def make() -> socket.socket:
        sock = socket.socket(socket.AF_INET, kind, protocol)
        sock.settimeout(_WAIT)
        if protocol == 0:
            sock.bind((address, port))
        return sock

    return at.call(make)


def udp(source: Space, target: Space, address: str) -> str:
    with sockets(target, socket.SOCK_DGRAM) as server, sockets(source, socket.SOCK_DGRAM) as client:
        try:
            client.sendto(b"ask", (address, server.getsockname()[1]))
            _, seen = server.recvfrom(100)
            server.sendto(b"answer", seen)
            _, answered = client.recvfrom(100)
        except OSError:
            return ""
    assert answered[0] == address
    return str(seen[0])


def tcp(source: Space, target: Space, address: str, size: int = 200_000) -> str:
    """With enough octets that the largest segments are tried."""
    with sockets(target, socket.SOCK_STREAM) as server, sockets(source, socket.SOCK_STREAM) as client:
        server.listen(1)
        got: list[Any] = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                connection, seen = server.accept()
                with connection:
                    connection.settimeout(_WAIT)
                    count = 0
                    while count < size:
                        count += len(connection.recv(65536))
                    connection.sendall(b"!")
                    got.append(seen[0])

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            client.connect((address, server.getsockname()[1]))
            client.sendall(b"x" * size)
            client.recv(1)
        except OSError:
            got.clear()
        thread.join()
        return str(got[0]) if got else ""


def icmp(source: Space, target: Space, address: str, length: int = 64) -> str:
    """One echo of so many octets (an even number) in all, not to be fragmented (RFC 792, RFC 1191)."""
    number = next(_numbers)
    body = struct.pack("!HH", number >> 16, number & 0xFFFF) + bytes(length - 28)
    total = 0x0800 + sum(struct.unpack(f"!{len(body) // 2}H", body))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    with (
        sockets(source, socket.SOCK_RAW, socket.IPPROTO_ICMP) as client,
        sockets(target, socket.SOCK_RAW, socket.IPPROTO_ICMP) as witness,
    ):
        client.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER: always
        try:
            client.sendto(struct.pack("!BBH", 8, 0, ~total & 0xFFFF) + body, (address, 0))
            packet = seen = None
            while packet is None or packet[20] != 8 or packet[24:] != body:
                packet, seen = witness.recvfrom(65536)
            answer = client.recv(65536)
            while answer[20] != 0 or answer[24:] != body:
                answer = client.recv(65536)
        except OSError:
            return ""
    assert seen is not None
    return str(seen[0])


PROBES = {"icmp": icmp, "udp": udp, "tcp": tcp}
