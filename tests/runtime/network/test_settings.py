# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad network settings are refused by master and kubelet in one line that says what to change."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from overlay_support import Space

from navarch.network.address import network_of, overlapping

pytestmark = pytest.mark.root

MASTER, KUBELET = "master", "kubelet"


@pytest.fixture(scope="module")
def host() -> Iterator[Space]:
    """A host with the address 198.51.100.7/24 and a default route."""
    space = Space()
    space.ip(
        "link add eth0 type bridge",
        "addr add 198.51.100.7/24 dev eth0",
        "link set eth0 up",
        "route add default via 198.51.100.1",
    )
    yield space
    space.close()


OVERLAP = "overlaps the hosts' own network 198.51.100.0/24: choose another range"


@pytest.mark.parametrize(
    ("who", "text", "line"),
    [
        (MASTER, "clusterCIDR: 198.51.0.0/16", f"clusterCIDR: 198.51.0.0/16 {OVERLAP}"),
        (MASTER, "serviceCIDR: 198.51.100.128/25", f"serviceCIDR: 198.51.100.128/25 {OVERLAP}"),
        (KUBELET, "clusterCIDR: 198.51.100.128/25", f"clusterCIDR: 198.51.100.128/25 {OVERLAP}"),
        (KUBELET, "serviceCIDR: 198.51.0.0/16", f"serviceCIDR: 198.51.0.0/16 {OVERLAP}"),
        (
            MASTER,
            "serviceCIDR: 10.244.1.0/24",
            "serviceCIDR: 10.244.1.0/24 overlaps clusterCIDR 10.244.0.0/16: choose another range",
        ),
        (
            KUBELET,
            "serviceCIDR: 10.244.1.0/24",
            "serviceCIDR: 10.244.1.0/24 overlaps clusterCIDR 10.244.0.0/16: choose another range",
        ),
        (
            MASTER,
            "nodeCIDRMaskSize: 12",
            "nodeCIDRMaskSize: 12 does not fit into clusterCIDR 10.244.0.0/16:"
            " choose from 16 (one node) to 30",
        ),
        (
            MASTER,
            "advertiseAddress: '2001:db8::1'",
            "advertiseAddress: 2001:db8::1 is IPv6, and services are IPv4: give an IPv4 one",
        ),
        (KUBELET, "vxlan: {vni: 16777216}", "vxlan.vni: 16777216 is not between 1 and 16777215"),
        (KUBELET, "vxlan: {mtu: 90}", "vxlan.mtu: 90 is not between 576 and 65535"),
        (KUBELET, "overlay: gre", "overlay: 'gre' is not vxlan, host-gw or none"),
        (
            KUBELET,
            "nonMasqueradeCIDRs: [10.0.0.1/8]",
            "nonMasqueradeCIDRs: 10.0.0.1/8 has host bits set",
        ),
        (
            KUBELET,
            "nodeLabels: {a b: c}",
            "nodeLabels: a b=c: name part must be letters, digits, '-', '_' and '.', and start and end with a"
            " letter or digit (such as 'MyName' or 'my.name')",
        ),
        (
            KUBELET,
            "taints: [{key: '', effect: NoSchedule}]",
            "taints: =: name part must not be empty",
        ),
    ],
)
def test_a_bad_range_is_refused_in_one_line(
    tmp_path: Path, host: Space, who: str, text: str, line: str
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(text + "\n")
    command = ("nsenter", "-t", str(host.pid), "-n", sys.executable, "-m", "navarch", who)
    done = subprocess.run(
        [*command, "--check", "--config", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.strip() == f"navarch {who}: {file}: {line}"


def test_fit_settings_are_fit(tmp_path: Path, host: Space) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("clusterCIDR: 198.51.96.0/22\nserviceCIDR: 198.51.101.0/24\n")
    for who in (MASTER, KUBELET):
        host.run(sys.executable, "-m", "navarch", who, "--check", "--config", str(file))


def test_a_host_without_plugins_is_refused_in_one_line(tmp_path: Path, host: Space) -> None:
    """As the kubelet role asks before it makes the kubelet a service."""
    file, folder = tmp_path / "kubelet.yaml", tmp_path / "bin"
    folder.mkdir()
    file.write_text(f"cniBinDirs: [{folder}]\ncniConfDir: {tmp_path}\n")
    command = ("nsenter", "-t", str(host.pid), "-n", sys.executable, "-m", "navarch", KUBELET)
    check = [*command, "--check", "--config", str(file)]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        2,
        f"navarch kubelet: {file}: cniBinDirs: CNI plugin 'bridge' is in none of {folder}:"
        " install containernetworking-plugins, or name its folder in cniBinDirs\n",
    )
    # A user's own network brings its programs as it likes.
    (tmp_path / "05-own.conflist").write_text('{"name": "own", "plugins": [{"type": "mine"}]}')
    subprocess.run(check, check=True)


def test_the_network_of_an_address(host: Space) -> None:
    assert str(host.call(lambda: network_of("198.51.100.7"))) == "198.51.100.0/24"
    assert host.call(lambda: network_of("198.51.100.8")) is None
    assert host.call(lambda: overlapping("198.51.100.7", clusterCIDR="10.0.0.0/8")) == ""


_FOLLOW = """
import asyncio
from navarch.network.address import OwnAddress
address = OwnAddress()
print(address.now, flush=True)
address.listen(lambda: print(address.now, flush=True))
asyncio.run(address.run())
"""


async def test_the_nodes_address_follows_the_hosts() -> None:
    space = Space()
    try:
        space.ip("link add eth0 type bridge", "addr add 198.51.100.7/24 dev eth0", "link set eth0 up")
        space.ip("route add default via 198.51.100.1")
        process = await asyncio.create_subprocess_exec(
            *("nsenter", "-t", str(space.pid), "-n", sys.executable, "-c", _FOLLOW),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            assert await process.stdout.readline() == b"198.51.100.7\n"
            # A lease that ends and comes back the same is no news; what was is kept meanwhile.
            for address in ("198.51.100.7", "198.51.100.9", "203.0.113.4"):
                space.ip("addr flush dev eth0", f"addr add {address}/24 dev eth0")
                space.ip(f"route replace default via {address.rpartition('.')[0]}.1")
                if address != "198.51.100.7":
                    async with asyncio.timeout(15):
                        assert await process.stdout.readline() == f"{address}\n".encode()
                else:
                    await asyncio.sleep(1)
        finally:
            process.kill()
            await process.wait()
    finally:
        space.close()
