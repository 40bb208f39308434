# SPDX-License-Identifier: GPL-3.0-or-later
"""What is the cluster's never leaves by a host's uplink, and what leaves it does so as the host."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator

import pytest
from overlay_support import Lan, Pod, Space, tcp

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        os.geteuid() != 0 or not all(map(shutil.which, ("ip", "nft", "iptables", "nsenter"))),
        reason="needs root, iproute2, nftables, iptables and nsenter",
    ),
]

#: Of the cluster's range (10.98.0.0/16), but of no node and no pod.
NOBODY = "10.98.77.9"


@pytest.fixture
async def lan() -> AsyncIterator[Lan]:
    """One host with a pod, and its neighbour 192.0.2.254, to which the default route leads."""
    lan = Lan(None, "none")  # type: ignore[arg-type]  # without an API: no overlay is followed here
    try:
        await asyncio.to_thread(lan.host, 1, 1)
        lan.switch.ip("addr add 192.0.2.254/24 dev br0")
        yield lan
    finally:
        await lan.close()


def listener(space: Space) -> socket.socket:
    """All IPv4 that is sent to the neighbour's own end."""

    def make() -> socket.socket:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
        sock.bind(("br0", 0x0800))
        sock.settimeout(0.5)
        return sock

    return space.call(make)


def heard(sock: socket.socket) -> set[tuple[str, str]]:
    """(source, destination) of what came."""
    found = set()
    while True:
        try:
            packet = sock.recv(2048)
        except TimeoutError:
            return found
        found.add((socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])))


def send(space: Space, address: str) -> None:
    def do() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for _ in range(3):
                try:
                    sock.sendto(b"x", (address, 9))
                except OSError:
                    return  # refused at once: it did not leave either

    space.call(do)


async def test_what_is_for_nobody_in_the_cluster_stays_on_the_host(lan: Lan) -> None:
    host = lan.hosts[0]
    pod: Pod = host.pods[0]
    with listener(lan.switch) as sock:
        for sender in (pod.space, host.space):
            send(sender, NOBODY)
        assert await asyncio.to_thread(heard, sock) == set()
        # The listener does hear: without the guard they do leave.
        host.space.ip("route del blackhole 10.98.0.0/16 metric 9999")
        send(pod.space, NOBODY)
        assert (pod.address, NOBODY) in await asyncio.to_thread(heard, sock)


async def test_only_what_leaves_the_cluster_is_hidden(lan: Lan) -> None:
    host = lan.hosts[0]
    pod = host.pods[0]
    assert await asyncio.to_thread(tcp, pod.space, lan.switch, "192.0.2.254") == host.address
    # Another pod's range behind a gateway sees pods as they are.
    lan.switch.ip("addr add 10.98.2.1/24 dev br0", f"route add {host.cidr} via {host.address}")
    host.space.ip("route add 10.98.2.0/24 via 192.0.2.254")
    assert await asyncio.to_thread(tcp, pod.space, lan.switch, "10.98.2.1") == pod.address
