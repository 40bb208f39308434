# SPDX-License-Identifier: GPL-3.0-or-later
"""A node: create to Running for one pod and for twenty at once on a real kubelet, beside `docker run` of the
same containers.

Master and kubelet are processes of their own, joined as any node is (token, certificate request). Pods have
addresses of their own
from a range and a bridge that nothing else uses; image and containers are removed at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.cluster import ROOT, report, rss, run
from navarch.api.core.node.node import Node
from navarch.api.core.pod.container import Container
from navarch.api.core.pod.pod import Pod
from navarch.api.core.pod.spec import PodSpec
from navarch.api.machinery.meta import ObjectMeta
from navarch.client.http import HttpClient
from navarch.kubelet.config import KubeletConfig
from navarch.kubelet.runtime.base import LABEL_OWNER

IMAGE = "navarch-bench:1"
CLUSTER_CIDR = "10.98.0.0/16"
SERVICE_CIDR = "10.101.0.0/16"
BRIDGE = "nvbench0"
CONTAINER = ["/bin/busybox", "sleep", "600"]
RUNS = 10
AT_ONCE = 20


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _navarch(*arguments: str) -> str:
    command = [sys.executable, "-m", "navarch", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def make_image() -> None:
    """One static busybox, from the distribution."""
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w") as tar:
            tar.add("/bin/busybox", "bin/busybox")
        file.seek(0)
        subprocess.run(["docker", "import", "-", IMAGE], stdin=file, check=True, capture_output=True)


@contextlib.contextmanager
def _process(name: str, log: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "navarch", *arguments], stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def node() -> Iterator[tuple[Path, int, str]]:
    """A master and a kubelet. Yields the administrator's kubeconfig, the kubelet's process id and its owner
    label."""
    base = ROOT / ".bench"
    base.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=base))
    port, kubelet_port = _free_port(), _free_port()
    pki, admin = folder / "pki", folder / "admin.conf"
    try:
        server = f"https://127.0.0.1:{port}"
        _navarch("pki", "init", "--dir", str(pki), "--master-name", "bench", "--san", "127.0.0.1",
                 "--kubeconfig-dir", str(folder), "--server", server)  # fmt: skip
        master: dict[str, Any] = {
            "dataDir": str(folder / "master"),
            "bindAddress": "127.0.0.1",
            "port": port,
            "tlsCertFile": str(pki / "apiserver.crt"),
            "tlsKeyFile": str(pki / "apiserver.key"),
            "clientCAFile": str(pki / "ca.crt"),
            "clientCAKeyFile": str(pki / "ca.key"),
            "kubeletClientCertFile": str(pki / "kubelet-client.crt"),
            "kubeletClientKeyFile": str(pki / "kubelet-client.key"),
            "serviceAccountKeyFile": str(pki / "sa.key"),
            "clusterCIDR": CLUSTER_CIDR,
            "serviceCIDR": SERVICE_CIDR,
        }
        kubelet: dict[str, Any] = {
            "nodeName": "bench",
            "nodeIP": "127.0.0.1",
            "dataDir": str(folder / "kubelet"),
            "kubeconfig": str(folder / "kubelet.conf"),
            "bootstrapKubeconfig": str(folder / "bootstrap.conf"),
            "certDir": str(folder / "kubelet" / "pki"),
            "clientCAFile": str(pki / "ca.crt"),
            "port": kubelet_port,
            "bindAddress": "127.0.0.1",
            "cniConfDir": str(folder / "cni"),
            "clusterCIDR": CLUSTER_CIDR,
            "serviceCIDR": SERVICE_CIDR,
            "bridge": BRIDGE,
        }
        owner = KubeletConfig(node_name="bench", data_dir=kubelet["dataDir"]).owner
        (folder / "master.yaml").write_text(json.dumps(master))
        (folder / "kubelet.yaml").write_text(json.dumps(kubelet))
        with _process("master", folder / "master.log", "master", "--config", str(folder / "master.yaml")):
            _wait_for_port(port)
            token = _navarch("token", "create", "--kubeconfig", str(admin))
            _join_config(folder, server, token)
            arguments = ("kubelet", "--config", str(folder / "kubelet.yaml"))
            with _process("kubelet", folder / "kubelet.log", *arguments) as process:
                try:
                    yield admin, process.pid, owner
                except BaseException:
                    sys.stderr.write((folder / "kubelet.log").read_text()[-3000:])
                    raise
                finally:
                    _remove_containers(owner)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _remove_network()


def _join_config(folder: Path, server: str, token: str) -> None:
    import base64

    ca = base64.b64encode((folder / "pki" / "ca.crt").read_bytes()).decode()
    config = {
        "clusters": [{"name": "c", "cluster": {"server": server, "certificate-authority-data": ca}}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path = folder / "bootstrap.conf"
    path.touch(0o600)
    path.write_text(json.dumps(config))


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError("the master does not answer")


def _ours(owner: str) -> list[str]:
    """Ids of the containers of the benchmark's kubelet."""
    return _docker("ps", "-aq", "--filter", f"label={LABEL_OWNER}={owner}").split()


def _remove_containers(owner: str) -> None:
    ids = _ours(owner)
    if ids:
        _docker("rm", "-f", *ids)


def _remove_network() -> None:
    for table in (f"navarch_{BRIDGE}", f"navarch_{BRIDGE}_services"):
        subprocess.run(["nft", "delete", "table", "ip", table], capture_output=True, check=False)
    subprocess.run(["ip", "link", "del", BRIDGE], capture_output=True, check=False)
    subprocess.run(["ip", "route", "del", "blackhole", CLUSTER_CIDR], capture_output=True, check=False)


def _pod(name: str) -> Pod:
    container = Container(name="c", image=IMAGE, command=CONTAINER, image_pull_policy="Never")
    return Pod(
        metadata=ObjectMeta(name=name, namespace="default"),
        spec=PodSpec(containers=[container], termination_grace_period_seconds=0),
    )


async def _start(client: HttpClient, names: list[str]) -> float:
    """Seconds from the first create to the moment all are Running and ready."""
    listing = await client.list(Pod, "default")
    watch = await client.watch(Pod, "default", since=listing.resource_version)
    waiting = set(names)
    started = time.perf_counter()
    await asyncio.gather(*(client.create(_pod(name)) for name in names))
    async for batch in watch:
        for event in batch:
            status = event.object.status if event.object is not None else None
            if event.object is not None and status is not None and status.phase == "Running":
                waiting.discard(event.object.metadata.name or "")
        if not waiting:
            break
    seconds = time.perf_counter() - started
    await watch.close()
    return seconds


async def _remove(client: HttpClient, names: list[str], owner: str) -> None:
    await asyncio.gather(*(client.delete(Pod, name, "default", grace=0) for name in names))
    async with asyncio.timeout(60):
        while (await client.list(Pod, "default")).items or _ours(owner):
            await asyncio.sleep(0.2)


async def measure(admin: Path, kubelet: int, owner: str) -> None:
    async with HttpClient.from_kubeconfig(admin) as client, asyncio.timeout(240):
        while not any(
            c.type == "Ready" and c.status == "True"
            for item in (await client.list(Node)).items
            for c in (item.status.conditions if item.status else None) or ()
        ):
            await asyncio.sleep(0.2)
        await asyncio.sleep(2)
        singles, plain = [], []
        for number in range(RUNS + 1):
            name = f"one-{number}"
            singles.append(await _start(client, [name]))
            await _remove(client, [name], owner)
            plain.append(_docker_runs(1, 1))
        report(
            "pod_create_to_running",
            statistics.median(singles[1:]),
            "s",
            docker_run_s=statistics.median(plain[1:]),
        )
        names = [f"many-{number}" for number in range(AT_ONCE)]
        together = await _start(client, names)
        report("kubelet_rss", rss(kubelet), "MiB", pods=AT_ONCE)
        await _remove(client, names, owner)
        report("pods_20_at_once", together, "s", docker_run_8_parallel_s=_docker_runs(AT_ONCE, 8))


def _docker_runs(count: int, parallel: int) -> float:
    """Seconds for so many `docker run -d` of the same container, for comparison."""
    mark = f"navarch-bench-{os.getpid()}"

    def one(number: int) -> None:
        _docker("run", "-d", "--pull=never", "--label", mark, IMAGE, *CONTAINER)

    started = time.perf_counter()
    with ThreadPoolExecutor(parallel) as pool:
        list(pool.map(one, range(count)))
    seconds = time.perf_counter() - started
    _docker("rm", "-f", *_docker("ps", "-aq", "--filter", f"label={mark}").split())
    return seconds


def main() -> None:
    make_image()
    try:
        with node() as (admin, kubelet, owner):
            run(measure(admin, kubelet, owner))
    finally:
        subprocess.run(["docker", "rmi", IMAGE], capture_output=True, check=False)
