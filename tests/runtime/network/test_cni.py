# SPDX-License-Identifier: GPL-3.0-or-later
"""CNI with the distribution's real plugins, and the host's rules, on a bridge of the test's own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from navarch.network import conf
from navarch.network.cni import Cni, CniError
from navarch.network.host import HostNetwork, PortMapping
from navarch.network.netns import connect, prepare, run_in

PLUGINS = "/usr/lib/cni"
NUMBER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
BRIDGE = f"nvcni{NUMBER}"
CIDR = f"10.97.{NUMBER}.0/29"

needs = pytest.mark.skipif(
    os.geteuid() != 0 or not os.path.exists(f"{PLUGINS}/bridge"),
    reason="needs root and containernetworking-plugins",
)


def place(folder: Path) -> Cni:
    """A Cni on the folder's files, as a kubelet that starts makes it."""
    ipam = str(folder / "ipam")
    conf.write(str(folder / "net.d"), conf.bridge_network([CIDR], BRIDGE, ipam))
    cni = Cni([PLUGINS], str(folder / "net.d"), folder / "sandboxes")
    cni.load()
    return cni


@pytest.fixture
def bridge() -> Iterator[None]:
    yield
    subprocess.run(["ip", "link", "del", BRIDGE], capture_output=True, check=False)


@pytest.fixture
def pids() -> Iterator[list[int]]:
    """Processes with network namespaces of their own."""
    processes = [subprocess.Popen(["unshare", "-n", "sleep", "60"]) for _ in range(2)]
    for process in processes:
        while os.readlink(f"/proc/{process.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
            pass
    yield [process.pid for process in processes]
    for process in processes:
        process.kill()
        process.wait()


def held(folder: Path) -> set[str]:
    return {p.name for p in (folder / "ipam" / "navarch").glob("10.*")}


@needs
@pytest.mark.root
async def test_addresses_live_as_long_as_their_sandboxes(
    tmp_path: Path, bridge: None, pids: list[int]
) -> None:
    cni = place(tmp_path)
    first = await cni.add("a" * 64, pids[0], uid="1", namespace="n", pod="one")
    second = await cni.add("b" * 64, pids[1], uid="2", namespace="n", pod="two")
    assert held(tmp_path) == {*first, *second}
    await cni.check("a" * 64, pids[0])
    assert await cni.add("a" * 64, pids[0], uid="1", namespace="n", pod="one") == first
    # A kubelet that starts anew knows them, and gives back what no sandbox has any more.
    later = place(tmp_path)
    assert later.ips("b" * 64) == second
    await later.reconcile({"b" * 64})
    assert held(tmp_path) == set(second)
    await later.delete("b" * 64, pids[1])
    await later.delete("b" * 64, pids[1])
    assert held(tmp_path) == set()


@needs
@pytest.mark.root
async def test_an_address_held_without_a_record_is_found(
    tmp_path: Path, bridge: None, pids: list[int]
) -> None:
    cni = place(tmp_path)
    await cni.add("c" * 64, pids[0], uid="1", namespace="n", pod="one")
    for record in (tmp_path / "sandboxes").iterdir():
        record.unlink()
    later = place(tmp_path)
    await later.reconcile(set())
    assert held(tmp_path) == set()


@needs
@pytest.mark.root
async def test_an_attachment_cut_short_is_done_again(tmp_path: Path, bridge: None, pids: list[int]) -> None:
    cni = place(tmp_path)
    first = await cni.add("d" * 64, pids[0], uid="1", namespace="n", pod="one")
    record = tmp_path / "sandboxes" / f"{'d' * 64}.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"result": None}))
    later = place(tmp_path)
    assert later.ips("d" * 64) == []
    again = await later.add("d" * 64, pids[0], uid="1", namespace="n", pod="one")
    assert held(tmp_path) == set(again)
    assert len(first) == len(again) == 1
    await later.delete("d" * 64, pids[0])


@needs
@pytest.mark.root
async def test_a_range_that_is_used_up_says_so_and_leaks_nothing(
    tmp_path: Path, bridge: None, pids: list[int]
) -> None:
    cni = place(tmp_path)
    await cni.add("0" * 64, pids[0], uid="1", namespace="n", pod="one")
    for n in range(1, 5):
        path = tmp_path / "ipam" / "navarch" / f"10.97.{NUMBER}.{n + 2}"
        path.write_text("f" * 64 + "\r\neth0")
    with pytest.raises(CniError, match="no IP addresses available"):
        await cni.add("e" * 64, pids[1], uid="2", namespace="n", pod="two")
    assert not (tmp_path / "sandboxes" / f"{'e' * 64}.json").exists()
    await cni.delete("0" * 64, pids[0])


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
async def test_a_failing_plugin_is_told_in_one_line(tmp_path: Path, pids: list[int]) -> None:
    plugin = tmp_path / "bin" / "broken"
    plugin.parent.mkdir()
    plugin.write_text('#!/bin/sh\necho \'{"code": 7, "msg": "no luck", "details": "today"}\'\nexit 1\n')
    plugin.chmod(0o755)
    (tmp_path / "net.d").mkdir()
    network = {"cniVersion": "1.0.0", "name": "x", "plugins": [{"type": "broken"}]}
    (tmp_path / "net.d" / "05-own.conflist").write_text(json.dumps(network))
    conf.write(str(tmp_path / "net.d"), conf.bridge_network([CIDR], BRIDGE, str(tmp_path / "ipam")))
    cni = Cni([str(plugin.parent)], str(tmp_path / "net.d"), tmp_path / "sandboxes")
    cni.load()
    with pytest.raises(CniError, match="no luck; today"):
        await cni.add("d" * 64, pids[0], uid="1", namespace="n", pod="one")


async def test_nothing_is_plugged_into_the_nodes_own_network(tmp_path: Path) -> None:
    with pytest.raises(CniError, match="the node's own network"):
        await place(tmp_path).add("d" * 64, os.getpid(), uid="1", namespace="n", pod="one")
    assert held(tmp_path) == set()


async def test_missing_configuration_and_plugins_are_named(tmp_path: Path) -> None:
    cni = Cni([str(tmp_path)], str(tmp_path / "none"), tmp_path / "sandboxes")
    cni.load()
    with pytest.raises(CniError, match="no CNI configuration in"):
        cni.check_plugins()
    conf.write(str(tmp_path / "none"), conf.bridge_network([CIDR], BRIDGE, str(tmp_path / "ipam")))
    cni.forget_network()
    told = f"CNI plugin 'bridge' is in none of {tmp_path}: install containernetworking-plugins, or name its"
    with pytest.raises(CniError, match=f"^{told} folder in cniBinDirs$"):
        cni.check_plugins()


def test_our_file_is_written_once(tmp_path: Path) -> None:
    network = conf.bridge_network([CIDR], BRIDGE, "/x")
    assert conf.write(str(tmp_path), network)
    assert not conf.write(str(tmp_path), network)
    assert conf.first(str(tmp_path)) == network


@needs
@pytest.mark.root
async def test_the_hosts_rules_are_ours_alone_and_go_again() -> None:
    host = HostNetwork(BRIDGE, f"10.97.{NUMBER}.0/24")

    def shown(*command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    try:
        await host.apply(CIDR)
        await host.apply(CIDR)
        await host.set_ports("u", [PortMapping(31234, "tcp", "", "10.97.0.3", 80)])
        table = await asyncio.to_thread(shown, "nft", "list", "table", "ip", f"navarch_{BRIDGE}")
        assert "tcp dport 31234 dnat to 10.97.0.3:80" in table
        forward = await asyncio.to_thread(shown, "iptables", "-w", "-S", "FORWARD")
        assert forward.count(f"o {BRIDGE}") + forward.count(f"i {BRIDGE}") == 2
        assert forward.count(f"10.97.{NUMBER}.0/24") == 2
        routes = await asyncio.to_thread(shown, "ip", "route", "show", "type", "blackhole")
        assert f"10.97.{NUMBER}.0/24" in routes
        # Somebody flushes: the next look puts it back.
        await asyncio.to_thread(shown, "nft", "delete", "table", "ip", f"navarch_{BRIDGE}")
        await host.apply(CIDR)
        assert "31234" in await asyncio.to_thread(shown, "nft", "list", "table", "ip", f"navarch_{BRIDGE}")
    finally:
        await host.remove()
    forward = await asyncio.to_thread(shown, "iptables", "-w", "-S", "FORWARD")
    assert BRIDGE not in forward
    assert f"10.97.{NUMBER}.0/24" not in forward
    assert await asyncio.to_thread(shown, "nft", "list", "table", "ip", f"navarch_{BRIDGE}") == ""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_work_inside_a_namespace_leaves_the_thread_outside(pids: list[int]) -> None:
    before = os.readlink("/proc/self/ns/net")
    prepare(pids[0], {"net.ipv4.ip_unprivileged_port_start": "80"})
    assert run_in(pids[0], lambda: os.readlink("/proc/thread-self/ns/net")) != before
    assert os.readlink("/proc/thread-self/ns/net") == before
    read = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text
    assert (run_in(pids[0], read), read()) == ("80\n", "1024\n")
    with pytest.raises(ConnectionRefusedError):
        connect(pids[0], "127.0.0.1", 9, 1.0)
