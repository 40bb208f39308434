# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes late, out of order or fails once: a pod's worker against an engine and a master whose answers
the test holds back.

Both are doubles; all between them is the kubelet's own.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from kubelet_support import eventually

from navarch.api.core.configmap import ConfigMap
from navarch.api.core.pod.container import Container
from navarch.api.core.pod.pod import Pod
from navarch.api.core.pod.probe import HTTPGetAction, HTTPHeader
from navarch.api.core.pod.status import PodStatus
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import ObjectMeta, now
from navarch.client.base import WatchEvent
from navarch.kubelet.agent import Kubelet
from navarch.kubelet.config import KubeletConfig
from navarch.kubelet.pods import hooks, resources, termination
from navarch.kubelet.pods.worker import PodWorker
from navarch.kubelet.runtime import docker_streams
from navarch.kubelet.runtime.base import (
    SANDBOX,
    ContainerSpec,
    ContainerState,
    Image,
    NoSuchContainer,
    RuntimeFault,
    SandboxSpec,
)
from navarch.network.cni import CniError

UID = "0a1b2c3d-0000-4000-8000-000000000001"

Hold = Callable[..., Awaitable[Any]]


class Held:
    """Lets a test do something before a call and after it, by the call's name."""

    def __init__(self) -> None:
        self.before: dict[str, Hold] = {}
        self.after: dict[str, Hold] = {}
        self.calls: dict[str, int] = defaultdict(int)

    async def call(self, name: str, *words: Any) -> None:
        self.calls[name] += 1
        if name in self.before:
            await self.before[name](*words)

    async def called(self, name: str, *words: Any) -> None:
        if name in self.after:
            await self.after[name](*words)


class Engine(Held):
    """Containers that run until they get a signal; `deaf` ones until SIGKILL."""

    def __init__(self) -> None:
        super().__init__()
        self.have: dict[str, ContainerState] = {}
        self.deaf: set[str] = set()
        self.signals: list[tuple[str, str]] = []
        self.changed: Callable[[str], Awaitable[None]] | None = None
        self._ids = itertools.count(1)

    async def _made(self, spec: SandboxSpec | ContainerSpec, name: str, **more: Any) -> str:
        for old in [*self.have.values()]:
            if (old.uid, old.name, old.attempt) == (spec.uid, name, spec.attempt):
                del self.have[old.id]
        id = f"{next(self._ids):064x}"
        self.have[id] = ContainerState(
            id=id,
            uid=spec.uid,
            namespace=spec.namespace,
            pod=spec.pod,
            name=name,
            attempt=spec.attempt,
            image_id="sha256:0",
            status="created",
            created=time.time(),
            **more,
        )
        return id

    def _get(self, id: str) -> ContainerState:
        if id not in self.have:
            raise NoSuchContainer(id)
        return self.have[id]

    def _set(self, id: str, **changes: Any) -> ContainerState:
        self.have[id] = msgspec.structs.replace(self._get(id), **changes)
        return self.have[id]

    async def create_sandbox(self, spec: SandboxSpec) -> str:
        await self.call("create_sandbox")
        id = await self._made(spec, SANDBOX, spec_hash="", image="pause")
        await self.called("create_sandbox")
        return id

    async def start_sandbox(self, id: str, **_: Any) -> ContainerState:
        await self.call("start_sandbox")
        state = self._set(id, status="running", pid=1, started_at="2026-01-01T00:00:00Z")
        await self.called("start_sandbox")
        return state

    async def create(self, spec: ContainerSpec) -> str:
        await self.call("create", spec.name)
        id = await self._made(
            spec, spec.name, spec_hash=spec.spec_hash, image=spec.image, sandbox=spec.sandbox
        )
        await self.called("create", spec.name)
        return id

    async def start_container(self, id: str) -> ContainerState:
        await self.call("start_container", id)
        state = self._set(id, status="running", pid=2, started_at="2026-01-01T00:00:00Z")
        await self.called("start_container", id)
        return state

    async def end(self, id: str, code: int) -> None:
        self._set(id, status="exited", exit_code=code, finished_at=now(), pid=0)
        if self.changed is not None:
            await self.changed(id)

    async def signal(self, id: str, signal: str) -> None:
        await self.call("signal", id, signal)
        name = self._get(id).name
        self.signals.append((name, signal))
        if self._get(id).status == "running" and (signal == "SIGKILL" or name not in self.deaf):
            await self.end(id, 137 if signal == "SIGKILL" else 0)

    async def remove(self, id: str) -> None:
        await self.call("remove", id)
        self.have.pop(id, None)

    async def inspect(self, id: str) -> ContainerState:
        await self.call("inspect", id)
        return self._get(id)

    async def containers(self) -> list[ContainerState]:
        found = [*self.have.values()]
        await self.called("containers")
        return found

    async def of(self, uid: str) -> list[str]:
        return [state.id for state in self.have.values() if state.uid == uid]

    async def image(self, reference: str) -> Image:
        await self.call("image")
        return Image("sha256:0", "docker://sha256:0", "")

    async def pull(self, reference: str, auth: Any) -> None:
        await self.call("pull")

    async def close(self) -> None:
        pass


class Master(Held):
    """The one pod as the master has it."""

    def __init__(self) -> None:
        super().__init__()
        self.pod: Pod | None = None
        self.told: list[PodStatus] = []

    async def patch(self, kind: Any, name: str, namespace: Any, body: Any, **_: Any) -> Pod:
        merged = {
            key: [one for one in value if "$patch" not in one] if isinstance(value, list) else value
            for key, value in body["status"].items()
        }
        status = msgspec.convert(merged, PodStatus)
        await self.call("patch", status)
        if self.pod is None:
            raise StatusError(404, "NotFound", name)
        self.told.append(status)
        self.change(status=status)
        pod = self.pod
        await self.called("patch", status)
        return pod

    async def get(self, kind: Any, name: str, namespace: str) -> Pod:
        await self.call("get")
        if self.pod is None:
            raise StatusError(404, "NotFound", name)
        return self.pod

    def change(self, **changes: Any) -> Pod:
        """A new version; of the metadata what is named so."""
        assert self.pod is not None
        meta = msgspec.structs.replace(
            self.pod.metadata,
            resource_version=str(int(self.pod.metadata.resource_version or 0) + 1),
            **changes.pop("metadata", {}),
        )
        self.pod = msgspec.structs.replace(self.pod, metadata=meta, **changes)
        return self.pod

    async def delete(self, kind: Any, name: str, namespace: str, **_: Any) -> Pod:
        await self.call("delete")
        if self.pod is None:
            raise StatusError(404, "NotFound", name)
        pod, self.pod = self.pod, None
        return pod


class Network(Held):
    """In place of CNI and the host's rules."""

    def __init__(self) -> None:
        super().__init__()
        self.attached: dict[str, list[str]] = {}

    def ips(self, id: str) -> list[str]:
        return self.attached.get(id, [])

    async def add(self, id: str, pid: int, **_: Any) -> list[str]:
        await self.call("add", id)
        self.attached[id] = ["10.1.0.5"]
        return self.attached[id]

    async def delete(self, id: str, pid: int = 0) -> None:
        self.attached.pop(id, None)

    async def set_ports(self, uid: str, ports: Any) -> None:
        await self.call("set_ports")


class Ground:
    def __init__(self, folder: Path) -> None:
        self.engine, self.master, self.network = Engine(), Master(), Network()
        config = KubeletConfig(data_dir=str(folder), node_name="n", cluster_dns="", node_ip="192.0.2.1")
        client: Any = self.master
        self.kubelet = kubelet = Kubelet(config, client)
        double: Any = self.engine
        shared = kubelet.shared
        kubelet.runtime = shared.runtime = double
        kubelet.containers._runtime = kubelet.images._runtime = double
        network: Any = self.network
        shared.cni = shared.host = network
        shared.network_ready.set()
        kubelet.services.services.synced.set()
        self.engine.changed = kubelet.containers.refresh
        (folder / "pods").mkdir()
        self._posts = asyncio.create_task(kubelet.status_manager.run())

    def pod(self, *containers: dict[str, Any], **spec: Any) -> None:
        """Bind it to the node."""
        document = {
            "metadata": {"name": "p", "namespace": "d", "uid": UID, "resourceVersion": "1"},
            "spec": {"containers": [{"image": "i", "command": ["x"], **c} for c in containers], **spec},
            "status": {"phase": "Pending"},
        }
        self.master.pod = msgspec.convert(document, Pod)
        self.kubelet.replace([self.master.pod])

    def watch(self, pod: Pod | None = None) -> None:
        """The kubelet hears how the pod is now, or was."""
        pod = pod or self.master.pod
        assert pod is not None
        self.kubelet.apply([WatchEvent("MODIFIED", pod, pod.metadata.resource_version or "")])

    def delete(self, grace: int) -> None:
        stamp = {"deletion_timestamp": "2026-01-01T00:00:00Z", "deletion_grace_period_seconds": grace}
        self.master.change(metadata=stamp)
        self.watch()

    @property
    def worker(self) -> PodWorker:
        return self.kubelet.workers[UID]

    def running(self, name: str) -> list[ContainerState]:
        return [c for c in self.engine.have.values() if c.name == name and c.status == "running"]

    def told_running(self) -> bool:
        return bool(self.master.told) and self.master.told[-1].phase == "Running"

    async def gone(self) -> None:
        await eventually(lambda: self.master.pod is None and not self.kubelet.workers, 10)

    async def close(self) -> None:
        self._posts.cancel()
        await asyncio.gather(self._posts, return_exceptions=True)
        await self.kubelet.stop()


@pytest_asyncio.fixture
async def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ground]:
    monkeypatch.setattr(resources, "weigh", lambda *_: None)  # the host's own
    made = Ground(tmp_path)
    yield made
    await made.close()


async def test_a_deletion_shortens_the_grace_of_what_is_being_restarted(ground: Ground) -> None:
    ground.engine.deaf.add("a")
    ground.pod({"name": "a"}, terminationGracePeriodSeconds=600)
    await eventually(lambda: ground.running("a"))
    assert ground.master.pod is not None
    spec = ground.master.pod.spec
    assert spec is not None
    changed = [msgspec.structs.replace(spec.containers[0], image="other")]
    ground.master.change(spec=msgspec.structs.replace(spec, containers=changed))
    ground.watch()
    await eventually(lambda: ("a", "SIGTERM") in ground.engine.signals)
    ground.delete(grace=1)
    await ground.gone()
    assert ground.engine.calls["create"] == 1, "a deleted pod's container was started anew"


async def test_a_second_deletion_shortens_the_grace_of_the_first(ground: Ground) -> None:
    ground.engine.deaf.add("a")
    ground.pod({"name": "a"})
    await eventually(lambda: ground.running("a"))
    ground.delete(grace=600)
    await eventually(lambda: ("a", "SIGTERM") in ground.engine.signals)
    ground.delete(grace=1)
    await ground.gone()


async def test_a_restart_that_looks_for_its_image_first_is_one_restart(ground: Ground) -> None:
    ground.pod({"name": "a", "imagePullPolicy": "Always"})
    first = (await eventually(lambda: ground.running("a")))[0]
    await ground.engine.end(first.id, 1)
    second = (await eventually(lambda: ground.running("a"), 8))[0]  # at once: it had not failed before
    await ground.engine.end(second.id, 1)
    said = await eventually(lambda: ground.worker.facts.backing_off.get("a"))
    assert said.startswith("back-off 10s"), said
    assert ground.engine.calls["pull"] == 2


async def test_what_is_to_end_ends_though_the_engine_was_away(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(termination, "_KILL_PATIENCE", 0.05)
    ground.pod({"name": "a"})
    await eventually(lambda: ground.running("a"))

    async def away(*_: object) -> None:
        raise RuntimeFault("the engine is away")

    ground.engine.before.update(signal=away, inspect=away)
    assert ground.worker.pod.spec is not None
    container = ground.worker.pod.spec.containers[0]
    probe = asyncio.create_task(
        ground.worker.stop_container(container, ground.running("a")[0], "failed liveness probe", 0.05)
    )
    await eventually(lambda: ground.engine.calls["inspect"] > 1)
    ground.engine.before.clear()
    await probe
    assert ground.engine.signals == [("a", "SIGKILL")]


async def test_a_container_that_starts_while_the_engine_lists_is_not_taken_for_gone(ground: Ground) -> None:
    listed, go = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        listed.set()
        await go.wait()

    ground.engine.after["containers"] = hold
    listing = asyncio.create_task(ground.kubelet.containers.relist())
    await listed.wait()
    ground.pod({"name": "a"})
    await eventually(lambda: ground.running("a"))
    go.set()
    await listing
    await asyncio.sleep(0.2)
    assert (ground.engine.calls["create_sandbox"], ground.engine.calls["create"]) == (1, 1)


async def test_a_container_that_was_made_and_never_started_goes_with_its_pod(ground: Ground) -> None:
    made = asyncio.Event()

    async def note(name: str) -> None:
        made.set()

    async def full(*_: object) -> None:
        await made.wait()
        raise CniError("no addresses are left")

    ground.engine.after["create"] = note
    ground.network.before["add"] = full
    ground.pod({"name": "a"})
    await made.wait()
    ground.delete(grace=1)
    await ground.gone()
    assert ground.engine.have == {}


async def test_a_sandbox_whose_start_failed_goes_with_its_pod(ground: Ground) -> None:
    async def fail() -> None:
        raise RuntimeFault("no such sysctl")

    ground.engine.after["start_sandbox"] = fail
    ground.pod({"name": "a"})
    await eventually(lambda: ground.engine.calls["start_sandbox"])
    ground.delete(grace=1)
    await ground.gone()
    assert ground.engine.have == {}


def missing(path: Path) -> dict[str, Any]:
    """A volume that cannot be set up before there is such a file."""
    return {"volumes": [{"name": "v", "hostPath": {"path": str(path), "type": "File"}}]}


async def test_a_sandbox_that_is_being_made_is_not_made_again(ground: Ground, tmp_path: Path) -> None:
    go = asyncio.Event()
    ground.engine.after["create_sandbox"] = go.wait
    ground.pod({"name": "a"}, **missing(tmp_path / "f"))
    await eventually(lambda: ground.engine.calls["create_sandbox"])
    await asyncio.sleep(0.1)
    (tmp_path / "f").touch()
    ground.worker.wake()
    await asyncio.sleep(0.2)
    go.set()
    await eventually(lambda: ground.running("a"))
    assert ground.engine.calls["create_sandbox"] == 1


async def test_a_sandbox_that_is_being_started_goes_with_its_pod(ground: Ground, tmp_path: Path) -> None:
    go = asyncio.Event()
    ground.engine.after["start_sandbox"] = go.wait
    ground.pod({"name": "a"}, **missing(tmp_path / "f"))
    await eventually(lambda: ground.engine.calls["start_sandbox"])
    ground.delete(grace=1)
    await asyncio.sleep(0.3)
    go.set()
    await ground.gone()
    await asyncio.sleep(0.1)
    assert ground.engine.have == {}
    assert ground.network.attached == {}


async def test_a_sandbox_that_failed_is_made_anew_once_for_all_containers(ground: Ground) -> None:
    failed = asyncio.Event()

    async def fail() -> None:
        if ground.engine.calls["start_sandbox"] == 1:
            failed.set()
            raise RuntimeFault("once")

    async def slow() -> None:
        await asyncio.sleep(0.1)

    async def late() -> None:
        await failed.wait()
        await asyncio.sleep(0.01)

    ground.engine.before["start_sandbox"] = fail
    ground.engine.after["create_sandbox"] = slow
    ground.engine.before["image"] = late
    ground.pod({"name": "a"}, {"name": "b"})
    await eventually(lambda: ground.running("a") and ground.running("b"))
    await asyncio.sleep(0.3)
    assert (ground.engine.calls["create_sandbox"], ground.engine.calls["create"]) == (2, 2)


async def test_a_status_that_is_on_its_way_does_not_come_after_the_last_one(ground: Ground) -> None:
    ground.pod({"name": "a"})
    await eventually(ground.told_running)
    await asyncio.sleep(0.6)
    on_its_way, go = asyncio.Event(), asyncio.Event()

    async def hold(status: PodStatus) -> None:
        if not on_its_way.is_set():
            on_its_way.set()
            await go.wait()

    async def after_it() -> None:
        await go.wait()
        await asyncio.sleep(0.05)

    ground.master.before.update(patch=hold, delete=after_it)
    ground.worker.facts.unready.add("a")
    ground.kubelet.status_manager.post(UID, 0.0)
    await on_its_way.wait()
    ground.delete(grace=1)
    await asyncio.sleep(0.3)
    go.set()
    await ground.gone()
    assert ground.master.told[-1].phase == "Succeeded"


async def test_the_last_status_stays_though_the_master_hears_it_late(ground: Ground) -> None:
    ground.pod({"name": "a"})
    await eventually(ground.told_running)
    await asyncio.sleep(0.6)

    async def refuse(status: PodStatus) -> None:
        if not ground.engine.calls["remove"] or ground.engine.have:
            raise StatusError(500, "InternalError", "once more")

    ground.master.before["patch"] = refuse
    ground.delete(grace=1)
    await ground.gone()
    assert ground.master.told[-1].phase == "Succeeded"
    ended = [s.state for s in ground.master.told[-1].container_statuses or ()]
    assert [state.terminated is not None for state in ended if state is not None] == [True]


async def test_a_pod_that_a_list_lacks_ends_when_the_master_says_that_it_is_gone(ground: Ground) -> None:
    """The list also lacks an object that is damaged in the store."""
    ground.pod({"name": "a"})
    await eventually(ground.told_running)
    [before] = ground.running("a")
    pod, unreadable = ground.master.pod, True

    async def answer(*_: Any) -> None:
        if unreadable:
            raise StatusError(500, "StorageReadError", "it cannot be read")

    ground.master.before["get"] = answer
    ground.kubelet.replace([])
    await eventually(lambda: ground.master.calls["get"] >= 2)
    assert ground.running("a") == [before]

    # It was restored.
    assert pod is not None
    ground.kubelet.replace([pod])
    calls = ground.master.calls["get"]
    ground.kubelet.replace([])
    await eventually(lambda: ground.master.calls["get"] > calls)
    assert ground.running("a") == [before]

    unreadable, ground.master.pod = False, None
    await ground.gone()
    assert not ground.running("a")


async def test_a_late_watch_takes_back_nothing_that_was_told(ground: Ground) -> None:
    ground.pod({"name": "a"})
    await eventually(ground.told_running)
    await asyncio.sleep(0.6)
    told, newest = len(ground.master.told), ground.worker.pod
    assert ground.master.pod is not None
    old = msgspec.structs.replace(
        ground.master.pod,
        metadata=msgspec.structs.replace(ground.master.pod.metadata, resource_version="1"),
        status=PodStatus(phase="Pending"),
    )
    ground.watch(old)
    await asyncio.sleep(0.3)
    assert ground.worker.pod is newest
    assert len(ground.master.told) == told
    # A list says how things are, even when the master was restored from a backup.
    ground.kubelet.replace([old])
    assert ground.worker.pod is old


async def test_what_changes_while_a_container_starts_is_shown(ground: Ground, tmp_path: Path) -> None:
    shown = ConfigMap(metadata=ObjectMeta(name="c", namespace="d"), data={"k": "old"})
    started, go = asyncio.Event(), asyncio.Event()

    async def find(*_: object) -> ConfigMap:
        return shown

    async def hold(id: str) -> None:
        started.set()
        await go.wait()

    objects: Any = ground.kubelet.objects
    objects.find = find
    ground.engine.after["start_container"] = hold
    ground.pod({"name": "a"}, volumes=[{"name": "c", "configMap": {"name": "c"}}])
    await started.wait()
    shown = msgspec.structs.replace(shown, data={"k": "new"})
    ground.kubelet._content_changed(UID)
    go.set()
    file = tmp_path / "pods" / UID / "volumes" / "c" / "k"
    await eventually(lambda: file.read_text() == "new", 3)


async def test_what_cannot_be_asked_is_a_failure_that_a_probe_counts() -> None:
    """Anything else would end the probe for good, and nobody would hear of it."""
    container = Container(name="a")
    header = HTTPGetAction(port=1, http_headers=[HTTPHeader(name="X", value="a\nb")])
    with pytest.raises(hooks.ActionFailed):
        await hooks.http_get(container, header, "127.0.0.1", "test")
    with pytest.raises(hooks.ActionFailed):
        await hooks.tcp(container, 1, "a" * 70)
    with pytest.raises(RuntimeFault):
        await docker_streams.Engine("/no/such/socket").start_exec("x", False)


async def test_a_pod_whose_first_sandbox_failed_has_its_address(ground: Ground) -> None:
    failed = asyncio.Event()

    async def lose_the_answer() -> None:
        if ground.engine.calls["start_sandbox"] == 1:
            failed.set()
            raise RuntimeFault("once")

    async def late() -> None:
        await failed.wait()
        await asyncio.sleep(0.01)

    ground.engine.after["start_sandbox"] = lose_the_answer
    ground.engine.before["image"] = late
    ground.pod({"name": "a"})
    await eventually(ground.told_running)
    await eventually(lambda: ground.master.told[-1].pod_ip == "10.1.0.5", 5)
    conditions = {c.type: c.status for c in ground.master.told[-1].conditions or ()}
    assert conditions["PodReadyToStartContainers"] == "True"
    assert ground.network.calls["set_ports"]
