# SPDX-License-Identifier: GPL-3.0-or-later
"""Three hosts, a cluster on them by the roles, and a pod or two on each. How tests reach all that is here."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
BIN = ROOT / ".venv" / "bin"
#: Others than these let two runs go on beside each other.
NAME = os.environ.get("HOSTS_NAME", "navarch-e2e")
SUBNET = os.environ.get("HOSTS_SUBNET", "172.31.87.0/24")
NODES = ("node1", "node2", "node3")
IMAGE = "navarch-e2e/busybox:1"
PROBE = "/run/probe.py"
#: Leave the cluster as it is at the end, and find it again the next time: for who works on these tests.
KEEP = bool(os.environ.get("KEEP_HOSTS"))
TOOLS = {"HOSTS_NAME": NAME, "HOSTS_SUBNET": SUBNET}

Done = subprocess.CompletedProcess[str]


def run(*command: str | Path, seconds: float = 120, stdin: str | bytes = "", **env: str) -> Done:
    data = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        env={**os.environ, "LC_ALL": "C.UTF-8", **env},
        input=data,
        capture_output=True,
        timeout=seconds,
        check=False,
    )
    return Done(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    deadline = time.monotonic() + seconds
    last: object = None
    while time.monotonic() < deadline:
        try:
            if last := condition():
                return last
        except (AssertionError, KeyError, ValueError) as error:
            last = error
        time.sleep(0.3)
    pytest.fail(f"not within {seconds} s: {what}; last seen: {last!r}")


@dataclass(frozen=True)
class Spot:
    """A place to ask from or to be asked: a pod (its sandbox's process on the node) or a node (pid 1)."""

    name: str
    node: str
    address: str
    pid: int = 1
    #: As what others see it.
    seen: str = ""


@dataclass
class Hosts:
    folder: Path
    servers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def on(self, node: str, *command: str, stdin: str | bytes = "", seconds: float = 60) -> str:
        done = run("docker", "exec", "-i", f"{NAME}-{node[4:]}", *command, stdin=stdin, seconds=seconds)
        assert done.returncode == 0, f"{node}: {' '.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout

    def address(self, node: str) -> str:
        form = f'{{{{(index .NetworkSettings.Networks "{NAME}").IPAddress}}}}'
        return run("docker", "inspect", "-f", form, f"{NAME}-{node[4:]}").stdout.strip()

    def playbook(self, name: str, *words: str, seconds: float = 900) -> str:
        done = run(
            BIN / "ansible-playbook",
            "-i",
            ROOT / "build" / "hosts" / NAME / "inventory.yml",
            name if name.endswith(".yml") else f"navarch.cluster.{name}",
            *words,
            seconds=seconds,
            ANSIBLE_CONFIG=str(ROOT / "tools" / "ansible" / "ansible.cfg"),
        )
        assert done.returncode == 0, f"{name}: {done.stdout[-5000:]}{done.stderr[-2000:]}"
        return done.stdout

    def write_inventory(self) -> None:
        """Anew, as a host has changed its address."""
        done = run(ROOT / "tools" / "hosts.sh", "inventory", "3", **TOOLS)
        assert done.returncode == 0, done.stdout + done.stderr

    def kubectl(self, *words: str, stdin: str = "") -> str:
        done = run(BIN / "kubectl", "--kubeconfig", self.folder / "admin.conf", *words, stdin=stdin)
        assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    def apply(self, *objects: dict[str, Any]) -> None:
        self.kubectl(
            "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        )

    def get(self, *words: str) -> Any:
        return json.loads(self.kubectl("get", *words, "-o", "json"))

    def ready(self) -> list[str]:
        return [
            node["metadata"]["name"]
            for node in self.get("nodes")["items"]
            for condition in node["status"]["conditions"]
            if condition["type"] == "Ready" and condition["status"] == "True"
        ]

    def untainted(self) -> list[str]:
        nodes = self.get("nodes")["items"]
        return [node["metadata"]["name"] for node in nodes if not node["spec"].get("taints")]

    def story(self) -> str:
        """What nodes and pods went through lately, for the message of a test that did not expect it."""
        told = self.kubectl("get", "events", "-A", "--sort-by=.lastTimestamp")
        kubelets = [self.on(node, "journalctl", "-u", "navarch-kubelet", "-n", "15") for node in NODES]
        return "\n".join([self.kubectl("get", "nodes,pods", "-A", "-o", "wide"), told[-4000:], *kubelets])

    # Pods and probes.

    def spots(self, overlay: str) -> list[Spot]:
        """All pods that run, then all nodes."""
        form = '{{index .Config.Labels "navarch.io/pod-uid"}} {{.State.Pid}}'
        listing = f"docker ps -q -f label=navarch.io/pod-uid | xargs -r docker inspect -f '{form}'"
        rows = [row.split() for node in NODES for row in self.on(node, "sh", "-c", listing).splitlines()]
        pids = {uid: int(pid) for uid, pid in reversed(rows)}  # the newest is no sandbox
        spots = []
        for pod in self.get("pods")["items"]:
            pid = pids.get(pod["metadata"]["uid"])
            if pid is None or pod["status"]["phase"] != "Running":
                continue  # one that is just coming or going
            name, ip = pod["metadata"]["name"], pod["status"]["podIP"]
            spots.append(Spot(name, pod["spec"]["nodeName"], ip, pid, ip))
        for node in self.get("nodes")["items"]:
            name, first = node["metadata"]["name"], node["spec"]["podCIDR"].partition("/")[0]
            address = next(a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP")
            spots.append(Spot(name, name, address, 1, first if overlay == "vxlan" else address))
        return spots

    def at(self, spot: Spot, *words: str) -> list[str]:
        """The command line of a probe there: in its network, and with its resolv.conf."""
        names = ""
        if spot.pid != 1:
            # A file of its own: one that is written again is empty for a moment, and who resolves then asks
            # 127.0.0.1.
            theirs = f"/proc/{spot.pid}/root/etc/resolv.conf"
            names = f'own=$(mktemp); cp {theirs} "$own"; mount --bind "$own" /etc/resolv.conf; rm "$own"; '
        script = f'{names}exec /opt/navarch/venv/bin/python {PROBE} "$@"'
        inside = ["nsenter", "-t", str(spot.pid), "-n", "unshare", "-m", "sh", "-ec", script, "probe", *words]
        return ["docker", "exec", "-i", f"{NAME}-{spot.node[4:]}", *inside]

    def probe(self, spot: Spot, *words: str | int, seconds: float = 60) -> Any:
        """What a probe there says."""
        done = run(*self.at(spot, *map(str, words)), seconds=seconds)
        assert done.returncode == 0, f"{spot.name}: {words}: {done.stderr}"
        return json.loads(done.stdout)

    def bring_probe(self) -> None:
        """Onto every node; a reboot loses it."""
        source = (Path(__file__).parent / "probe.py").read_text()
        for node in NODES:
            self.on(node, "sh", "-c", f"cat >{PROBE}", stdin=source)

    def serve(self, spots: list[Spot]) -> None:
        """A server at every spot; those of before are ended."""
        self.silence()
        self.bring_probe()
        for spot in spots:
            self.servers.append(
                subprocess.Popen(
                    self.at(spot, "serve", spot.name), stdin=subprocess.PIPE, stdout=subprocess.PIPE
                )
            )
        for server in self.servers:
            assert server.stdout is not None
            assert server.stdout.readline() == b"ready\n"

    def silence(self) -> None:
        """A server ends when its input does."""
        for server in self.servers:
            if server.stdin is not None:
                server.stdin.close()
        for server in self.servers:
            try:
                server.wait(5)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
            if server.stdout is not None:
                server.stdout.close()
        self.servers.clear()

    def every_pair(self, overlay: str) -> int:
        """Everybody asks everybody else by ICMP, TCP and UDP. The number of answers, each as it must be."""
        spots = self.spots(overlay)
        self.serve(spots)

        def ask(spot: Spot) -> list[str]:
            targets = [other for other in spots if other is not spot]
            answers = self.probe(spot, "ask", *(target.address for target in targets))
            return [
                f"{protocol} {spot.name} -> {target.name} ({target.address}): {seen!r} instead of {as_whom!r}"
                for target in targets
                for protocol, seen in answers[target.address].items()
                if seen != (as_whom := whom(spot, target, spots))
            ]

        with ThreadPoolExecutor(len(spots)) as pool:
            wrong = [line for lines in pool.map(ask, spots) for line in lines]
        assert not wrong, "\n".join(wrong)
        return 3 * len(spots) * (len(spots) - 1)


def whom(spot: Spot, target: Spot, spots: list[Spot]) -> str:
    """As whom a target sees a spot."""
    if target.pid != 1:  # a pod: pods come as they are, its own node comes as the bridge
        if spot.pid == 1 and spot.node == target.node:
            return target.address.rpartition(".")[0] + ".1"
        return spot.seen
    if spot.node == target.node:
        return spot.address
    # What leaves for where no pods are leaves as the node.
    return next(other.address for other in spots if other.pid == 1 and other.node == spot.node)


def image() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add("/bin/busybox", "bin/busybox")
        for name in ("sh", "sleep"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return buffer.getvalue()


def container(*command: str) -> dict[str, Any]:
    return {"name": "main", "image": IMAGE, "imagePullPolicy": "Never", "command": list(command)}


def pod(name: str, node: str, **spec: Any) -> dict[str, Any]:
    """A pod that sleeps on a node, found by the label app=talk and by the name NAME.bare."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "talk", "node": node}},
        "spec": {
            "nodeName": node,
            "hostname": name,
            "subdomain": "bare",
            "terminationGracePeriodSeconds": 0,
            "containers": [container("sleep", "1000000")],
            **spec,
        },
    }


@pytest.fixture(scope="session")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    if os.geteuid() != 0:
        pytest.fail("hosts are containers with many capabilities: run these tests as root")
    hosts = Hosts(tmp_path_factory.mktemp("hosts"))
    try:
        made = run(ROOT / "tools" / "hosts.sh", "up", "3", seconds=900, **TOOLS)
        assert made.returncode == 0, made.stdout + made.stderr
        if not (KEEP and hosts.on("node1", "sh", "-c", "ls /etc/navarch/admin.conf 2>/dev/null || true")):
            hosts.playbook("site")
        config = hosts.on("node1", "cat", "/etc/navarch/admin.conf")
        for local in ("127.0.0.1", "localhost"):
            config = config.replace(f"https://{local}:", f"https://{hosts.address('node1')}:")
        (hosts.folder / "admin.conf").write_text(config)
        (hosts.folder / "admin.conf").chmod(0o600)
        until(lambda: len(hosts.ready()) == 3, 60, "three ready nodes")
        for node in NODES:
            hosts.on(node, "docker", "import", "-", IMAGE, stdin=image())
        hosts.bring_probe()
        where = (("node1", 1), ("node1", 2), ("node2", 1), ("node3", 1))
        hosts.apply(*(pod(f"{node}-{n}", node) for node, n in where))
        hosts.kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
        yield hosts
    finally:
        hosts.silence()
        if not KEEP:
            run(ROOT / "tools" / "hosts.sh", "down", **TOOLS)
