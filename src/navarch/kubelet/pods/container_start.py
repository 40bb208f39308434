# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting one container of a pod: image, environment, volumes, creation, start; what stands in the way goes
into the pod's facts.

Which containers to start, and when, is the worker's decision.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from pathlib import Path

from navarch.api.core.pod.container import Container
from navarch.api.core.pod.pod import Pod
from navarch.kubelet.objects import ObjectUnavailable, PodObjects
from navarch.kubelet.pods import env, resources, service_env, subpath
from navarch.kubelet.pods.context import Shared, record_event
from navarch.kubelet.pods.sandbox import Sandbox
from navarch.kubelet.pods.spec import SpecError, container_spec, sub_paths
from navarch.kubelet.pods.status import Facts
from navarch.kubelet.runtime.base import Mount, NoSuchImage, RuntimeFault
from navarch.kubelet.runtime.images import credentials
from navarch.kubelet.volumes import registry
from navarch.kubelet.volumes.base import Context, VolumeError, was_set_up

log = logging.getLogger(__name__)

#: How soon a refusal that no event will lift is tried again.
_RETRY = 10.0
_PATIENCE = 10.0


class ContainerStart:
    def __init__(self, shared: Shared, uid: str, facts: Facts, sandbox: Sandbox) -> None:
        self._shared = shared
        self._uid = uid
        self._facts = facts
        self._sandbox = sandbox
        self._objects: PodObjects = shared.objects.for_pod(uid)
        #: A volume shows what it showed before: its objects are gone, or the master is away.
        self.stale = False

    async def volumes(self, pod: Pod, *, live_only: bool = False) -> dict[str, Path]:
        """Set up the pod's volumes: name -> host path. Raises VolumeError.

        A container that starts again uses the present content of a volume when it cannot be read again.
        """
        spec = pod.spec
        assert spec is not None
        self.stale = False
        root = self._shared.pod_folder(self._uid) / "volumes"
        result: dict[str, Path] = {}
        for volume in spec.volumes or ():
            type = registry.find(volume)
            if live_only and not type.live:
                continue
            context = Context(
                pod,
                root / volume.name,
                self._objects,
                self._shared.tokens,
                self._shared.address.now,
                self._sandbox.ips[0] if self._sandbox.ips else "",
                self._shared.allocatable,
            )
            try:
                result[volume.name] = await type.set_up(volume, context)
            except (OSError, ObjectUnavailable, VolumeError) as error:
                failure = VolumeError(f"MountVolume.SetUp failed for volume {volume.name!r} : {error}")
                if live_only or not type.live or not was_set_up(context.folder):
                    raise failure from None
                record_event(self._shared, pod, "Warning", "FailedMount", str(failure))
                result[volume.name] = context.folder
                self.stale = True
        return result

    async def start(self, pod: Pod, container: Container, attempt: int, volumes: Mapping[str, Path]) -> float:
        """Start it. Returns the seconds after which to look again (0: an event will tell)."""
        shared, facts = self._shared, self._facts
        reference, policy = container.image or "", container.image_pull_policy or "IfNotPresent"
        verdict = await shared.images.ensure(
            self._uid, reference, policy, lambda: self._credentials(pod, reference)
        )
        if verdict.state != "present" or verdict.image is None:
            self._record_pull(pod, container, verdict.reason, verdict.message, fresh=verdict.fresh)
            facts.waiting[container.name] = (verdict.reason, verdict.message)
            shared.post(self._uid, 0.0 if verdict.state == "failed" else 0.3)
            return verdict.retry or (_RETRY if verdict.state == "failed" else 0.0)
        if attempt == 0 or verdict.pulled:
            text = (
                f'Successfully pulled image "{reference}"'
                if verdict.pulled
                else f'Container image "{reference}" already present on machine'
            )
            record_event(shared, pod, "Normal", "Pulled", text, container.name)
        id, ready = await self._sandbox.begin(pod)
        if env.needs_pod_ip(container):
            await asyncio.shield(ready)
        try:
            values = await env.build(
                pod,
                container,
                self._objects,
                node_ip=shared.address.now,
                pod_ip=self._sandbox.ips[0] if self._sandbox.ips else "",
                allocatable=shared.allocatable,
                services=await self._services(pod),
            )
            parts = sub_paths(container, volumes, values)
            ready_parts: Mapping[int, Path] = {}
            if parts:
                folder = shared.pod_folder(self._uid) / subpath.FOLDER / container.name
                ready_parts = await asyncio.to_thread(subpath.prepare, folder, parts)
            spec = container_spec(
                pod,
                container,
                attempt=attempt,
                sandbox=id,
                image=verdict.image,
                env=values,
                volumes=volumes,
                sub_paths=ready_parts,
                files=[*self._sandbox.mounts(pod), self._termination_log(container, attempt)],
                cgroup_parent=resources.cgroup_parent(self._uid, shared.cgroup_driver),
                node_memory=shared.node_memory,
                negative_oom=shared.negative_oom,
            )
        except (env.EnvError, SpecError, ObjectUnavailable) as error:
            return self._refused(pod, container, "CreateContainerConfigError", str(error))
        try:
            made = await shared.runtime.create(spec)
        except NoSuchImage as error:
            return self._refused(pod, container, "ErrImagePull", str(error))
        except RuntimeFault as error:
            return self._refused(pod, container, "CreateContainerError", str(error))
        for old in shared.containers.of(self._uid):
            if old.name == container.name and old.attempt == attempt and old.id != made:
                shared.containers.drop(old.id)  # its name went to the new one
        record_event(shared, pod, "Normal", "Created", f"Container created: {container.name}", container.name)
        await asyncio.shield(ready)
        try:
            state = await shared.runtime.start_container(made)
        except RuntimeFault as error:
            record_event(shared, pod, "Warning", "Failed", f"Error: {error}", container.name)
            await shared.containers.refresh(made)
            return 0.0
        facts.waiting.pop(container.name, None)
        facts.backing_off.pop(container.name, None)
        facts.image_ids[container.name] = verdict.image.reference
        shared.containers.put(state)
        record_event(shared, pod, "Normal", "Started", f"Container started: {container.name}", container.name)
        shared.post(self._uid, 0.01)
        return 0.0

    async def _services(self, pod: Pod) -> dict[str, str]:
        """Variables of the services there are; a pod does not wait long for the first list of them."""
        services = self._shared.services
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await services.services.synced.wait()
        return service_env.variables(pod, services.items())

    def _refused(self, pod: Pod, container: Container, reason: str, message: str) -> float:
        if self._facts.waiting.get(container.name) != (reason, message):
            record_event(self._shared, pod, "Warning", "Failed", f"Error: {message}", container.name)
        self._facts.waiting[container.name] = (reason, message)
        self._shared.post(self._uid, 0.0)
        return _RETRY

    def _record_pull(self, pod: Pod, container: Container, reason: str, message: str, *, fresh: bool) -> None:
        shared, reference = self._shared, container.image or ""
        if reason == "ContainerCreating":
            if fresh:
                record_event(shared, pod, "Normal", "Pulling", f'Pulling image "{reference}"', container.name)
        elif reason == "ErrImagePull":
            record_event(
                shared,
                pod,
                "Warning",
                "Failed",
                f'Failed to pull image "{reference}": {message}',
                container.name,
            )
            record_event(shared, pod, "Warning", "Failed", "Error: ErrImagePull", container.name)
        elif self._facts.waiting.get(container.name, ("", ""))[0] != reason:
            if reason == "ImagePullBackOff":
                record_event(
                    shared, pod, "Normal", "BackOff", f'Back-off pulling image "{reference}"', container.name
                )
                record_event(shared, pod, "Warning", "Failed", "Error: ImagePullBackOff", container.name)
            elif reason == "InvalidImageName":
                record_event(shared, pod, "Warning", "InspectFailed", message, container.name)
                record_event(shared, pod, "Warning", "Failed", "Error: InvalidImageName", container.name)
            else:
                record_event(shared, pod, "Warning", reason, message, container.name)

    async def _credentials(self, pod: Pod, reference: str) -> dict[str, str] | None:
        namespace = pod.metadata.namespace or ""
        for secret in (pod.spec.image_pull_secrets if pod.spec else None) or ():
            try:
                data = await self._objects.secret(namespace, secret.name or "")
            except ObjectUnavailable:
                continue
            found = credentials((data or {}).get(".dockerconfigjson", b""), reference)
            if found is not None:
                return found
        return None

    def _termination_log(self, container: Container, attempt: int) -> Mount:
        path = self.termination_log(container.name, attempt)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        path.chmod(0o666)
        return Mount(str(path), container.termination_message_path or "/dev/termination-log")

    def termination_log(self, container: str, attempt: int) -> Path:
        return self._shared.pod_folder(self._uid) / "containers" / container / str(attempt)
