# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods in real containers, for tests of what goes into them: a master, a kubelet and a test image."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker

sys.path.append(str(Path(__file__).resolve().parents[1] / "kubelet"))

from kubelet_support import Cluster, Pods, ready, sleeper, state

from navarch.api.core.pod.pod import Pod
from navarch.client.http import HttpClient

__all__ = ["IMAGE", "USR", "WITH_USR", "Live", "able", "build_image", "make_live", "state"]
IMAGE = "navarch-test/box:3"
#: The machine's own /usr in a container gives it the machine's Python.
USR = {"volumes": [{"name": "usr", "hostPath": {"path": "/usr"}}]}
WITH_USR = {"volumeMounts": [{"name": "usr", "mountPath": "/usr", "readOnly": True}]}
_FILES = {
    "etc/passwd": (
        "root:x:0:0:root:/root:/bin/sh\n"
        "sailor:x:1000:1000:sailor:/home/sailor:/bin/sh\n"
        "nobody:x:65534:65534:nobody:/:/bin/sh\n"
    ),
    "etc/group": "root:x:0:\nsailor:x:1000:\n",
}
_FOLDERS = ("proc", "sys", "dev", "usr", "root", "tmp", "var/tmp", "home/sailor")


def able() -> bool:
    return os.geteuid() == 0 and os.path.exists("/var/run/docker.sock") and os.path.exists("/bin/busybox")


def build_image(engine: Any) -> None:
    """The machine's static busybox under all of its names, in /bin; /usr is left to be mounted."""
    try:
        engine.inspect_image(IMAGE)
        return
    except docker.errors.ImageNotFound:
        pass
    applets = subprocess.run(
        ["/bin/busybox", "--list"], capture_output=True, text=True, check=True
    ).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in _FOLDERS:
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777 if name.endswith("tmp") else 0o755
            tar.addfile(folder)
        tar.add("/bin/busybox", "bin/busybox")
        links = {f"bin/{name}": "busybox" for name in applets if name != "busybox"}
        for name, to in {**links, "lib": "usr/lib", "lib64": "usr/lib64"}.items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, to
            tar.addfile(link)
        for name, text in _FILES.items():
            file = tarfile.TarInfo(name)
            file.size = len(text)
            tar.addfile(file, io.BytesIO(text.encode()))
    repository, tag = IMAGE.split(":")
    changes = ["ENV PATH=/bin:/usr/bin"]
    engine.import_image_from_data(buffer.getvalue(), repository=repository, tag=tag, changes=changes)


class Live(Cluster):
    """A cluster of one real node; ``pod`` makes a pod in namespace ``default`` and waits until it is so."""

    def start(self) -> None:
        build_image(self.engine)
        super().start()

    def pod(
        self, name: str, *containers: dict[str, Any], met: Callable[[Pod], Any] = ready, **spec: Any
    ) -> None:
        async def make() -> None:
            async with HttpClient.from_kubeconfig(self.admin) as client:
                pods = Pods(client, "default")
                made = containers or ({"name": "main"},)
                await pods.create(name, *({"image": IMAGE, "command": sleeper(), **c} for c in made), **spec)
                await pods.until(name, met, 60)  # the first one waits for the kubelet to join

        asyncio.run(make())

    def inside(self, pod: str, *command: str, container: str = "main") -> str:
        """What a command says in a container, past the API."""
        words = ["docker", "exec", self.ids(pod)[container], *command]
        return subprocess.run(words, capture_output=True, text=True, check=True, timeout=30).stdout


def make_live(folder: Path, worker: int) -> Live:
    """Not yet started. Its ranges are beside those of the kubelet's own tests."""
    return Live(folder, f"10.99.{128 + 16 * worker}.0/20", f"nvpods{worker}")
