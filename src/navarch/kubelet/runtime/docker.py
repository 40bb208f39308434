# SPDX-License-Identifier: GPL-3.0-or-later
"""The Docker Engine: calls through the Docker SDK in a bounded thread pool. Streams are `docker_streams`,
creation bodies `docker_bodies`.

A sandbox's network namespace: `--network none` makes the Engine run itself as an OCI hook (140 ms of CPU a
sandbox, measured), so the pause program is started with the host's network and moves itself into a new
namespace before anything else happens; containers then join it by `container:ID`, which the Engine resolves
through the sandbox's pid. Where that is refused (user namespaces), `none` is used.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import platform
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, TypeVar

from navarch.kubelet.runtime import base, docker_bodies, pause
from navarch.kubelet.runtime.base import (
    ContainerSpec,
    ContainerState,
    Image,
    InvalidImageName,
    LogOptions,
    NoSuchContainer,
    NoSuchImage,
    RuntimeFault,
    SandboxSpec,
    Stream,
    Usage,
)
from navarch.kubelet.runtime.docker_streams import Engine
from navarch.network.netns import is_ours, prepare

log = logging.getLogger(__name__)

R = TypeVar("R")

#: Engine calls at once. A start blocks for 100 ms, most of it in the Engine; more only queue there.
_WORKERS = 8
#: What the Engine sets in network namespaces that it makes itself: low ports and ping without capabilities.
NETWORK_DEFAULTS = {
    "net.ipv4.ip_unprivileged_port_start": "0",
    "net.ipv4.ping_group_range": "0 2147483647",
}


class DockerRuntime:
    """Implements `base.Runtime`.

    owner: value of the owner label; containers without it do not exist for us.
    """

    name = "docker"

    def __init__(self, socket: str, owner: str) -> None:
        self.socket = socket.removeprefix("unix://")
        self.owner = owner
        self.cgroup_driver = "cgroupfs"
        self._api: Any = None
        self._engine = Engine(self.socket)
        self._threads = ThreadPoolExecutor(_WORKERS, thread_name_prefix="docker")
        self._pause = ""
        self._pause_lock = asyncio.Lock()
        self._own_netns = True
        self._version = ""

    async def _call(self, function: Callable[..., R], *args: Any, **kwargs: Any) -> R:
        """Run in the pool.

        A cancelled caller still waits: a call cannot be taken back, and what it made must be known.
        """
        future = asyncio.get_running_loop().run_in_executor(self._threads, lambda: function(*args, **kwargs))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            raise
        except Exception as error:
            raise _fault(error) from error

    async def start(self) -> None:
        def connect() -> tuple[Any, dict[str, Any]]:
            from docker.api.client import APIClient

            for name in ("docker", "urllib3"):
                logging.getLogger(name).setLevel(logging.WARNING)

            api = APIClient(
                base_url=f"unix://{self.socket}", version="auto", timeout=120, max_pool_size=_WORKERS + 2
            )
            return api, api.info()

        self._api, info = await self._call(connect)
        self._version = str(info.get("ServerVersion") or "")
        self.cgroup_driver = str(info.get("CgroupDriver") or "cgroupfs")
        if any("userns" in option for option in info.get("SecurityOptions") or ()):
            self._own_netns = False
        self._engine.api_version = self._api.api_version
        await self._ensure_pause()

    async def close(self) -> None:
        await self._engine.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._api is not None:
            self._api.close()

    async def version(self) -> str:
        return self._version

    # Containers.

    async def containers(self) -> list[ContainerState]:
        found = []
        for id in await self._list():
            try:
                found.append(await self.inspect(id))
            except NoSuchContainer:
                continue
        return found

    async def of(self, uid: str) -> list[str]:
        return await self._list(f"{base.LABEL_UID}={uid}")

    async def _list(self, *labels: str) -> list[str]:
        filters = {"label": [f"{base.LABEL_OWNER}={self.owner}", *labels]}
        return [str(item["Id"]) for item in await self._call(self._api.containers, all=True, filters=filters)]

    async def inspect(self, id: str) -> ContainerState:
        return self._state(await self._call(self._api.inspect_container, id))

    def _state(self, body: dict[str, Any]) -> ContainerState:
        labels = body["Config"].get("Labels") or {}
        state = body["State"]
        if labels.get(base.LABEL_OWNER) != self.owner:
            raise NoSuchContainer(f"container {body['Id'][:12]} is not ours")
        status: base.Status = "created"
        if state.get("Running") or state.get("Paused") or state.get("Restarting"):
            status = "running"
        elif state.get("Status") in ("exited", "dead", "removing") or state.get("Error"):
            # "created" with an error: it could not be started, and never will be.
            status = "exited"
        return ContainerState(
            id=body["Id"],
            uid=labels.get(base.LABEL_UID, ""),
            namespace=labels.get(base.LABEL_NAMESPACE, ""),
            pod=labels.get(base.LABEL_POD, ""),
            name=labels.get(base.LABEL_CONTAINER, ""),
            attempt=int(labels.get(base.LABEL_ATTEMPT) or 0),
            spec_hash=labels.get(base.LABEL_HASH, ""),
            image=body["Config"].get("Image", ""),
            image_id=body.get("Image", ""),
            status=status,
            created=datetime.fromisoformat(body["Created"][:19] + "+00:00").timestamp(),
            sandbox=labels.get(base.LABEL_SANDBOX, ""),
            started_at=_seconds(state.get("StartedAt")),
            finished_at=_seconds(state.get("FinishedAt")),
            exit_code=int(state.get("ExitCode") or 0)
            or (128 if status == "exited" and not state.get("Pid") and state.get("Error") else 0),
            oom_killed=bool(state.get("OOMKilled")),
            error=str(state.get("Error") or ""),
            pid=int(state.get("Pid") or 0),
            tty=bool(body["Config"].get("Tty")),
            grace=int(labels.get(base.LABEL_GRACE) or 30),
            stop_signal=str(body["Config"].get("StopSignal") or ""),
        )

    async def events(self) -> AsyncIterator[str]:
        filters = {
            "type": ["container"],
            "event": ["die", "destroy", "oom"],
            "label": [f"{base.LABEL_OWNER}={self.owner}"],
        }
        async for line in self._engine.lines("/events", {"filters": json.dumps(filters)}):
            if not line:
                yield ""
                continue
            event = json.loads(line)
            yield event.get("Actor", {}).get("ID") or event.get("id") or ""

    async def create_sandbox(self, spec: SandboxSpec) -> str:
        own = self._own_netns and not spec.host_network
        body = docker_bodies.sandbox(spec, self.owner, f"{pause.REPOSITORY}:{self._pause}", own_netns=own)
        name = docker_bodies.name(spec.uid, spec.namespace, spec.pod, "POD", spec.attempt)
        try:
            return await self._create(body, name)
        except NoSuchImage:
            # Somebody pruned images.
            self._pause = ""
            await self._ensure_pause()
            return await self._create(body, name)

    async def start_sandbox(
        self, id: str, *, host_network: bool, sysctls: Mapping[str, str]
    ) -> ContainerState:
        state = await self.start_container(id)
        if host_network:
            return state
        for _ in range(500):
            if not is_ours(state.pid):
                break
            await asyncio.sleep(0.002)
        else:
            self._own_netns = False
            log.warning(
                "the sandbox program got no network namespace of its own: using network none from now on"
            )
            await self.remove(id)
            raise RuntimeFault("sandbox has no network namespace of its own")
        await self._call(prepare, state.pid, {**NETWORK_DEFAULTS, **sysctls})
        return state

    async def create(self, spec: ContainerSpec) -> str:
        name = docker_bodies.name(spec.uid, spec.namespace, spec.pod, spec.name, spec.attempt)
        return await self._create(docker_bodies.container(spec, self.owner), name)

    async def _create(self, body: dict[str, Any], name: str) -> str:
        def create() -> str:
            from docker.errors import APIError

            try:
                return str(self._api.create_container_from_config(body, name)["Id"])
            except APIError as error:
                if error.status_code != 409:
                    raise
                # The name is taken: left by a creation whose answer we did not live to see.
                labels = self._api.inspect_container(name)["Config"].get("Labels") or {}
                if labels.get(base.LABEL_OWNER) != self.owner:
                    raise
                self._api.remove_container(name, force=True, v=True)
                return str(self._api.create_container_from_config(body, name)["Id"])

        return await self._call(create)

    async def start_container(self, id: str) -> ContainerState:
        def start() -> dict[str, Any]:
            self._api.start(id)
            body: dict[str, Any] = self._api.inspect_container(id)
            return body

        return self._state(await self._call(start))

    async def signal(self, id: str, signal: str) -> None:
        def kill() -> None:
            from docker.errors import APIError

            try:
                self._api.kill(id, signal)
            except APIError as error:
                if error.status_code not in (404, 409):
                    raise

        await self._call(kill)

    async def remove(self, id: str) -> None:
        def remove() -> None:
            from docker.errors import APIError

            try:
                self._api.remove_container(id, force=True, v=True)
            except APIError as error:
                # 409: its removal is under way.
                if error.status_code not in (404, 409):
                    raise

        await self._call(remove)

    # Images.

    async def _ensure_pause(self) -> None:
        async with self._pause_lock:
            if self._pause:
                return
            tag, data = await asyncio.to_thread(pause.image, platform.machine())
            reference = f"{pause.REPOSITORY}:{tag}"
            if await self.image(reference) is None:
                log.info("building the sandbox image %s", reference)
                await self._call(
                    self._api.import_image_from_data,
                    data,
                    repository=pause.REPOSITORY,
                    tag=tag,
                    changes=['ENTRYPOINT ["/pause"]'],
                )
            self._pause = tag

    async def image(self, reference: str) -> Image | None:
        try:
            body = await self._call(self._api.inspect_image, reference)
        except (NoSuchImage, NoSuchContainer):
            return None
        digests = body.get("RepoDigests") or []
        return Image(
            id=body["Id"],
            reference=f"docker-pullable://{digests[0]}" if digests else f"docker://{body['Id']}",
            user=(body.get("Config") or {}).get("User") or "",
            size=int(body.get("Size") or 0),
        )

    async def pull(self, reference: str, auth: dict[str, str] | None) -> None:
        await self._engine.pull(reference, auth)

    # Streams.

    def logs(self, container: ContainerState, options: LogOptions) -> AsyncIterator[tuple[int, bytes]]:
        return self._engine.logs(container.id, container.tty, options)

    async def exec(self, id: str, command: list[str], *, stdin: bool, tty: bool) -> tuple[str, Stream]:
        def create() -> str:
            made = self._api.exec_create(id, command, stdout=True, stderr=True, stdin=stdin, tty=tty)
            return str(made["Id"])

        exec_id = await self._call(create)
        return exec_id, await self._engine.start_exec(exec_id, tty)

    async def exec_exit(self, exec_id: str) -> int:
        # The Engine may close the streams a moment before it knows the code.
        for _ in range(100):
            body = await self._call(self._api.exec_inspect, exec_id)
            if not body.get("Running"):
                return int(body.get("ExitCode") or 0)
            await asyncio.sleep(0.02)
        raise RuntimeFault("the command closed its streams and runs on")

    async def exec_kill(self, exec_id: str) -> None:
        # The Engine has no call for it. Its processes are the host's, as ours are.
        with contextlib.suppress(RuntimeFault, OSError):
            for _ in range(100):
                body = await self._call(self._api.exec_inspect, exec_id)
                if body.get("Running") and body.get("Pid"):
                    return os.kill(int(body["Pid"]), signal.SIGKILL)
                if body.get("ExitCode") is not None:
                    return
                await asyncio.sleep(0.05)  # the Engine answers before the process is there

    async def exec_resize(self, exec_id: str, width: int, height: int) -> None:
        await self._call(self._api.exec_resize, exec_id, height=height, width=width)

    async def attach(self, container: ContainerState, *, stdin: bool) -> Stream:
        return await self._engine.attach(container.id, container.tty, stdin)

    async def resize(self, id: str, width: int, height: int) -> None:
        await self._call(self._api.resize, id, height, width)

    async def usage(self, id: str) -> Usage | None:
        try:
            body = await self._call(self._api.stats, id, stream=False, one_shot=True)
        except RuntimeFault:
            return None
        memory = body.get("memory_stats") or {}
        details = memory.get("stats") or {}
        used = int(memory.get("usage") or 0)
        inactive = int(details.get("total_inactive_file") or details.get("inactive_file") or 0)
        cpu = (body.get("cpu_stats") or {}).get("cpu_usage") or {}
        rss = int(details.get("total_rss") or details.get("anon") or 0)
        return Usage(int(cpu.get("total_usage") or 0), used, max(used - inactive, 0), rss)


def _fault(error: Exception) -> RuntimeFault:
    if isinstance(error, RuntimeFault):
        return error
    from docker.errors import APIError

    if isinstance(error, APIError):
        text = str(error.explanation or error)
        if error.status_code == 400 and "invalid reference format" in text:
            return InvalidImageName(text)
        if error.status_code == 404:
            if "No such image" in text or "not found: manifest" in text:
                return NoSuchImage(text)
            if "No such container" in text or "no such container" in text.lower():
                return NoSuchContainer(text)
            if "image" in text.lower():
                return NoSuchImage(text)
        return RuntimeFault(text)
    return RuntimeFault(f"{type(error).__name__}: {error}")


def _seconds(text: str | None) -> str:
    """Engine time (nine decimals; year 1 for never) as meta/v1 Time."""
    if not text or text.startswith("0001-"):
        return ""
    moment = datetime.fromisoformat(text[:19] + ("Z" if text.endswith("Z") else text[-6:]))
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
