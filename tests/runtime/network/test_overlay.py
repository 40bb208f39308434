# SPDX-License-Identifier: GPL-3.0-or-later
"""Overlays on real kernels: three hosts and their pods as network namespaces, nodes in a real registry."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import overlay_support as support
import pytest
from overlay_support import PROBES, Host, Lan, everything, icmp, routes, udp
from pyroute2 import IPRoute

from navarch.api.builtin import scheme
from navarch.api.core.node.node import Node
from navarch.auth.user import User
from navarch.client.local import LocalClient
from navarch.network.overlay import NAMES, follower, kernel, make, wrong
from navarch.network.overlay.base import Local, OverlayError, Peer
from navarch.network.overlay.follower import fit
from navarch.network.overlay.vxlan import Vxlan, VxlanSettings
from navarch.registry.admission.standard import plugins
from navarch.registry.registry import Registry
from navarch.store.sqlite import SqliteStore

needs = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("ip", "nft", "iptables", "nsenter"))),
    reason="needs root, iproute2, nftables, iptables and nsenter",
)
REACHING = ("vxlan", "host-gw")


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[LocalClient]:
    store = SqliteStore(str(tmp_path / "store.db"))
    await store.start()
    registry = Registry(store, scheme(), admission=plugins(service_cidr="10.96.0.0/24", toleration_seconds=1))
    await registry.start()
    yield LocalClient(registry, User(name="test", groups=("system:masters",)))
    await registry.close()
    await store.close()


@pytest.fixture(params=REACHING)
async def lan(request: pytest.FixtureRequest, client: LocalClient) -> AsyncIterator[Lan]:
    """Three hosts, two pods on the first, one on the others, all joined."""
    lan = Lan(client, request.param)
    try:
        for number, pods in ((1, 2), (2, 1), (3, 1)):
            await lan.join(await asyncio.to_thread(lan.host, number, pods))
        await eventually(lambda: all(len(routes(host)) == 2 for host in lan.hosts))
        yield lan
    finally:
        await lan.close()


async def eventually(check: Callable[[], object], seconds: float = 15.0) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not await asyncio.to_thread(check):
        assert loop.time() < end, "never became true"
        await asyncio.sleep(0.05)


async def every_pair(hosts: list[Host], overlay: str) -> None:
    """Pods and nodes to pods, by every protocol; whoever is asked sees who asks."""
    jobs = []
    for host in hosts:
        # A node is known by the end of its tunnel, and by its address where there is none.
        own = f"10.98.{host.number}.0" if overlay == "vxlan" else host.address
        sources = [(pod.space, pod.address, pod.address) for pod in host.pods]
        for other in hosts:
            for pod in other.pods:
                for space, name, seen in [*sources, (host.space, host.name, own)]:
                    if space is not pod.space and (other is not host or space is not host.space):
                        jobs += [(p, space, name, seen, pod) for p in PROBES]

    def probe(job: tuple[str, support.Space, str, str, support.Pod]) -> str:
        protocol, space, name, seen, pod = job
        got = PROBES[protocol](space, pod.space, pod.address)
        return "" if got == seen else f"{protocol} {name} -> {pod.address}: seen as {got!r}, is {seen}"

    with ThreadPoolExecutor(8) as pool:
        answers = await asyncio.gather(
            *(asyncio.get_running_loop().run_in_executor(pool, probe, job) for job in jobs)
        )
    assert len(jobs) >= 10
    assert [answer for answer in answers if answer] == []


@needs
@pytest.mark.root
async def test_every_pair_talks_and_nobody_is_renamed(lan: Lan) -> None:
    await every_pair(lan.hosts, lan.overlay)
    one, two = lan.hosts[0].pods[0], lan.hosts[1].pods[0]
    largest = 1450 if lan.overlay == "vxlan" else 1500
    assert icmp(one.space, two.space, two.address, largest) == one.address
    assert await lan.hosts[0].follower.prepare() == largest


@needs
@pytest.mark.root
async def test_nodes_leave_and_join_and_change_address(lan: Lan) -> None:
    one, two, three = lan.hosts
    await lan.stop(three)
    await lan.client.delete(Node, three.name)
    await eventually(lambda: [len(routes(host)) for host in (one, two)] == [1, 1])
    await eventually(lambda: three.address not in everything(one) + everything(two))
    assert udp(one.pods[0].space, three.pods[0].space, three.pods[0].address) == ""
    # What is for nobody stays here: the cluster's range leads nowhere else.
    with pytest.raises(AssertionError, match=r"unreachable|Invalid argument"):
        one.space.ip(f"route get {three.pods[0].address}")
    await lan.join(three)
    await eventually(lambda: len(routes(one)) == len(routes(two)) == 2)
    await every_pair(lan.hosts, lan.overlay)

    await lan.stop(two)
    old, two.address = two.address, "192.0.2.77"
    two.space.ip(f"addr del {old}/24 dev eth0", "addr add 192.0.2.77/24 dev eth0")
    two.space.ip("route replace default via 192.0.2.254")
    await lan.join(two)
    await eventually(lambda: f"{old} " not in everything(one) + everything(three))
    await every_pair(lan.hosts, lan.overlay)


@needs
@pytest.mark.root
async def test_a_restart_touches_nothing(lan: Lan) -> None:
    one, two = lan.hosts[:2]
    before, link = everything(one), one.space.ip("-o link show type vxlan")
    await lan.stop(one)
    assert everything(one) == before
    events = one.space.call(kernel_events)
    try:
        await lan.start(one)
        with pytest.raises(BlockingIOError):
            events.recv(65536)
    finally:
        events.close()
    assert everything(one) == before
    assert one.space.ip("-o link show type vxlan") == link
    assert udp(one.pods[0].space, two.pods[0].space, two.pods[0].address) == one.pods[0].address


def kernel_events() -> support.socket.socket:
    """All that the kernel tells of links, addresses and routes."""
    sock = support.socket.socket(support.socket.AF_NETLINK, support.socket.SOCK_RAW, 0)
    sock.setblocking(False)
    sock.bind((0, 0x1 | 0x10 | 0x40))
    return sock


@needs
@pytest.mark.root
async def test_what_others_take_away_comes_back_and_what_is_theirs_stays(lan: Lan) -> None:
    one, two = lan.hosts[:2]
    one.space.ip("route add 10.98.99.0/24 via 192.0.2.2", "route add 10.55.0.0/16 via 192.0.2.2 proto 86")
    wanted = routes(one)
    one.space.ip(f"route del {two.cidr}")
    await eventually(lambda: routes(one) == wanted)
    if lan.overlay == "vxlan":
        one.space.ip("link del navarch-vx")
        await eventually(lambda: routes(one) == wanted)
    await every_pair(lan.hosts[:2], lan.overlay)
    await lan.stop(one)
    await one.follower.remove()
    left = one.space.ip("route")
    assert "10.98.99.0/24 via 192.0.2.2" in left
    assert "10.55.0.0/16 via 192.0.2.2" in left
    assert [line for line in left.splitlines() if "proto 86" in line and "10.55" not in line] == []
    assert one.space.ip("link show type vxlan") == ""


@needs
@pytest.mark.root
async def test_one_overlay_takes_the_place_of_another(lan: Lan) -> None:
    other = REACHING[1 - REACHING.index(lan.overlay)]
    for host in lan.hosts:
        await lan.stop(host)
        await lan.start(host, other)
    await every_pair(lan.hosts[1:], other)
    assert ("navarch-vx" in lan.hosts[0].space.ip("link")) == (other == "vxlan")
    for host in lan.hosts:
        await lan.stop(host)
        await lan.start(host, "vxlan", VxlanSettings(vni=7, port=9999, mtu=1400))
    await every_pair(lan.hosts[1:], "vxlan")
    link = lan.hosts[0].space.ip("-d link show navarch-vx")
    assert "mtu 1400" in link
    assert "vxlan id 7 " in link
    assert "dstport 9999" in link
    await lan.stop(lan.hosts[0])
    await lan.start(lan.hosts[0], "none")
    assert routes(lan.hosts[0]) == {}
    assert "navarch-vx" not in lan.hosts[0].space.ip("link")


@needs
@pytest.mark.root
async def test_a_tunnel_that_cannot_be_says_what_to_change() -> None:
    space = support.Space()
    try:
        space.ip("link add other type vxlan id 86 dstport 8472 local 127.0.0.1", "link set other up")
        plan = Vxlan(VxlanSettings()).plan(
            Local("127.0.0.1", "10.98.1.0/24", 1500), [Peer("b", "192.0.2.9", "10.98.2.0/24")]
        )
        with pytest.raises(OverlayError, match=r"another link has the VNI 86 on port 8472: choose"):
            await space.in_thread(lambda: kernel.apply(plan, "navarch-vx", support.CLUSTER))
        with support.sockets(space, support.socket.SOCK_DGRAM, port=8473):
            taken = Vxlan(VxlanSettings(vni=87, port=8473)).plan(
                Local("127.0.0.1", "10.98.1.0/24", 1500), [Peer("b", "192.0.2.9", "10.98.2.0/24")]
            )
            with pytest.raises(OverlayError, match=r"UDP port 8473 is taken: choose another vxlan\.port"):
                await space.in_thread(lambda: kernel.apply(taken, "navarch-vx", support.CLUSTER))
        space.ip("link add taken type bridge")
        with pytest.raises(OverlayError, match=r"link taken is somebody else's"):
            await space.in_thread(lambda: kernel.apply(plan, "taken", support.CLUSTER))
        with pytest.raises(OverlayError, match=r"nodeIP: no link of this host has the address 192\.0\.2\.1"):
            await space.in_thread(lambda: kernel.local("192.0.2.1", ""))
    finally:
        space.close()


class Lacking:
    """Netlink of a kernel without VXLAN."""

    def __init__(self) -> None:
        self._real = IPRoute()

    def link(self, *arguments: Any, **values: Any) -> Any:
        return self._real.link(*arguments, **(values | {"kind": "no-such"} if "kind" in values else values))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@needs
@pytest.mark.root
def test_a_kernel_without_vxlan_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    links = set(os.listdir("/sys/class/net"))
    Vxlan(VxlanSettings()).check()
    assert set(os.listdir("/sys/class/net")) == links
    # A kind of link that no kernel knows stands for one that this kernel lacks: the answer is the same.
    monkeypatch.setattr("pyroute2.IPRoute", Lacking)
    with pytest.raises(OverlayError, match=r"this kernel has no VXLAN: .* set overlay to host-gw or none$"):
        Vxlan(VxlanSettings()).check()


@needs
@pytest.mark.root
async def test_host_gw_across_a_router_names_the_node_and_the_way_out() -> None:
    space = support.Space()
    try:
        space.ip("link add eth0 type bridge", "addr add 192.0.2.1/24 dev eth0", "link set eth0 up")
        peers = [Peer("b", "192.0.2.2", "10.98.2.0/24"), Peer("far", "198.51.100.7", "10.98.3.0/24")]
        plan = make("host-gw", VxlanSettings()).plan(Local("192.0.2.1", "10.98.1.0/24", 1500), peers)
        troubles = await space.in_thread(lambda: kernel.apply(plan, "navarch-vx", support.CLUSTER))
        assert troubles == [
            "node far: host-gw needs its address 198.51.100.7 on a link of this host: set overlay to vxlan"
        ]
        assert "10.98.2.0/24 via 192.0.2.2" in space.ip("route")
    finally:
        space.close()


@needs
@pytest.mark.root
async def test_a_node_that_host_gw_cannot_reach_is_told_of_once(client: LocalClient) -> None:
    lan = Lan(client, "host-gw")
    try:
        host = await asyncio.to_thread(lan.host, 1, 0)
        await lan.join(host)
        await lan.announce(Host("host7", 7, host.space, "198.51.100.7"))
        await eventually(lambda: lan.told)
        await lan.announce(Host("host2", 2, host.space, "192.0.2.2"))
        await eventually(lambda: routes(host) == {"10.98.2.0/24": "192.0.2.2"})
        assert lan.told == [
            "overlay: node host7: host-gw needs its address 198.51.100.7 on a link of this host:"
            " set overlay to vxlan"
        ]
    finally:
        await lan.close()


@needs
@pytest.mark.root
async def test_a_taken_port_is_told_of_and_the_tunnel_comes_when_it_is_free(client: LocalClient) -> None:
    lan = Lan(client, "vxlan")
    try:
        host = await asyncio.to_thread(lan.host, 1, 0)
        with support.sockets(host.space, support.socket.SOCK_DGRAM, port=8472):
            await lan.join(host)  # alone, it needs no tunnel
            await lan.announce(Host("host2", 2, host.space, "192.0.2.2"))
            await eventually(lambda: lan.told)
        assert lan.told == [
            "overlay vxlan: UDP port 8472 is taken: choose another vxlan.port, the same on all nodes"
        ]
        await eventually(lambda: routes(host) == {"10.98.2.0/24": "10.98.2.0"})
    finally:
        await lan.close()


@needs
@pytest.mark.root
async def test_a_host_that_has_its_network_back_waits_for_no_clock(
    client: LocalClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it was away: the time between tries grows, and news ends it."""
    monkeypatch.setattr(follower, "_RETRY", (60.0, 60.0))
    monkeypatch.setattr(follower, "_REST", 0.1)
    lan = Lan(client, "vxlan")
    try:
        one, two = [await asyncio.to_thread(lan.host, number, 1) for number in (1, 2)]
        await lan.join(one)
        await lan.join(two)
        await eventually(lambda: len(routes(one)) == len(routes(two)) == 1)
        two.space.ip(f"addr del {two.address}/24 dev eth0", "link del navarch-vx")
        await eventually(lambda: lan.told)
        await asyncio.sleep(1.0)  # what else the loss brings has been tried in vain
        two.space.ip(f"addr add {two.address}/24 dev eth0", "route replace default via 192.0.2.254")
        await eventually(lambda: len(routes(two)) == 1)
        await every_pair(lan.hosts, lan.overlay)
    finally:
        await lan.close()


def test_peers_that_would_do_harm_are_left_out() -> None:
    here = Local("192.0.2.1", "10.98.1.0/24", 1500)
    peers = [
        Peer("a-good", "192.0.2.2", "10.98.2.0/24"),
        Peer("b-same-machine", "192.0.2.1", "10.98.3.0/24"),
        Peer("c-simulated", "127.0.0.5", "10.98.4.0/24"),
        Peer("d-outside", "192.0.2.3", "10.0.0.0/24"),
        Peer("e-ours", "192.0.2.4", "10.98.1.128/25"),
        Peer("f-twice", "192.0.2.5", "10.98.2.0/25"),
    ]
    good, troubles = fit(here, "10.98.0.0/16", peers)
    assert [peer.name for peer in good] == ["a-good"]
    assert troubles == [
        "node d-outside: pod range 10.0.0.0/24 is outside the cluster's, 10.98.0.0/16",
        "node e-ours: pod range 10.98.1.128/25 overlaps that of this node",
        "node f-twice: pod range 10.98.2.0/25 overlaps that of node a-good",
    ]


@pytest.mark.parametrize(
    ("name", "vxlan", "cluster", "line"),
    [
        ("ipip", {}, "10.98.0.0/16", "overlay: 'ipip' is not vxlan, host-gw or none"),
        ("vxlan", {"vni": 0}, "10.98.0.0/16", "vxlan.vni: 0 is not between 1 and 16777215"),
        ("vxlan", {"port": 70000}, "10.98.0.0/16", "vxlan.port: 70000 is not between 1 and 65535"),
        ("vxlan", {"mtu": 100}, "10.98.0.0/16", "vxlan.mtu: 100 is not between 576 and 65535"),
        (
            "none",
            {},
            "192.0.2.0/24",
            "clusterCIDR: 192.0.2.0/24 holds this node's own address 192.0.2.1:"
            " choose another range for pods",
        ),
    ],
)
def test_bad_settings_are_told_in_one_line(name: str, vxlan: dict[str, int], cluster: str, line: str) -> None:
    assert wrong(name, VxlanSettings(**vxlan), cluster, "192.0.2.1") == line
    assert all(wrong(good, VxlanSettings(), "10.98.0.0/16", "192.0.2.1") == "" for good in NAMES)
