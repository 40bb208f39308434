# SPDX-License-Identifier: GPL-3.0-or-later
"""A pod's sandbox: made or adopted, started, attached to the network, with the files that all its containers
share.

Containers can be created as soon as the sandbox is; they must not start before `ready` is done. Ending a
sandbox is `termination`.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from navarch.api.core.pod.pod import Pod
from navarch.kubelet.modes import make_file
from navarch.kubelet.pods import host_ports, resources
from navarch.kubelet.pods.context import Shared
from navarch.kubelet.pods.spec import hosts_file, pod_resolver
from navarch.kubelet.runtime.base import Mount, SandboxSpec
from navarch.network.cni import CniError

log = logging.getLogger(__name__)


class Sandbox:
    def __init__(self, shared: Shared, uid: str) -> None:
        self._shared = shared
        self._uid = uid
        self.id = ""
        self.ips: list[str] = []
        self._starting: asyncio.Task[list[str]] | None = None
        self._one = asyncio.Lock()

    def adopt(self) -> bool:
        """Whether there is a sandbox that runs and is attached; then it is ours from now on."""
        found = self._shared.containers.sandboxes(self._uid)
        current = found[-1] if found else None
        if current is None or current.status != "running":
            self.id = ""
            return False
        if current.id == self.id and self._starting is None and self.ips:
            return True
        self.id = current.id
        return bool(self.ips)

    async def begin(self, pod: Pod) -> tuple[str, asyncio.Task[list[str]]]:
        """(id, a task that ends with the pod's addresses once it is ready).

        Raises RuntimeFault; the task raises CniError too.
        """
        async with self._one:  # each of the pod's containers asks when the first try has failed
            return await self._begin(pod)

    async def settled(self) -> None:
        """Until what was begun has ended, well or not: before that it is not known what there is."""
        if self._starting is not None:
            await asyncio.wait([self._starting])

    async def _begin(self, pod: Pod) -> tuple[str, asyncio.Task[list[str]]]:
        shared, spec = self._shared, pod.spec
        assert spec is not None
        if self._starting is not None and not self._failed():
            return self.id, self._starting
        found = shared.containers.sandboxes(self._uid)
        running = next((s for s in reversed(found) if s.status == "running"), None)
        if running is None:
            await self._discard()
            attempt = found[-1].attempt + 1 if found else 0
            self.id = await shared.runtime.create_sandbox(
                SandboxSpec(
                    uid=self._uid,
                    namespace=pod.metadata.namespace or "",
                    pod=pod.metadata.name or "",
                    attempt=attempt,
                    hostname="" if spec.host_network else hostname(pod),
                    host_network=bool(spec.host_network),
                    host_ipc=bool(spec.host_ipc),
                    sysctls={k: v for k, v in _sysctls(pod).items() if not k.startswith("net.")},
                    cgroup_parent=resources.cgroup_parent(self._uid, shared.cgroup_driver),
                )
            )
            self._starting = asyncio.create_task(self._start(pod, self.id, 0), name=f"sandbox {self._uid}")
        else:
            self.id = running.id
            self._starting = asyncio.create_task(
                self._start(pod, running.id, running.pid), name=f"sandbox {self._uid}"
            )
        return self.id, self._starting

    def _failed(self) -> bool:
        task = self._starting
        if task is None or not task.done():
            return False
        state = self._shared.containers.get(self.id)
        return task.cancelled() or task.exception() is not None or state is None or state.status != "running"

    async def _start(self, pod: Pod, id: str, pid: int) -> list[str]:
        shared, spec = self._shared, pod.spec
        assert spec is not None
        if not pid:
            state = await shared.runtime.start_sandbox(
                id,
                host_network=bool(spec.host_network),
                sysctls={k: v for k, v in _sysctls(pod).items() if k.startswith("net.")},
            )
            shared.containers.put(state)
            pid = state.pid
        # The cgroup came with the sandbox's start.
        weighed = asyncio.create_task(
            asyncio.to_thread(
                resources.weigh,
                self._uid,
                shared.cgroup_driver,
                resources.pod_cpu_shares(pod),
                shared.allocatable.get("cpu", 0),
            )
        )
        if spec.host_network:
            self.ips = [shared.address.now]
        else:
            self.ips = await shared.cni.add(
                id,
                pid,
                uid=self._uid,
                namespace=pod.metadata.namespace or "",
                pod=pod.metadata.name or "",
                ports=host_ports.mappings(pod),
            )
        self._write_files(pod)
        await weighed
        return self.ips

    def mounts(self, pod: Pod) -> list[Mount]:
        """The files all containers of the pod get; their content is there once the sandbox is ready."""
        folder = self._folder()
        mounts = [Mount(str(folder / "resolv.conf"), "/etc/resolv.conf")]
        if _has_hosts_file(pod):
            mounts.append(Mount(str(folder / "hosts"), "/etc/hosts"))
        return mounts

    def prepare_files(self) -> None:
        """Make the files, empty, so that they can be mounted; what is there stays."""
        folder = self._folder()
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("resolv.conf", "hosts"):
            make_file(folder / name)

    def _folder(self) -> Path:
        return self._shared.pod_folder(self._uid) / "etc"

    def _write_files(self, pod: Pod) -> None:
        """In place: running containers have these very files mounted."""
        shared, spec = self._shared, pod.spec
        assert spec is not None
        self.prepare_files()
        domain = (
            f"{spec.subdomain}.{pod.metadata.namespace}.svc.{shared.config.cluster_domain}"
            if spec.subdomain
            else ""
        )
        resolver = pod_resolver(pod, shared.resolver, shared.config.cluster_dns, shared.config.cluster_domain)
        (self._folder() / "resolv.conf").write_text(resolver.text())
        if _has_hosts_file(pod):
            of_host = Path("/etc/hosts").read_text() if spec.host_network else ""
            text = hosts_file(pod, self.ips[0] if self.ips else "", hostname(pod), domain, of_host)
            (self._folder() / "hosts").write_text(text)

    async def _discard(self) -> None:
        """Dead sandboxes go, and their addresses with them."""
        self.ips = []
        for old in self._shared.containers.sandboxes(self._uid):
            try:
                await self._shared.cni.delete(old.id)
            except CniError as error:
                log.warning("pod %s: %s", self._uid, error)
            await self._shared.runtime.remove(old.id)
            self._shared.containers.drop(old.id)


def _has_hosts_file(pod: Pod) -> bool:
    """In the host's network the host's own file does, unless names are added."""
    return pod.spec is not None and (not pod.spec.host_network or bool(pod.spec.host_aliases))


def _sysctls(pod: Pod) -> dict[str, str]:
    security = pod.spec.security_context if pod.spec else None
    return {
        entry.name.replace("/", "."): entry.value for entry in (security.sysctls if security else None) or ()
    }


def hostname(pod: Pod) -> str:
    """The name a pod has inside; the kernel takes 63 characters of it."""
    spec = pod.spec
    name = (spec.hostname if spec else None) or pod.metadata.name or ""
    return name[:63].rstrip("-.")
