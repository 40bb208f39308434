# SPDX-License-Identifier: GPL-3.0-or-later
"""Throughput between pods on two hosts beside that between the hosts, by iperf3, for each overlay: over a
wire of 10 Gbit/s, and without one.

Between containers there is no wire: what limits both is the processors, of which a pod's way takes more, as
anywhere. A token bucket on each host's interface (tc-tbf) is the wire that machines have. The hosts are
containers on a network of their own (tools/hosts.sh), the cluster on them is made by the roles. Runs of hosts
and pods take turns, so that what else the machine does meets both. iperf3 is the hosts' own, started in the
network of a pod.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.cluster import ROOT, report

BIN = Path(sys.executable).parent
NAME = "navarch-bench"
HOSTS = {"HOSTS_NAME": NAME, "HOSTS_SUBNET": "172.31.90.0/24"}
FOLDER = ROOT / "build" / "hosts" / NAME
IMAGE = "navarch-bench/busybox:1"
NODES = (1, 2)
OVERLAYS = ("host-gw", "vxlan")
#: Gbit/s of the wire; 0 is none.
WIRES = (10, 0)
TURNS = 5
SECONDS = 4


def _run(*command: str | Path, stdin: str = "", **env: str) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        env={**os.environ, **env},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def _on(node: int, *command: str, stdin: str = "") -> str:
    return _run("docker", "exec", "-i", f"{NAME}-{node}", *command, stdin=stdin)


def _site(overlay: str) -> None:
    _run(
        BIN / "ansible-playbook", "-i", FOLDER / "inventory.yml", "navarch.cluster.site",
        "-e", f"kubelet_overlay={overlay}", ANSIBLE_CONFIG=str(ROOT / "tools/ansible/ansible.cfg"),
    )  # fmt: skip


def _kubectl(*words: str, stdin: str = "") -> str:
    return _run(BIN / "kubectl", "--kubeconfig", FOLDER / "admin.conf", *words, stdin=stdin)


def _pod(node: int) -> dict[str, Any]:
    main = {
        "name": "main",
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "command": ["/busybox", "sleep", "100000"],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"bench-{node}"},
        "spec": {"nodeName": f"node{node}", "terminationGracePeriodSeconds": 0, "containers": [main]},
    }


def _cluster() -> None:
    """Two hosts, a cluster on them, a pod on each."""
    _run(ROOT / "tools/hosts.sh", "up", str(len(NODES)), **HOSTS)
    _site(OVERLAYS[0])
    address = _run(
        "docker", "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", f"{NAME}-1"
    ).strip()
    config = FOLDER / "admin.conf"
    config.touch(mode=0o600)
    config.write_text(
        _on(1, "cat", "/etc/navarch/admin.conf").replace("https://127.0.0.1:", f"https://{address}:")
    )
    for node in NODES:
        _on(node, "sh", "-c", f"tar -C /bin -c busybox | docker import - {IMAGE}")
    objects = {"apiVersion": "v1", "kind": "List", "items": [_pod(node) for node in NODES]}
    _kubectl("apply", "-f", "-", stdin=json.dumps(objects))
    _kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=120s")


def _network(node: int) -> list[str]:
    """The command that enters the network of a node's pod."""
    chosen = f"docker ps -q -f label=navarch.io/pod-name=bench-{node} | head -n 1"
    pid = _on(node, "sh", "-c", f"docker inspect -f '{{{{.State.Pid}}}}' $({chosen})").strip()
    return ["nsenter", "-t", pid, "-n"]


def _bits(inside: dict[int, list[str]], target: str) -> float:
    """Gbit/s of one run from node 2 to node 1."""
    server = subprocess.Popen(
        ["docker", "exec", f"{NAME}-1", *inside[1], "timeout", "300", "iperf3", "-s", "-1"],
        stdout=subprocess.DEVNULL,
    )
    try:
        for _ in range(50):
            told = _on(2, *inside[2], "sh", "-c", f"iperf3 -c {target} -t {SECONDS} -O 1 -J || true")
            end = json.loads(told)["end"]
            if "sum_received" in end:
                return float(end["sum_received"]["bits_per_second"]) / 1e9
            time.sleep(0.1)  # the server does not listen yet
        raise RuntimeError(f"no iperf3 to {target}: {told[-500:]}")
    finally:
        server.wait()


def _wire(gbits: int) -> None:
    for node in NODES:
        if gbits:
            bucket = ("tbf", "rate", f"{gbits}gbit", "burst", "4mb", "latency", "50ms")
            _on(node, "tc", "qdisc", "replace", "dev", "eth0", "root", *bucket)
        else:
            _on(node, "tc", "qdisc", "del", "dev", "eth0", "root")


def _measure(overlay: str, wire: int) -> None:
    pods = {node: _network(node) for node in NODES}
    nowhere: dict[int, list[str]] = {node: [] for node in NODES}
    host = json.loads(_kubectl("get", "node", "node1", "-o", "json"))["status"]["addresses"]
    address = next(a["address"] for a in host if a["type"] == "InternalIP")
    pod = json.loads(_kubectl("get", "pod", "bench-1", "-o", "json"))["status"]["podIP"]
    between: list[tuple[float, float]] = []
    for turn in range(TURNS):
        pair = ((nowhere, address), (pods, pod))
        found = [_bits(*where) for where in (pair if turn % 2 == 0 else pair[::-1])]
        between.append((found[0], found[1]) if turn % 2 == 0 else (found[1], found[0]))
    hosts = statistics.median(h for h, _ in between)
    report(
        f"throughput_{overlay.replace('-', '_')}" + ("" if wire else "_without_a_wire"),
        statistics.median(p / h for h, p in between),
        "x between hosts",
        pods_gbits=statistics.median(p for _, p in between),
        hosts_gbits=hosts,
        wire_gbits=wire,
        turns=TURNS,
    )


def main() -> None:
    try:
        _cluster()
        for overlay in OVERLAYS:
            if overlay != OVERLAYS[0]:
                _site(overlay)
                time.sleep(3)
            for wire in WIRES:
                _wire(wire)
                _measure(overlay, wire)
    finally:
        _run(ROOT / "tools/hosts.sh", "down", **HOSTS)
