# SPDX-License-Identifier: GPL-3.0-or-later
"""A real master and a real kubelet as processes, on a bridge, a pod range and a data folder of their own."""

from __future__ import annotations

import asyncio
import contextlib
import io
import ipaddress
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import msgspec
from ports_support import free_port

from navarch.api.core.namespace import Namespace
from navarch.api.core.pod.pod import Pod
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import ObjectMeta
from navarch.client.http import HttpClient
from navarch.kubelet.config import KubeletConfig, load
from navarch.kubelet.pods import resources
from navarch.kubelet.runtime.base import LABEL_CONTAINER, LABEL_OWNER, LABEL_POD, LABEL_UID, SANDBOX
from navarch.kubelet.volumes.base import tear_down
from navarch.network.address import default_address
from navarch.network.host import HostNetwork

IMAGE = "navarch-test/busybox:2"
NODE = "kubelet-test"
#: The node's: no kubelet may say that it is at the loopback, but that of the master's own node.
ADDRESS = default_address()
PATIENCE = 30.0
#: A readiness probe: who serves on port 8080 is ready when it answers, not when it has been started.
SERVES = {
    "exec": {"command": ["busybox", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/"]},
    "periodSeconds": 1,
    "timeoutSeconds": 10,
}

_APPLETS = [
    *("sh", "rm", "sleep", "cat", "echo", "httpd", "env", "id", "ls", "hostname", "stat", "touch"),
    *("true", "false", "df", "mkdir", "test", "ip"),
]


def build_image(engine: Any) -> None:
    """An image of the machine's static busybox; nothing is pulled."""
    try:
        engine.inspect_image(IMAGE)
        return
    except docker.errors.ImageNotFound:
        pass
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add("/bin/busybox", "bin/busybox")
        for name in _APPLETS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        for name in ("tmp", "etc", "proc", "sys", "dev"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(folder)
    repository, tag = IMAGE.split(":")
    engine.import_image_from_data(buffer.getvalue(), repository=repository, tag=tag)


class Cluster:
    """One master and one kubelet; the kubelet can be killed and started again."""

    def __init__(self, folder: Path, cidr: str, bridge: str) -> None:
        self.folder = folder
        self.cidr = cidr
        # One for each of several kubelets that tests run at a time.
        self.dns = f"169.254.20.{10 + int(cidr.split('.')[2]) // 16}"
        self.services = cidr.replace("10.99.", "10.100.")
        self.bridge = bridge
        #: Where pods may have addresses from besides the node's range.
        self.pod_networks: list[str] = []
        self.engine: Any = docker.APIClient(version="auto")
        self.admin = folder / "admin.conf"
        self._master: subprocess.Popen[bytes] | None = None
        self._kubelet: subprocess.Popen[bytes] | None = None
        self.config = KubeletConfig()

    # Processes.

    def _navarch(self, *words: str, capture: bool = False) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "navarch", *words], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _spawn(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        with open(self.folder / f"{name}.log", "ab") as log:
            command = [sys.executable, "-m", "navarch", *words]
            # As the service units have it.
            return subprocess.Popen(command, stdout=log, stderr=log, umask=0o077)

    def start(self) -> None:
        build_image(self.engine)
        pki, port = self.folder / "pki", free_port()
        server = f"https://127.0.0.1:{port}"
        self._navarch(
            *("pki", "init", "--dir", str(pki), "--master-name", "127.0.0.1"),
            *("--kubeconfig-dir", str(self.folder), "--server", server),
        )
        master = {
            "dataDir": str(self.folder / "master"),
            "bindAddress": "127.0.0.1",
            "port": port,
            "tlsCertFile": str(pki / "apiserver.crt"),
            "tlsKeyFile": str(pki / "apiserver.key"),
            "clientCAFile": str(pki / "ca.crt"),
            "clientCAKeyFile": str(pki / "ca.key"),
            "kubeletClientCertFile": str(pki / "kubelet-client.crt"),
            "kubeletClientKeyFile": str(pki / "kubelet-client.key"),
            "serviceAccountKeyFile": str(pki / "sa.key"),
            # Not the loopback, so that pods get what they need to speak to the API.
            "advertiseAddress": str(ipaddress.ip_network(self.cidr)[1]),
            "clusterCIDR": self.cidr,
            "serviceCIDR": self.services,
            "nodeName": NODE,
            "podNetworks": self.pod_networks,
        }
        (self.folder / "master.yaml").write_text(json.dumps(master))
        self.start_master()
        token = self._until_answer(
            lambda: self._navarch("token", "create", "--kubeconfig", str(self.admin))
        ).strip()
        document = json.loads(self.admin.read_text())
        document["users"][0]["user"] = {"token": token}
        (self.folder / "bootstrap.conf").write_text(json.dumps(document))
        kubelet = {
            "nodeName": NODE,
            "dataDir": str(self.folder / "kubelet"),
            "kubeconfig": str(self.folder / "kubelet.conf"),
            "bootstrapKubeconfig": str(self.folder / "bootstrap.conf"),
            "clientCAFile": str(pki / "ca.crt"),
            "port": 0,
            "cniConfDir": str(self.folder / "cni"),
            "clusterCIDR": self.cidr,
            "serviceCIDR": self.services,
            "bridge": self.bridge,
            "nodeIP": ADDRESS,
            "clusterDNS": self.dns,
        }
        (self.folder / "kubelet.yaml").write_text(json.dumps(kubelet))
        self.config = load(self.folder / "kubelet.yaml")
        self.start_kubelet()

    def _until_answer(self, ask: Callable[[], str]) -> str:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return ask()
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def start_master(self) -> None:
        self._master = self._spawn("master", "master", "--config", str(self.folder / "master.yaml"))

    def kill_master(self) -> None:
        assert self._master is not None
        self._master.kill()
        self._master.wait(PATIENCE)
        self._master = None

    def start_kubelet(self) -> None:
        self._kubelet = self._spawn("kubelet", "kubelet", "--config", str(self.folder / "kubelet.yaml"))

    def kill_kubelet(self, number: int = signal.SIGKILL) -> None:
        assert self._kubelet is not None
        self._kubelet.send_signal(number)
        self._kubelet.wait(PATIENCE)
        self._kubelet = None

    def kubelet_sockets(self) -> int:
        """How many the kubelet has open."""
        assert self._kubelet is not None
        count = 0
        for link in Path(f"/proc/{self._kubelet.pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # it was closed meanwhile
                count += os.readlink(link).startswith("socket:")
        return count

    def stop(self) -> None:
        for process in (self._kubelet, self._master):
            if process is not None and process.poll() is None:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        uids = set()
        for container in self.containers(all=True):
            uids.add(container["Labels"][LABEL_UID])
            self.engine.remove_container(container["Id"], force=True, v=True)
        pods = self.folder / "kubelet" / "pods"
        for folder in pods.iterdir() if pods.exists() else ():
            tear_down(folder)
        for uid in uids:
            resources.remove_cgroup(uid, "cgroupfs")
        asyncio.run(HostNetwork(self.bridge, self.cidr).remove())
        subprocess.run(["ip", "addr", "del", f"{self.dns}/32", "dev", "lo"], check=False)
        self.engine.close()

    def log(self) -> str:
        return (self.folder / "kubelet.log").read_text()

    # The engine's side.

    def containers(self, pod: str = "", *, all: bool = False) -> list[dict[str, Any]]:
        labels = [f"{LABEL_OWNER}={self.config.owner}"] + ([f"{LABEL_POD}={pod}"] if pod else [])
        found: list[dict[str, Any]] = self.engine.containers(all=all, filters={"label": labels})
        return found

    def ids(self, pod: str) -> dict[str, str]:
        """Container name -> id of what runs."""
        return {c["Labels"][LABEL_CONTAINER]: c["Id"] for c in self.containers(pod)}

    def sandbox(self, pod: str) -> str:
        return self.ids(pod)[SANDBOX]

    def addresses(self) -> set[str]:
        """What host-local holds."""
        folder = self.folder / "kubelet" / "cni" / "ipam" / "navarch"
        return {p.name for p in folder.iterdir() if p.name[0].isdigit()} if folder.exists() else set()


class Pods:
    """One test's namespace."""

    def __init__(self, client: HttpClient, namespace: str) -> None:
        self.client = client
        self.namespace = namespace

    async def make_namespace(self) -> None:
        await self.client.create(Namespace(metadata=ObjectMeta(name=self.namespace)))

    async def create(self, name: str, *containers: dict[str, Any], **spec: Any) -> Pod:
        """Containers get the test image; spec: wire names."""
        made = [{"image": IMAGE, "imagePullPolicy": "IfNotPresent", **c} for c in containers]
        document = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": self.namespace, "labels": {"app": name}},
            "spec": {"terminationGracePeriodSeconds": 1, **spec, "containers": made},
        }
        return await self.client.create(msgspec.convert(document, Pod))

    async def get(self, name: str) -> Pod:
        return await self.client.get(Pod, name, self.namespace)

    async def until(self, name: str, met: Callable[[Pod], Any], seconds: float = PATIENCE) -> Pod:
        """Wait by the watch until the pod is so. Fails with what it was at last."""
        pod = await self.get(name)
        if met(pod):
            return pod
        try:
            async with asyncio.timeout(seconds):
                watch = await self.client.watch(
                    Pod,
                    self.namespace,
                    since=pod.metadata.resource_version or "",
                    fields=f"metadata.name={name}",
                )
                try:
                    async for batch in watch:
                        for event in batch:
                            if event.object is None:
                                continue
                            pod = event.object
                            if event.type != "DELETED" and met(pod):
                                return pod
                finally:
                    await watch.close()
        except TimeoutError:
            pass
        raise AssertionError(f"pod {name} is {msgspec.json.encode(pod.status).decode()}")

    async def running(self, name: str) -> Pod:
        return await self.until(name, ready)

    async def delete(self, name: str, grace: int | None = None) -> None:
        """And wait until it is gone."""
        await self.client.delete(Pod, name, self.namespace, grace=grace)
        await self.gone(name)

    async def gone(self, name: str, seconds: float = PATIENCE) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                await self.get(name)
            except StatusError as error:
                assert error.code == 404
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"pod {name} is still there")

    async def logs(self, name: str, container: str, **query: str) -> str:
        path = f"/api/v1/namespaces/{self.namespace}/pods/{name}/log"
        data = await self.client.request("GET", path, query={"container": container, **query})
        return data.decode()


async def until_lines(pods: Pods, name: str, container: str, count: int) -> str:
    """A container's log when it has so many lines, or what there is after long enough."""
    deadline = time.monotonic() + PATIENCE
    while True:
        text = await pods.logs(name, container)
        if len(text.splitlines()) >= count or time.monotonic() > deadline:
            return text
        await asyncio.sleep(0.05)


def ready(pod: Pod) -> bool:
    return any(
        c.type == "Ready" and c.status == "True"
        for c in (pod.status.conditions if pod.status else None) or ()
    )


def state(pod: Pod, container: str) -> Any:
    """The container's status."""
    found = [s for s in (pod.status.container_statuses if pod.status else None) or () if s.name == container]
    return found[0] if found else None


async def eventually(check: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, "it did not come to that"
        await asyncio.sleep(0.05)
    return found


def sleeper(seconds: int = 1000) -> list[str]:
    """A command that ends at once on SIGTERM."""
    return ["sh", "-c", f"trap 'exit 0' TERM; sleep {seconds} & wait"]


def host_pid(engine: Any, id: str) -> int:
    return int(engine.inspect_container(id)["State"]["Pid"])


async def fetch(url: str) -> bytes:
    def get() -> bytes:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bytes(answer.read())

    return await asyncio.to_thread(get)


async def rules(cluster: Cluster) -> str:
    """The kubelet's nftables table."""
    command = ["nft", "list", "table", "ip", f"navarch_{cluster.bridge}"]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
    return str(done.stdout)


def namespace_of(pid: int | str, kind: str) -> str:
    return os.readlink(f"/proc/{pid}/ns/{kind}")
