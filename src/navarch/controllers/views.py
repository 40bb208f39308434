# SPDX-License-Identifier: GPL-3.0-or-later
"""What controllers keep of each pod, node and any object: few fields, one shared copy."""

from __future__ import annotations

import msgspec

from navarch.api.core.node.node import NodeCondition
from navarch.client.informer import Informer, Informers
from navarch.client.views import Taint, Toleration, View


class Owner(View):
    kind: str = ""
    name: str = ""
    uid: str = ""
    api_version: str = ""
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class Meta(View):
    """ObjectMeta without what no controller reads."""

    name: str = ""
    namespace: str | None = None
    uid: str = ""
    resource_version: str = ""
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] | None = None
    owner_references: list[Owner] | None = None
    finalizers: list[str] | None = None

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class PodAnnotations(View):
    deletion_cost: str | None = msgspec.field(name="controller.kubernetes.io/pod-deletion-cost", default=None)


class PodMeta(Meta):
    annotations: PodAnnotations | None = None


class ObjectView(View):
    metadata: Meta = Meta()


class Port(View):
    container_port: int = 0
    name: str | None = None
    protocol: str | None = None


class Container(View):
    ports: list[Port] | None = None


class PodSpecView(View):
    node_name: str | None = None
    hostname: str | None = None
    subdomain: str | None = None
    containers: list[Container] | None = None
    tolerations: list[Toleration] | None = None


class PodConditionView(View):
    type: str = ""
    status: str = ""
    last_transition_time: str | None = None


class PodAddress(View):
    ip: str = ""


class ContainerStatusView(View):
    restart_count: int = 0


class PodStatusView(View):
    phase: str | None = None
    reason: str | None = None
    pod_ip: str | None = msgspec.field(name="podIP", default=None)
    conditions: list[PodConditionView] | None = None
    container_statuses: list[ContainerStatusView] | None = None


class PodView(View):
    metadata: PodMeta = PodMeta()
    spec: PodSpecView = PodSpecView()
    status: PodStatusView = PodStatusView()

    @property
    def finished(self) -> bool:
        return self.status.phase in ("Succeeded", "Failed")

    @property
    def ready_since(self) -> str | None:
        """When the pod became ready (RFC 3339), or None when it is not."""
        for condition in self.status.conditions or ():
            if condition.type == "Ready" and condition.status == "True":
                return condition.last_transition_time or ""
        return None

    @property
    def controller(self) -> Owner | None:
        for owner in self.metadata.owner_references or ():
            if owner.controller:
                return owner
        return None


class NodeSpecView(View):
    pod_cidr: str | None = msgspec.field(name="podCIDR", default=None)
    pod_cidrs: list[str] | None = msgspec.field(name="podCIDRs", default=None)
    unschedulable: bool | None = None
    taints: list[Taint] | None = None


class AddressView(View):
    type: str = ""
    address: str = ""


class NodeStatusView(View):
    conditions: list[NodeCondition] | None = None
    addresses: list[AddressView] | None = None


class NodeView(View):
    metadata: Meta = Meta()
    spec: NodeSpecView = NodeSpecView()
    status: NodeStatusView = NodeStatusView()

    def condition(self, type: str) -> NodeCondition | None:
        for condition in self.status.conditions or ():
            if condition.type == type:
                return condition
        return None


class LeaseSpecView(View):
    renew_time: str | None = None


class LeaseView(View):
    metadata: Meta = Meta()
    spec: LeaseSpecView = LeaseSpecView()


def pods(informers: Informers) -> Informer[PodView]:
    """The pods all controllers share.

    Indexed by `node`, `namespace`, `owner` (uid of the controlling owner) and `orphan` (namespace of those
    without one).
    """
    from navarch.api.core.pod.pod import Pod

    informer = informers.of(Pod, view=PodView)
    informer.index("node", lambda pod: [pod.spec.node_name] if pod.spec.node_name else [])
    informer.index("namespace", lambda pod: [pod.metadata.namespace or ""])
    informer.index("owner", lambda pod: [owner.uid] if (owner := pod.controller) else [])
    informer.index("orphan", lambda pod: [] if pod.controller else [pod.metadata.namespace or ""])
    return informer


def nodes(informers: Informers) -> Informer[NodeView]:
    from navarch.api.core.node.node import Node

    return informers.of(Node, view=NodeView)


def leases(informers: Informers) -> Informer[LeaseView]:
    """Of all namespaces: the nodes' are nearly all there are."""
    from navarch.api.coordination.lease import Lease

    return informers.of(Lease, view=LeaseView)


__all__ = ["LeaseView", "NodeView", "ObjectView", "PodView", "leases", "nodes", "pods"]
