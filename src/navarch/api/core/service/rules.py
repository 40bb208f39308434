# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of services, except validation: defaults, and the fields that an update carries over.

Giving out addresses is the registry's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from navarch.api.core.service import validation as service_validation
from navarch.api.machinery import names
from navarch.api.machinery.errors import FieldError
from navarch.api.machinery.scheme import Rules

if TYPE_CHECKING:
    from navarch.api.core.service.service import Service, ServicePort, ServiceSpec

_AFFINITY_SECONDS = 10800
_WITH_NODE_PORTS = ("NodePort", "LoadBalancer")


class ServiceRules(Rules["Service"]):
    name_rule = staticmethod(names.label)
    create_on_update = True

    def default(self, obj: Service) -> Service:
        from navarch.api.core.service.service import ServiceSpec

        spec = obj.spec or ServiceSpec()
        changes = _defaults(spec)
        return replace(obj, spec=replace(spec, **changes)) if changes or obj.spec is None else obj

    def prepare_create(self, obj: Service) -> Service:
        from navarch.api.core.service.service import LoadBalancerStatus, ServiceStatus

        return replace(obj, status=ServiceStatus(load_balancer=LoadBalancerStatus()))

    def validate(self, obj: Service) -> list[FieldError]:
        return service_validation.service(obj)

    def prepare_update(self, new: Service, old: Service) -> Service:
        """What the server gave out stays when the new object is silent about it, and goes with its type."""
        spec, before = new.spec, old.spec
        if spec is None or before is None:
            return replace(new, status=old.status)
        changes = {**_kept(spec, before), **_dropped(spec, before)}
        return replace(new, spec=replace(spec, **changes) if changes else spec, status=old.status)

    def validate_update(self, new: Service, old: Service) -> list[FieldError]:
        return service_validation.update(new, old)

    def validate_status(self, new: Service, old: Service) -> list[FieldError]:
        return service_validation.status(new)

    def warnings(self, obj: Service) -> list[str]:
        spec = obj.spec
        if spec is None:
            return []
        found = []
        if spec.load_balancer_ip:
            found.append("spec.loadBalancerIP is accepted but not acted on in this release")
        for i, ip in enumerate(spec.external_ips or ()):
            if ":" in ip:
                found.append(f"spec.externalIPs[{i}]: IPv6 is accepted but not acted on in this release")
        return found

    def spec_changed(self, new: Service, old: Service) -> bool:
        """Services have no generation in the reference."""
        return False


def _defaults(spec: ServiceSpec) -> dict[str, Any]:
    from navarch.api.core.service.service import ClientIPConfig, SessionAffinityConfig

    changes: dict[str, Any] = {}
    type_ = spec.type
    if not type_:
        type_ = changes["type"] = "ClusterIP"
    if not spec.session_affinity:
        changes["session_affinity"] = "None"
    if spec.session_affinity == "None" and spec.session_affinity_config is not None:
        changes["session_affinity_config"] = None
    if spec.session_affinity == "ClientIP":
        config = spec.session_affinity_config
        if config is None or config.client_ip is None or config.client_ip.timeout_seconds is None:
            client = ClientIPConfig(timeout_seconds=_AFFINITY_SECONDS)
            changes["session_affinity_config"] = SessionAffinityConfig(client_ip=client)
    if spec.ports:
        ports = [_port(p) for p in spec.ports]
        if any(new is not old for new, old in zip(ports, spec.ports, strict=True)):
            changes["ports"] = ports
    if type_ == "ExternalName":
        return changes
    if spec.cluster_ip and not spec.cluster_ips:
        changes["cluster_ips"] = [spec.cluster_ip]
    if spec.internal_traffic_policy is None:
        changes["internal_traffic_policy"] = "Cluster"
    if not spec.external_traffic_policy and (type_ in _WITH_NODE_PORTS or spec.external_ips):
        changes["external_traffic_policy"] = "Cluster"
    if type_ == "LoadBalancer" and spec.allocate_load_balancer_node_ports is None:
        changes["allocate_load_balancer_node_ports"] = True
    if not spec.ip_families:
        changes["ip_families"] = ["IPv6" if ":" in (spec.cluster_ip or "") else "IPv4"]
    if spec.ip_family_policy is None:
        changes["ip_family_policy"] = "SingleStack"
    return changes


def _port(p: ServicePort) -> ServicePort:
    if p.protocol and p.target_port:
        return p
    return replace(p, protocol=p.protocol or "TCP", target_port=p.target_port or p.port)


def _addressed(spec: ServiceSpec) -> bool:
    return spec.type != "ExternalName"


def _kept(new: ServiceSpec, old: ServiceSpec) -> dict[str, Any]:
    """Addresses and node ports that an update did not name."""
    changes: dict[str, Any] = {}
    if _addressed(new) and _addressed(old) and not new.cluster_ip:
        changes["cluster_ip"] = old.cluster_ip
        changes["cluster_ips"] = old.cluster_ips
    elif new.cluster_ip and new.cluster_ip != old.cluster_ip and new.cluster_ips == old.cluster_ips:
        changes["cluster_ips"] = [new.cluster_ip]  # who knows the older field alone
    ports = ports_kept(new, old)
    if ports is not new.ports:
        changes["ports"] = ports
    if not new.health_check_node_port and old.health_check_node_port and _local(new) and _local(old):
        changes["health_check_node_port"] = old.health_check_node_port
    return changes


def ports_kept(new: ServiceSpec, old: ServiceSpec) -> list[ServicePort] | None:
    """The ports of an update; those that name no node port have the former one of their name."""
    if new.type not in _WITH_NODE_PORTS or old.type not in _WITH_NODE_PORTS or not new.ports:
        return new.ports
    given = {p.node_port for p in new.ports}
    had = {p.name: p.node_port for p in old.ports or () if p.node_port not in given}
    return [
        replace(p, node_port=had[p.name]) if not p.node_port and had.get(p.name) else p for p in new.ports
    ]


def _local(spec: ServiceSpec) -> bool:
    return spec.type == "LoadBalancer" and spec.external_traffic_policy == "Local"


def _from_outside(spec: ServiceSpec) -> bool:
    """Whether it has an external traffic policy."""
    return spec.type in _WITH_NODE_PORTS or (spec.type == "ClusterIP" and bool(spec.external_ips))


def _dropped(new: ServiceSpec, old: ServiceSpec) -> dict[str, Any]:
    """What belonged to what the service was before and was only sent along."""
    changes: dict[str, Any] = {}
    if (
        _from_outside(old)
        and not _from_outside(new)
        and new.external_traffic_policy == old.external_traffic_policy
    ):
        changes["external_traffic_policy"] = None
    if new.type == old.type:
        return changes
    if new.type == "ExternalName" and new.cluster_ip == old.cluster_ip:
        changes |= {"cluster_ip": None, "cluster_ips": None, "ip_families": None, "ip_family_policy": None}
        if new.internal_traffic_policy == old.internal_traffic_policy:
            changes["internal_traffic_policy"] = None
    if new.type not in _WITH_NODE_PORTS and old.type in _WITH_NODE_PORTS:
        had = {p.node_port for p in old.ports or ()}
        changes["ports"] = [replace(p, node_port=None) if p.node_port in had else p for p in new.ports or ()]
    if new.type != "LoadBalancer" and old.type == "LoadBalancer":
        changes["allocate_load_balancer_node_ports"] = None
        changes["load_balancer_class"] = None
        changes["health_check_node_port"] = None
    return changes
