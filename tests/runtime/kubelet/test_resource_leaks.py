# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing leaks: pods come and go, kubelets are killed amid it, and nothing of the network is left behind.

500 sandboxes go through the kubelet's own attachments with the real plugins, and some whole pods through a
real kubelet and Engine (NAVARCH_LEAK_PODS of them; 500 take some minutes).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubelet_support import PATIENCE, Cluster, Pods, eventually, ready, rules, sleeper

from navarch.api.core.pod.pod import Pod
from navarch.network import conf
from navarch.network.cni import Cni

pytestmark = [pytest.mark.docker, pytest.mark.root]

PODS = int(os.environ.get("NAVARCH_LEAK_PODS", "40"))
AT_ONCE = 40
SANDBOXES = 500
BATCH = 50

PLUGINS = "/usr/lib/cni"
NUMBER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
BRIDGE = f"nvleak{NUMBER}"
RANGE = f"10.97.{64 + NUMBER}.0/24"


def links(bridge: str) -> list[str]:
    """The host's ends of what hangs on a bridge."""
    folder = Path("/sys/class/net", bridge, "brif")
    return sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []


def namespaces(prefix: str) -> list[str]:
    """Other network namespaces of this machine with an address that begins so, and who keeps them.

    Others come and go meanwhile: theirs are none of ours.
    """
    command = ["lsns", "-t", "net", "-n", "-r", "-o", "PID,COMMAND"]
    for _ in range(20):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            break
        # A process that ends while lsns looks at it makes lsns give up.
    assert done.returncode == 0, done.stderr
    found = []
    for pid, _, what in (line.partition(" ") for line in done.stdout.splitlines()):
        with contextlib.suppress(OSError):  # it ended meanwhile
            ours = os.readlink(f"/proc/{pid}/ns/net") == os.readlink("/proc/self/ns/net")
            if not ours and f" {prefix}" in Path("/proc", pid, "net", "fib_trie").read_text():
                found.append(f"{pid} {what}")
    return found


async def test_whole_pods_leave_nothing_behind_though_the_kubelet_is_killed(
    cluster: Cluster, pods: Pods
) -> None:
    prefix = cluster.cidr.rpartition(".")[0] + "."
    before = await asyncio.to_thread(namespaces, prefix)
    held = cluster.addresses()
    for first in range(0, PODS, AT_ONCE):
        names = [f"leak-{n}" for n in range(first, min(first + AT_ONCE, PODS))]
        for n, name in enumerate(names):
            ports = [{"containerPort": 80, "hostPort": 20000 + n}] if n % 4 == 0 else []
            await pods.create(name, {"name": "a", "command": sleeper(), "ports": ports})
        await asyncio.sleep(2.0)
        cluster.kill_kubelet(signal.SIGKILL)
        cluster.start_kubelet()
        addresses: dict[str, str] = {}
        for name in names:
            pod = await pods.until(name, ready, 90)
            assert pod.status is not None
            addresses[name] = pod.status.pod_ip or ""
        assert len(set(addresses.values())) == len(names)
        # The kernel takes a moment to remove what was a sandbox's.
        await eventually(lambda names=names: len(links(cluster.bridge)) == len(names))
        assert len(await asyncio.to_thread(namespaces, prefix)) == len(before) + len(names)
        cluster.kill_kubelet(signal.SIGKILL)
        for name in names[::2]:
            await pods.client.delete(Pod, name, pods.namespace)
        cluster.start_kubelet()
        for name in names[1::2]:
            pod = await pods.get(name)
            assert pod.status is not None
            assert pod.status.pod_ip == addresses[name], "an address did not survive the kubelet"
            assert addresses[name] in cluster.addresses()
            await pods.client.delete(Pod, name, pods.namespace)
        await asyncio.sleep(0.7)
        cluster.kill_kubelet(signal.SIGKILL)
        cluster.start_kubelet()
        for name in names:
            await pods.gone(name, 60)
    await eventually(lambda: cluster.addresses() <= held)
    await eventually(lambda: not cluster.containers(all=True))
    await eventually(lambda: links(cluster.bridge) == [])
    await eventually(lambda: len(namespaces(prefix)) <= len(before))
    assert list((cluster.folder / "kubelet" / "cni" / "sandboxes").glob("*.json")) == []
    async with asyncio.timeout(PATIENCE):  # the last kubelet may just be starting
        while "dnat to" in await rules(cluster):
            await asyncio.sleep(0.1)


@pytest.fixture
def bridge() -> Iterator[None]:
    yield
    subprocess.run(["ip", "link", "del", BRIDGE], capture_output=True, check=False)


def place(folder: Path) -> Cni:
    conf.write(str(folder / "net.d"), conf.bridge_network([RANGE], BRIDGE, str(folder / "ipam")))
    cni = Cni([PLUGINS], str(folder / "net.d"), folder / "sandboxes")
    cni.load()
    return cni


#: Attaches sandboxes as a kubelet does, until it is killed.
_ATTACH = """
import asyncio, sys
from pathlib import Path
from test_resource_leaks import place
async def main():
    cni = place(Path(sys.argv[1]))
    pids = map(int, sys.argv[2:])
    await asyncio.gather(*(cni.add(f"{pid:064x}", pid, uid="u", namespace="n", pod=str(pid)) for pid in pids))
asyncio.run(main())
"""


def begin(*command: str) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([*sys.path, str(Path(__file__).parent)])
    return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path})


def sandboxes(count: int) -> list[subprocess.Popen[bytes]]:
    """Processes with network namespaces of their own."""
    spaces = [begin("unshare", "-n", "sleep", "120") for _ in range(count)]
    for space in spaces:
        while os.readlink(f"/proc/{space.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
            time.sleep(0.001)
    return spaces


async def test_five_hundred_sandboxes_leave_nothing_behind(tmp_path: Path, bridge: None) -> None:
    cut = 0
    for batch in range(SANDBOXES // BATCH):
        spaces = sandboxes(BATCH)
        try:
            pids = [space.pid for space in spaces]
            if batch % 2 == 0:  # a kubelet that is killed in the midst of it
                doomed = begin(sys.executable, "-c", _ATTACH, str(tmp_path), *map(str, pids))
                await eventually(lambda: len(links(BRIDGE)) >= BATCH // 4)
                doomed.kill()
                doomed.wait()
                cut += len(links(BRIDGE)) < BATCH
            cni = place(tmp_path)
            ids = {f"{pid:064x}": pid for pid in pids}
            await cni.reconcile(set(ids))
            known = {id: ips for id in ids if (ips := cni.ips(id))}
            answers = await asyncio.gather(
                *(cni.add(id, pid, uid="u", namespace="n", pod=str(pid)) for id, pid in ids.items())
            )
            found = dict(zip(ids, answers, strict=True))
            assert {id: found[id] for id in known} == known, "an address did not survive the kubelet"
            assert len({ip for ips in answers for ip in ips}) == BATCH
            assert len(links(BRIDGE)) == BATCH
            # Half are detached in order, of the others the sandbox just ends.
            for space in spaces[::2]:
                space.kill()
                space.wait()
            await asyncio.gather(*(cni.delete(id, pid) for id, pid in list(ids.items())[1::2]))
        finally:
            for space in spaces:
                space.kill()
                space.wait()
        await place(tmp_path).reconcile(set())
        held = {p.name for p in (tmp_path / "ipam" / "navarch").glob("10.*")}
        assert held == set()
        await eventually(lambda: links(BRIDGE) == [])  # which takes the kernel a moment
    assert cut >= 3, "it was hardly ever killed in the midst of it"
    assert list((tmp_path / "sandboxes").glob("*.json")) == []
