# SPDX-License-Identifier: GPL-3.0-or-later
"""The node's own rules, in a namespace of the test's: they come back when flushed, and go without a trace."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable

import pytest
from overlay_support import Space

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        os.geteuid() != 0 or not all(map(shutil.which, ("ip", "nft", "iptables-legacy", "nsenter"))),
        reason="needs root, iproute2, nftables, iptables and nsenter",
    ),
]

BRIDGE, CLUSTER, PODS = "navarch0", "10.98.0.0/16", "10.98.1.0/24"

_KEEP = f"""
import asyncio, sys
from navarch.network.host import HostNetwork, PortMapping
async def main():
    direct = ["10.98.4.0/22", "10.1.0.0/16"]
    host = HostNetwork({BRIDGE!r}, {CLUSTER!r}, dns="169.254.20.10", port=10250, direct=direct)
    host.restore({{"pod": [PortMapping(8080, "tcp", "", "10.98.1.9", 80)]}})
    await host.apply({PODS!r})
    keeping = asyncio.create_task(host.keep(lambda: print("lost", flush=True)))
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    await host.remove()
asyncio.run(main())
"""

#: What stands for others: a strict firewall of iptables, of its legacy twin, and a table of nftables.
_OTHERS = """
iptables -P INPUT DROP
iptables -P FORWARD DROP
iptables -A FORWARD -j REJECT
iptables -A INPUT -i other0 -j ACCEPT
iptables-legacy -P FORWARD DROP
iptables-legacy -A INPUT -j DROP
nft add table ip others
nft add chain ip others forward { type filter hook forward priority 5 ; policy accept ; }
ip route add blackhole 10.77.0.0/16
"""


class Kept:
    def __init__(self, space: Space, process: asyncio.subprocess.Process) -> None:
        self.space = space
        self.process = process

    def shown(self) -> dict[str, str]:
        """All of ours, by where it is."""
        run = self.space.run
        return {
            "nft": run("nft", "list", "table", "ip", "navarch"),
            "route": run("ip", "route", "show", CLUSTER),
            **{
                program: "\n".join(
                    sorted(line for line in run(program, "-S").splitlines() if "--comment navarch" in line)
                )
                for program in ("iptables", "iptables-legacy")
            },
        }


def everything(space: Space) -> str:
    """What the kernel holds in this namespace, without counters."""
    commands = (
        "nft list ruleset",
        "iptables -S",
        "iptables-legacy -S",
        "ip -4 route show table all",
        "ip -o link",
    )
    return "\n".join(space.run(*command.split()) for command in commands)


@pytest.fixture
async def kept() -> AsyncIterator[Kept]:
    space = Space()
    try:
        space.ip("link add up0 type bridge", "addr add 192.0.2.1/24 dev up0", "link set up0 up")
        for line in _OTHERS.strip().splitlines():
            space.run(*line.split())
        before = everything(space)
        process = await asyncio.create_subprocess_exec(
            *("nsenter", "-t", str(space.pid), "-n", sys.executable, "-c", _KEEP),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            assert await process.stdout.readline() == b"ready\n"
            yield Kept(space, process)
            process.stdin.write(b"\n")
            async with asyncio.timeout(20):
                assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert everything(space) == before
    finally:
        space.close()


async def again(check: Callable[[], bool], seconds: float) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        try:
            if await asyncio.to_thread(check):
                return
        except AssertionError:
            pass
        assert loop.time() < end, "it did not come back"
        await asyncio.sleep(0.05)


async def test_what_is_flushed_comes_back_and_all_of_it_goes_in_the_end(kept: Kept) -> None:
    wanted = kept.shown()
    assert wanted["iptables"] == wanted["iptables-legacy"]
    assert wanted["iptables"].count("ACCEPT") == 8, wanted["iptables"]
    assert "ip daddr != { 10.1.0.0/16, 10.98.0.0/16 }" in wanted["nft"]
    assert "tcp dport 8080 dnat to 10.98.1.9:80" in wanted["nft"]
    # Ours stand before whatever drops.
    forward = kept.space.run("iptables", "-S", "FORWARD").splitlines()
    assert forward.index("-A FORWARD -j REJECT --reject-with icmp-port-unreachable") == len(forward) - 1
    # The news of nf_tables wakes it at once; in the legacy tables it looks every ten seconds.
    for command, seconds in (
        ("nft delete table ip navarch", 7.0),
        ("nft flush chain ip navarch postrouting", 7.0),
        ("iptables -D FORWARD -i navarch0 -m comment --comment navarch -j ACCEPT", 7.0),
        ("iptables-legacy -D FORWARD -i navarch0 -m comment --comment navarch -j ACCEPT", 20.0),
        ("ip route del blackhole 10.98.0.0/16", 20.0),
    ):
        kept.process.send_signal(signal.SIGSTOP)  # until we have seen that something is missing
        await asyncio.to_thread(kept.space.run, *command.split())
        if "table" not in command:
            assert await asyncio.to_thread(kept.shown) != wanted
        kept.process.send_signal(signal.SIGCONT)
        await again(lambda: kept.shown() == wanted, seconds)


async def test_where_the_cloud_routes_pods_leave_by_the_default_route() -> None:
    space = Space()
    try:
        for guarded in (True, False):
            apply = f"asyncio.run(HostNetwork({BRIDGE!r}, {CLUSTER!r}, guarded={guarded}).apply({PODS!r}))"
            code = f"import asyncio; from navarch.network.host import HostNetwork; {apply}"
            await asyncio.to_thread(space.run, sys.executable, "-c", code)
            assert ("blackhole" in space.run("ip", "route", "show", CLUSTER)) is guarded
    finally:
        space.close()


async def test_a_flush_of_everything_is_survived() -> None:
    space = Space()
    process = await asyncio.create_subprocess_exec(
        *("nsenter", "-t", str(space.pid), "-n", sys.executable, "-c", _KEEP),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        before = space.run("nft", "list", "ruleset")
        for _ in range(3):
            await asyncio.to_thread(space.run, "nft", "flush", "ruleset")
            async with asyncio.timeout(20):
                assert await process.stdout.readline() == b"lost\n"
            await again(lambda: sorted(space.run("nft", "list", "ruleset")) == sorted(before), 20.0)
    finally:
        process.kill()
        await process.wait()
        space.close()
