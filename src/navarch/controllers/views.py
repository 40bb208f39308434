# SPDX-License-Identifier: GPL-3.0-or-later
"""What controllers keep of each pod, node and any object: few fields, one shared copy."""

from __future__ import annotations

import msgspec

from navarch.api.meta import ObjectMeta
from navarch.api.node import NodeCondition, Taint
from navarch.client.informer import Informer, Informers


class _View(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    pass


class Owner(_View):
    kind: str = ""
    name: str = ""
    uid: str = ""
    api_version: str = ""
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class Meta(_View):
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


class ObjectView(_View):
    metadata: Meta = Meta()


class Port(_View):
    container_port: int = 0
    name: str | None = None
    protocol: str | None = None


class Container(_View):
    ports: list[Port] | None = None


class Toleration(_View):
    key: str | None = None
    operator: str | None = None
    value: str | None = None
    effect: str | None = None
    toleration_seconds: int | None = None

    def tolerates(self, taint: Taint) -> bool:
        if self.effect and self.effect != taint.effect:
            return False
        if self.key and self.key != taint.key:
            return False
        if self.operator == "Exists":
            return True
        return bool(self.key) and (self.value or "") == (taint.value or "")


class PodSpecView(_View):
    node_name: str | None = None
    hostname: str | None = None
    subdomain: str | None = None
    containers: list[Container] | None = None
    tolerations: list[Toleration] | None = None


class PodConditionView(_View):
    type: str = ""
    status: str = ""
    last_transition_time: str | None = None


class PodAddress(_View):
    ip: str = ""


class PodStatusView(_View):
    phase: str | None = None
    reason: str | None = None
    pod_ip: str | None = msgspec.field(name="podIP", default=None)
    conditions: list[PodConditionView] | None = None


class PodView(_View):
    metadata: Meta = Meta()
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


class NodeSpecView(_View):
    pod_cidr: str | None = msgspec.field(name="podCIDR", default=None)
    pod_cidrs: list[str] | None = msgspec.field(name="podCIDRs", default=None)
    unschedulable: bool | None = None
    taints: list[Taint] | None = None


class AddressView(_View):
    type: str = ""
    address: str = ""


class NodeStatusView(_View):
    conditions: list[NodeCondition] | None = None
    addresses: list[AddressView] | None = None


class NodeView(_View):
    metadata: Meta = Meta()
    spec: NodeSpecView = NodeSpecView()
    status: NodeStatusView = NodeStatusView()

    def condition(self, type: str) -> NodeCondition | None:
        for condition in self.status.conditions or ():
            if condition.type == type:
                return condition
        return None


def pods(informers: Informers) -> Informer[PodView]:
    """The pods all controllers share, indexed by `node`, `namespace` and `owner` (uid of the controlling
    owner)."""
    from navarch.api.pod import Pod

    informer = informers.of(Pod, view=PodView)
    informer.index("node", lambda pod: [pod.spec.node_name] if pod.spec.node_name else [])
    informer.index("namespace", lambda pod: [pod.metadata.namespace or ""])
    informer.index("owner", lambda pod: [owner.uid] if (owner := pod.controller) else [])
    return informer


def nodes(informers: Informers) -> Informer[NodeView]:
    from navarch.api.node import Node

    return informers.of(Node, view=NodeView)


__all__ = ["NodeView", "ObjectMeta", "ObjectView", "PodView", "nodes", "pods"]
