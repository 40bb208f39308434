# SPDX-License-Identifier: GPL-3.0-or-later
"""What all parts of one kubelet share.

Built by `agent`; holds no behaviour beyond naming paths and telling about a pod.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

import msgspec

from navarch.api.core.pod.pod import Pod
from navarch.client.base import Client
from navarch.client.events import EventRecorder, Reference
from navarch.kubelet.config import KubeletConfig
from navarch.kubelet.objects import ObjectSource
from navarch.kubelet.pods.host_ports import HostPorts
from navarch.kubelet.pods.spec import Resolver
from navarch.kubelet.runtime.base import Runtime
from navarch.kubelet.runtime.containers import Containers
from navarch.kubelet.runtime.images import Images
from navarch.kubelet.tokens import TokenSource
from navarch.network.address import OwnAddress
from navarch.network.cni import Cni
from navarch.network.host import HostNetwork
from navarch.network.services import Services


class Shared(msgspec.Struct, kw_only=True):
    config: KubeletConfig
    client: Client
    runtime: Runtime
    containers: Containers
    images: Images
    objects: ObjectSource
    tokens: TokenSource
    services: Services
    address: OwnAddress
    cni: Cni
    host: HostNetwork
    ports: HostPorts = msgspec.field(default_factory=HostPorts)
    recorder: EventRecorder
    #: Post a pod's status within so many seconds.
    post: Callable[[str, float], None]
    #: Post it now and come back when it is known to the master.
    flush: Callable[[str], Awaitable[None]]
    clock: Callable[[], float]
    cgroup_driver: str
    node_memory: int
    negative_oom: bool
    resolver: Resolver
    #: Milli-cores for cpu, units for the rest.
    allocatable: dict[str, int] = {}
    network_ready: asyncio.Event = msgspec.field(default_factory=asyncio.Event)

    def pod_folder(self, uid: str) -> Path:
        return Path(self.config.data_dir) / "pods" / uid


def record_event(
    shared: Shared,
    pod: Pod,
    type: Literal["Normal", "Warning"],
    reason: str,
    message: str,
    container: str = "",
) -> None:
    """An event about a pod, or one of its containers."""
    meta = pod.metadata
    about = Reference(
        kind="Pod",
        name=meta.name or "",
        uid=meta.uid or "",
        namespace=meta.namespace or "",
        field_path=f"spec.containers{{{container}}}" if container else "",
    )
    shared.recorder.record(about, type, reason, message)
