# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scheduler reads of pods and nodes: small structs decoded straight from the stored bytes.

What decides a pod's placement stays raw (`PodRow.spec` fields of type Raw). Pods of one template have equal
bytes there. `EquivalenceClasses` turns equal bytes into one shared `EquivalenceClass` without
decoding them again.
"""

from __future__ import annotations

from typing import Any

import msgspec

from navarch.api.core.pod.affinity import PodAffinity, PodAntiAffinity
from navarch.api.machinery.meta import Quantity
from navarch.client.views import Taint, View

_NOTHING = msgspec.Raw(b"")


class Meta(View):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    deletion_timestamp: str | None = None
    creation_timestamp: str = ""
    labels: msgspec.Raw = _NOTHING
    owner_references: msgspec.Raw = _NOTHING


class PodRowSpec(View):
    containers: msgspec.Raw = _NOTHING
    init_containers: msgspec.Raw = _NOTHING
    overhead: msgspec.Raw = _NOTHING
    node_selector: msgspec.Raw = _NOTHING
    affinity: msgspec.Raw = _NOTHING
    tolerations: msgspec.Raw = _NOTHING
    topology_spread_constraints: msgspec.Raw = _NOTHING
    scheduling_gates: msgspec.Raw = _NOTHING
    node_name: str | None = None
    scheduler_name: str | None = None
    priority: int | None = None


class PodCondition(View):
    type: str = ""
    status: str = ""
    message: str | None = None


class PodRowStatus(View):
    phase: str | None = None
    conditions: msgspec.Raw = _NOTHING


class PodRow(View):
    metadata: Meta = Meta()
    spec: PodRowSpec = PodRowSpec()
    status: PodRowStatus = PodRowStatus()


class NamespaceMeta(View):
    name: str = ""
    namespace: str | None = None
    resource_version: str = ""
    labels: dict[str, str] | None = None


class NamespaceRow(View):
    metadata: NamespaceMeta = NamespaceMeta()


class NodeMeta(View):
    name: str = ""
    namespace: str | None = None
    resource_version: str = ""
    labels: dict[str, str] | None = None


class NodeRowSpec(View):
    unschedulable: bool | None = None
    taints: list[Taint] | None = None


class NodeRowStatus(View):
    allocatable: dict[str, Quantity] | None = None
    capacity: dict[str, Quantity] | None = None


class NodeRow(View):
    metadata: NodeMeta = NodeMeta()
    spec: NodeRowSpec = NodeRowSpec()
    status: NodeRowStatus = NodeRowStatus()


# What a EquivalenceClass is made of, decoded only when its bytes are new.


class Port(View):
    container_port: int = 0
    host_port: int | None = None
    host_ip: str | None = msgspec.field(name="hostIP", default=None)
    protocol: str | None = None


class Resources(View):
    requests: dict[str, Quantity] | None = None
    limits: dict[str, Quantity] | None = None


class Container(View):
    resources: Resources = Resources()
    ports: list[Port] | None = None
    restart_policy: str | None = None


class Affinity(View):
    node_affinity: dict[str, Any] | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAntiAffinity | None = None


class Owner(View):
    uid: str = ""
    controller: bool | None = None
