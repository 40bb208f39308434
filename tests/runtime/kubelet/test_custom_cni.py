# SPDX-License-Identifier: GPL-3.0-or-later
"""A user's own CNI configuration is used instead of ours, as a whole: here the distribution's ptp plugin."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubelet_support import SERVES, Cluster, Pods, eventually, fetch, host_pid, ready, rules, sleeper

from navarch.api.core.namespace import Namespace
from navarch.api.core.pod.pod import Pod
from navarch.client.http import HttpClient
from navarch.network.netns import run_in

pytestmark = [
    pytest.mark.docker,
    pytest.mark.root,
    pytest.mark.skipif(
        os.geteuid() != 0
        or not os.path.exists("/var/run/docker.sock")
        or not os.path.exists("/usr/lib/cni/ptp"),
        reason="needs root, a running Docker Engine and containernetworking-plugins",
    ),
]

NUMBER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
CIDR = f"10.99.{240 - 16 * NUMBER}.0/20"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path, CIDR, f"nvown{NUMBER}")
    third = int(CIDR.split(".")[2]) + 7
    # Not the range that the master gives the node.
    cluster.pod_networks = [f"10.99.{third}.0/24"]
    network = {
        "cniVersion": "0.4.0",
        "name": "mine",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": False,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": f"10.99.{third}.0/24"}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                    "dataDir": str(tmp_path / "mine"),
                },
            }
        ],
    }
    (tmp_path / "cni").mkdir()
    (tmp_path / "cni" / "05-mine.conflist").write_text(json.dumps(network))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def shown(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


async def test_ours_is_not_made_and_the_rest_works(own: Cluster) -> None:
    prefix = f"10.99.{int(CIDR.split('.')[2]) + 7}."
    async with HttpClient.from_kubeconfig(own.admin) as client:
        pods = Pods(client, "own")
        await pods.make_namespace()
        serve = "mkdir /www; echo hello > /www/index.html; exec httpd -f -p 8080 -h /www"
        port = {"containerPort": 8080, "hostPort": 21000 + NUMBER}
        await pods.create(
            "web", {"name": "a", "command": ["sh", "-c", serve], "ports": [port], "readinessProbe": SERVES}
        )
        await pods.create("other", {"name": "a", "command": sleeper()})
        web = await pods.running("web")
        other = await pods.running("other")
        assert web.status is not None
        assert other.status is not None
        ip = web.status.pod_ip or ""
        assert ip.startswith(prefix)
        assert (other.status.pod_ip or "").startswith(prefix)
        # Nothing of ours but what services need.
        links = await asyncio.to_thread(shown, "ip", "-o", "link")
        assert own.bridge not in links
        assert "masquerade" not in await rules(own)
        assert not (own.folder / "cni" / "10-navarch.conflist").exists()
        # The pods reach each other by the node, and the node's port leads to its pod.
        pid = host_pid(own.engine, own.sandbox("other"))
        url = f"http://{ip}:8080/"
        assert await fetch(url) == b"hello\n"
        got = await asyncio.to_thread(run_in, pid, lambda: _get(ip))
        assert got.endswith(b"hello\n")
        assert await asyncio.to_thread(run_in, pid, lambda: _asks(own.dns))
        node = await asyncio.to_thread(shown, "ip", "-4", "route", "show", "default")
        assert node
        for name in ("web", "other"):
            await client.delete(Pod, name, "own", grace=0)
        await eventually(lambda: not own.containers(all=True))
        held = {p.name for p in (own.folder / "mine" / "mine").glob("10.*")}
        assert held == set()
        assert ready(web)
        await client.delete(Namespace, "own")


def _get(ip: str) -> bytes:
    import socket

    with socket.create_connection((ip, 8080), 5) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        found = b""
        while data := sock.recv(4096):
            found += data
    return found


def _asks(server: str) -> bool:
    """Whether the node's DNS answers this namespace."""
    import socket

    query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
    query += b"\x0akubernetes\x07default\x03svc\x07cluster\x05local\x00\x00\x01\x00\x01"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.sendto(query, (server, 53))
        return sock.recv(4096)[:2] == b"\x12\x34"
