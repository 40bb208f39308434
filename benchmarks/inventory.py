# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory `nodes`: what listing 10,000 instances of an API on loopback takes, with groups and variables
made of what it says.

The API answers with pages made beforehand. The time is that of `ansible-inventory --host`: what every command
with this inventory takes before it begins. For Ansible to print all of it by `--list` takes longer.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.ansible import controller
from benchmarks.cluster import report

INSTANCES, PAGE, ROUNDS = 10_000, 500, 3
ZONES = ("us-central1-a", "us-central1-b", "europe-west1-b", "europe-west1-c")
#: As people have it: groups by a label and by zone, one by a condition, one variable of two others.
FILE = {
    "plugin": "navarch.cluster.nodes",
    "strict": True,
    "keyed_groups": [{"key": "zone", "prefix": "zone"}, {"key": "labels.role", "prefix": "role"}],
    "groups": {"public": "public_ip is not none"},
    "compose": {"place": "zone ~ '/' ~ size"},
}


def _instance(number: int) -> dict[str, Any]:
    """As large as the API's answers are."""
    zone, name = ZONES[number % len(ZONES)], f"ship-{number}"
    base = "https://www.googleapis.com/compute/v1/projects/ship"
    high, low = divmod(number, 250)
    return {
        "kind": "compute#instance",
        "id": str(4_000_000_000_000_000_000 + number),
        "creationTimestamp": "2026-01-02T03:04:05.678-07:00",
        "name": name,
        "tags": {"items": ["ship", "web"], "fingerprint": "42WmSpB8rSM="},
        "machineType": f"{base}/zones/{zone}/machineTypes/e2-medium",
        "status": "RUNNING",
        "zone": f"{base}/zones/{zone}",
        "canIpForward": True,
        "networkInterfaces": [
            {
                "kind": "compute#networkInterface",
                "name": "nic0",
                "network": f"{base}/global/networks/default",
                "subnetwork": f"{base}/regions/{zone[:-2]}/subnetworks/default",
                "networkIP": f"10.128.{high}.{low + 2}",
                "accessConfigs": [{"type": "ONE_TO_ONE_NAT", "natIP": f"203.0.{high}.{low + 2}"}],
                "fingerprint": "42WmSpB8rSM=",
            }
        ],
        "disks": [
            {
                "type": "PERSISTENT",
                "mode": "READ_WRITE",
                "source": f"{base}/zones/{zone}/disks/{name}",
                "boot": True,
                "autoDelete": True,
                "licenses": [
                    "https://www.googleapis.com/compute/v1/projects/debian-cloud/global/licenses/debian-12"
                ],
                "diskSizeGb": "10",
            }
        ],
        "metadata": {"items": [{"key": "ssh-keys", "value": "navarch:ssh-ed25519 " + "A" * 68}]},
        "selfLink": f"{base}/zones/{zone}/instances/{name}",
        "scheduling": {"onHostMaintenance": "MIGRATE", "automaticRestart": True, "preemptible": False},
        "cpuPlatform": "Intel Broadwell",
        "labels": {"navarch-cluster": "ship", "role": f"role-{number % 7}"},
        "labelFingerprint": "42WmSpB8rSM=",
        "deletionProtection": False,
    }


def _pages() -> dict[str, bytes]:
    """The list's pages by their tokens."""
    pages = {}
    for start in range(0, INSTANCES, PAGE):
        scopes: dict[str, Any] = {}
        for number in range(start, min(start + PAGE, INSTANCES)):
            zone = scopes.setdefault(f"zones/{ZONES[number % len(ZONES)]}", {"instances": []})
            zone["instances"].append(_instance(number))
        page = {"kind": "compute#instanceAggregatedList", "items": scopes}
        if start + PAGE < INSTANCES:
            page["nextPageToken"] = f"from-{start + PAGE}"
        pages[f"from-{start}" if start else ""] = json.dumps(page).encode()
    return pages


def _serve(pipe: Connection) -> None:
    pages = _pages()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = pages[self.path.partition("pageToken=")[2].partition("&")[0]]
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            self.wfile.write(head.encode() + body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pipe.send(server.server_port)
    pipe.recv()


@contextmanager
def _api() -> Iterator[str]:
    """The address of an API of the project `ship`, in a process of its own."""
    here, there = Pipe()
    process = Process(target=_serve, args=(there,))
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}/compute/v1"
    finally:
        here.send(None)
        process.join(10)


def _asked(path: Path, environment: dict[str, str], *words: str) -> tuple[float, float, str]:
    """Seconds, those of processors, and what it said, of one ansible-inventory."""
    command = [str(Path(sys.executable).parent / "ansible-inventory"), "-i", str(path), *words]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def main() -> None:
    with _api() as url, tempfile.TemporaryDirectory() as name, controller() as environment:
        path = Path(name, "fleet.navarch.yml")
        source = {"type": "gce", "api_url": url, "access_token": "bench", "projects": ["ship"]}
        path.write_text(json.dumps(FILE | {"sources": [source]}))
        listed = _asked(path, environment, "--list")
        hosts = json.loads(listed[2])
        if len(hosts["_meta"]["hostvars"]) != INSTANCES or len(hosts["role_role_3"]["hosts"]) != len(
            range(3, INSTANCES, 7)
        ):
            raise RuntimeError("not all instances, or not all in their groups, are in the inventory")
        runs = [_asked(path, environment, "--host", "ship-1")[:2] for _round in range(ROUNDS)]
        wall, cpu = map(min, zip(*runs, strict=True))
        report(
            "inventory_10000", wall, "s", cpu_s=cpu, whole_list_s=listed[0], instances=INSTANCES,
        )  # fmt: skip


if __name__ == "__main__":
    main()
