# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps the cluster as it is declared: one controller a file, all on one set of informers. `run(client,
options)` runs them all."""

from __future__ import annotations

import asyncio

from navarch.client.base import Client
from navarch.client.events import EventRecorder
from navarch.client.informer import Informers
from navarch.controllers.base import Context, Controller, Options
from navarch.controllers.certificates import Certificates
from navarch.controllers.deployments import Deployments
from navarch.controllers.endpoints import EndpointsController
from navarch.controllers.endpointslices import EndpointSlices
from navarch.controllers.eviction import TaintEviction
from navarch.controllers.garbage_collector import GarbageCollector
from navarch.controllers.kubernetesservice import KubernetesService
from navarch.controllers.namespaces import Namespaces
from navarch.controllers.node_ipam import NodeIpam
from navarch.controllers.nodelifecycle import NodeLifecycle
from navarch.controllers.podgc import PodGC
from navarch.controllers.replicasets import ReplicaSets
from navarch.controllers.replication import Replication
from navarch.controllers.serviceaccounts import ServiceAccounts
from navarch.controllers.ttl import TimeToLive

CONTROLLERS: tuple[type[Controller], ...] = (
    Certificates,
    Deployments,
    EndpointSlices,
    EndpointsController,
    TimeToLive,
    GarbageCollector,
    KubernetesService,
    Namespaces,
    NodeLifecycle,
    NodeIpam,
    PodGC,
    ReplicaSets,
    Replication,
    ServiceAccounts,
    TaintEviction,
)


async def run(client: Client, options: Options) -> None:
    """All controllers, until cancelled."""
    informers = Informers(client)
    events = EventRecorder(client, "navarch-controllers")
    context = Context(client, informers, events, options)
    controllers = [make(context) for make in CONTROLLERS]
    try:
        await informers.start()
        async with asyncio.TaskGroup() as group:
            group.create_task(events.run(), name="controller events")
            for controller in controllers:
                group.create_task(controller.run(), name=type(controller).__name__)
    finally:
        await informers.stop()


__all__ = ["CONTROLLERS", "Options", "run"]
