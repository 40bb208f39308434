# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbook navarch.cluster.gce from nothing to a pod that answers another by the cloud's routes, and back.

The cloud is the emulator of Google's API, of which the instances are hosts with systemd here, behind a router
that knows the cloud's routes and firewall rules and nothing else.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import BIN, ROOT, run, until

sys.path.insert(0, str(ROOT / "tests/runtime/cloud"))

from gce_emulator import Gce, Object

NAME = os.environ.get("GCE_HOSTS_NAME", "navarch-gce")
SUBNET = os.environ.get("GCE_HOSTS_SUBNET", "172.31.107.0/24")
TOOLS = {"HOSTS_NAME": NAME, "HOSTS_SUBNET": SUBNET}
HOSTS = ROOT / "build/hosts" / NAME
PREFIX = SUBNET.rpartition(".")[0]
PODS = "10.244.0.0/16"
IMAGE = "navarch-e2e/busybox:1"
#: The first hosts are machines, the last one is the cloud's router.
MACHINES = {f"{PREFIX}.{10 + number}": f"{NAME}-{number}" for number in (1, 2)}
ROUTER, GATEWAY = f"{NAME}-3", f"{PREFIX}.13"


def inside(container: str, *command: str, stdin: str = "") -> str:
    done = run("docker", "exec", "-i", container, *command, stdin=stdin)
    assert done.returncode == 0, f"{container}: {' '.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout


class Cloud(Gce):
    """Google's API before hosts: instances boot with their name and keys, the router does as it is told."""

    def __init__(self) -> None:
        super().__init__(MACHINES)
        self.projects["ship"] = ""

    def of(self, kind: str) -> dict[str, Object]:
        """The things of one kind by name."""
        return {path.rpartition("/")[2]: thing for path, thing in self.things.items() if f"/{kind}/" in path}

    def _begun(self, key: str, action: str, act: Any) -> Any:
        def done() -> None:
            before = self.of("instances")
            act()
            try:
                self._real(before)
            except Exception as problem:  # in a thread of the emulator's: the fixture tells
                self.wrong.append(f"{action} {key}: {problem}")

        return super()._begun(key, action, done)

    def _real(self, before: dict[str, Object]) -> None:
        now = self.of("instances")
        for name in now.keys() - before.keys():
            self._boot(name, now[name])
        for name in before.keys() - now.keys():
            run("docker", "rm", "-fv", MACHINES[address(before[name])])
        self._route(now)

    def _boot(self, name: str, instance: Object) -> None:
        """As Google's images do: its name, and the users of its metadata, who are administrators."""
        items = {item["key"]: item["value"] for item in instance["metadata"]["items"]}
        user, _colon, key = items["ssh-keys"].partition(":")
        script = f"""
            hostname {name} && echo {name} >/etc/hostname
            useradd -m -s /bin/bash {user} && install -d -o {user} -m 700 /home/{user}/.ssh
            cat >/home/{user}/.ssh/authorized_keys && chown {user} /home/{user}/.ssh/authorized_keys
            echo '{user} ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/{user}
            ip route replace {PODS} via {GATEWAY} metric 10000
        """
        inside(MACHINES[address(instance)], "sh", "-ec", script, stdin=key + "\n")
        # As Google's guest agent does: ssh of the playbook believes nothing else.
        told = inside(MACHINES[address(instance)], "sh", "-c", "cat /etc/ssh/ssh_host_*_key.pub")
        self.host_keys[name] = dict(line.split()[:2] for line in told.splitlines())

    def _route(self, instances: dict[str, Object]) -> None:
        """The router's table anew. It drops what has no route, and what no rule lets through."""
        script = [
            f"ip route flush root {PODS} type unicast",
            "iptables -P FORWARD DROP",
            "iptables -F FORWARD",
        ]
        for route in self.of("routes").values():
            hop = instances.get(route["nextHopInstance"].rpartition("/")[2])
            if hop and hop["canIpForward"]:
                script.append(f"ip route add {route['destRange']} via {address(hop)}")
        for rule in self.of("firewalls").values():
            tagged = set(rule.get("sourceTags", []))
            sources = [address(one) for one in instances.values() if tagged & set(one["tags"]["items"])]
            if rule["allowed"] == [{"IPProtocol": "all"}]:
                sources += rule.get("sourceRanges", [])
                script += [f"iptables -A FORWARD -s {source} -j ACCEPT" for source in sources]
        inside(ROUTER, "sh", "-ec", "\n".join(script))


def address(instance: Object) -> str:
    return str(instance["networkInterfaces"][0]["networkIP"])


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    if os.geteuid() != 0:
        pytest.fail("hosts are containers with many capabilities: run this test as root")
    try:
        made = run(ROOT / "tools/hosts.sh", "up", "3", seconds=900, **TOOLS)
        assert made.returncode == 0, made.stdout + made.stderr
        inside(ROUTER, "sh", "-ec", "sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.send_redirects=0")
        inside(ROUTER, "sysctl", "-qw", "net.ipv4.conf.eth0.send_redirects=0")
        inside(ROUTER, "systemctl", "disable", "-q", "--now", "docker.socket", "docker")
        with Cloud() as cloud:
            yield cloud
            assert cloud.wrong == []
    finally:
        run(ROOT / "tools/hosts.sh", "down", **TOOLS)


def playbook(cloud: Cloud, **variables: Any) -> dict[str, int]:
    """One run of the playbook. What changed, by host."""
    given = {
        "navarch_cloud": {"api_url": f"{cloud.url}/compute/v1", "access_token": "token-1", "project": "ship"},
        "navarch_machine": {
            "zone": "us-central1-a",
            "size": "e2-small",
            "image": "debian-cloud/debian-12",
        },
        "navarch_cluster_name": "ship",
        "navarch_machine_count": 2,
        "navarch_ssh_key_file": str(HOSTS / "key.pub"),
        "navarch_connect_by": "private_ip",
        "kubelet_overlay": "none",
        # What only these hosts need: the test's key, and packages from a folder.
        "ansible_ssh_private_key_file": str(HOSTS / "key"),
        "runtime_build_dir": str(ROOT / "build/wheel"),
        "navarch_confirm": False,
        "runtime_environment": {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/opt/wheels"},
    } | variables
    began = time.monotonic()
    done = run(
        BIN / "ansible-playbook", "navarch.cluster.gce", "-e", json.dumps(given),
        seconds=900, ANSIBLE_NOCOLOR="1", ANSIBLE_LOCALHOST_WARNING="false", ANSIBLE_PIPELINING="1",
        XDG_CACHE_HOME=str(HOSTS / "cache"),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    print(f"{variables or 'all of it'}: {time.monotonic() - began:.0f} s")
    return {host: int(count) for host, count in re.findall(r"^(\S+) +:.*changed=(\d+)", done.stdout, re.M)}


def bring_image(container: str, folder: Path) -> None:
    archive = folder / "box.tar"
    with tarfile.open(archive, mode="w") as tar:
        tar.add("/bin/busybox", "bin/busybox")
    copied = run("docker", "cp", archive, f"{container}:/root/box.tar")
    assert copied.returncode == 0, copied.stderr
    inside(container, "docker", "import", "/root/box.tar", IMAGE)


def pod(name: str, node: str, script: str) -> Object:
    container = {
        "name": "main",
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "command": ["/bin/busybox", "sh", "-c", script],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [container]},
    }


class Cluster:
    """The cluster on the machines, asked by kubectl from here."""

    def __init__(self, folder: Path, master: str) -> None:
        self._config = folder / "admin.conf"
        config = inside(MACHINES[master], "cat", "/etc/navarch/admin.conf")
        self._config.write_text(re.sub(r"https://(127\.0\.0\.1|localhost):", f"https://{master}:", config))
        self._config.chmod(0o600)

    def kubectl(self, *words: str, stdin: str = "") -> str:
        done = run(BIN / "kubectl", "--kubeconfig", self._config, *words, stdin=stdin)
        assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    def nodes(self) -> list[str]:
        return self.kubectl("get", "nodes", "-o", "name").split()


def test_a_cluster_at_google_and_back(cloud: Cloud, tmp_path: Path) -> None:
    made = playbook(cloud)
    assert min(made[name] for name in ("ship-1", "ship-2")) > 5, made
    assert sorted(cloud.of("routes")) == ["ship-1-pods", "ship-2-pods"]
    where = {name: address(one) for name, one in cloud.of("instances").items()}

    cluster = Cluster(tmp_path, where["ship-1"])
    assert cluster.nodes() == ["node/ship-1", "node/ship-2"]
    for container in MACHINES.values():
        bring_image(container, tmp_path)
    page = "/bin/busybox mkdir /www; echo Ahoy >/www/index.html; exec /bin/busybox httpd -f -p 8080 -h /www"
    pods = [pod("near", "ship-1", "exec /bin/busybox sleep 1000000"), pod("far", "ship-2", page)]
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": pods}))
    cluster.kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
    far = cluster.kubectl("get", "pod", "far", "-o", "jsonpath={.status.podIP}")
    pids = "docker ps -q -f label=navarch.io/pod-uid | xargs docker inspect -f '{{.State.Pid}}' | head -n 1"
    fetch = f"import urllib.request as u; print(u.urlopen('http://{far}:8080/', timeout=5).read().decode())"
    near = ("sh", "-ec", f'exec nsenter -n -t "$({pids})" python3 -c "$0"', fetch)
    # Ready is its container; the server in it comes a moment later.
    until(lambda: inside(MACHINES[where["ship-1"]], *near).strip() == "Ahoy", 30, "the other pod's page")

    assert not any(playbook(cloud).values())

    fewer = playbook(cloud, navarch_machine_count=1, navarch_beyond="delete")
    assert (fewer["ship-1"], sorted(cloud.of("instances"))) == (0, ["ship-1"])
    assert (cluster.nodes(), sorted(cloud.of("routes"))) == (["node/ship-1"], ["ship-1-pods"])

    playbook(cloud, navarch_machines_state="absent")
    assert cloud.things == {}
