# SPDX-License-Identifier: GPL-3.0-or-later
"""Validation of services and of their updates, after the API reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from navarch.api.machinery import checks, names
from navarch.api.machinery.checks import Errors
from navarch.api.machinery.errors import (
    ErrorList,
    FieldError,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
)

if TYPE_CHECKING:
    from navarch.api.core.service.service import Service, ServicePort, ServiceSpec

TYPES = frozenset({"ClusterIP", "NodePort", "LoadBalancer", "ExternalName"})
#: Where node ports are given out, both inclusive.
NODE_PORTS = (30000, 32767)
_MAX_AFFINITY_SECONDS = 86400
_DISTRIBUTIONS = ("PreferClose", "PreferSameNode", "PreferSameZone")
_POLICIES = ("Cluster", "Local")


def service(obj: Service) -> list[FieldError]:
    errors = ErrorList()
    spec = obj.spec
    if spec is None:
        return [required("spec")]
    headless = spec.cluster_ip == "None"
    checks.one_of("spec.type", spec.type, TYPES, errors)
    if not spec.ports and not headless and spec.type != "ExternalName":
        errors.append(required("spec.ports"))
    if spec.type in ("NodePort", "LoadBalancer") and headless:
        detail = f"may not be set to 'None' for {spec.type} services"
        errors.append(invalid("spec.clusterIPs[0]", spec.cluster_ip, detail))
    if spec.type == "ExternalName":
        _external_name(spec, errors)
    _ports(spec, errors)
    checks.labels("spec.selector", spec.selector, errors)
    _affinity(spec, errors)
    _addresses(spec, errors)
    _traffic(spec, errors)
    return errors


def status(obj: Service) -> list[FieldError]:
    errors = ErrorList()
    balancer = obj.status.load_balancer if obj.status is not None else None
    path = "status.loadBalancer.ingress"
    for i, ingress in enumerate((balancer.ingress if balancer is not None else None) or ()):
        if ingress.ip:
            checks.ip(f"{path}[{i}].ip", ingress.ip, errors)
            if ingress.ip_mode not in (None, "VIP", "Proxy"):
                errors.append(not_supported(f"{path}[{i}].ipMode", ingress.ip_mode, ("Proxy", "VIP")))
        elif ingress.ip_mode is not None:
            errors.append(forbidden(f"{path}[{i}].ipMode", "may not be specified when `ip` is not set"))
        if ingress.hostname:
            checks.subdomain(f"{path}[{i}].hostname", ingress.hostname, errors)
            if not checks.ip_wrong(ingress.hostname):
                detail = "must be a DNS name, not an IP address"
                errors.append(invalid(f"{path}[{i}].hostname", ingress.hostname, detail))
    return errors


def _external_name(spec: ServiceSpec, errors: Errors) -> None:
    if spec.cluster_ip:
        errors.append(forbidden("spec.clusterIPs", "may not be set for ExternalName services"))
    name = (spec.external_name or "").removesuffix(".")
    checks.subdomain("spec.externalName", name, errors)


def _ports(spec: ServiceSpec, errors: Errors) -> None:
    ports = spec.ports or []
    seen_names: set[str] = set()
    seen: set[tuple[str | None, int]] = set()
    seen_node: set[tuple[str | None, int]] = set()
    for i, p in enumerate(ports):
        path = f"spec.ports[{i}]"
        _port(p, path, len(ports) > 1, spec, errors)
        if p.name:
            if p.name in seen_names:
                errors.append(duplicate(f"{path}.name", p.name))
            seen_names.add(p.name)
        if (p.protocol, p.port) in seen:
            errors.append(duplicate(path, f"{p.port}/{p.protocol}"))
        seen.add((p.protocol, p.port))
        if p.node_port:
            if (p.protocol, p.node_port) in seen_node:
                errors.append(duplicate(f"{path}.nodePort", p.node_port))
            seen_node.add((p.protocol, p.node_port))


def _port(p: ServicePort, path: str, many: bool, spec: ServiceSpec, errors: Errors) -> None:
    if not p.name:
        if many:
            errors.append(required(f"{path}.name"))
    elif wrong := names.label(p.name):
        errors.append(invalid(f"{path}.name", p.name, wrong))
    checks.port(f"{path}.port", p.port, errors)
    checks.one_of(f"{path}.protocol", p.protocol, checks.PROTOCOLS, errors)
    if p.target_port is not None:
        checks.port_or_name(f"{path}.targetPort", p.target_port, errors)
    if p.app_protocol is not None:
        checks.qualified(f"{path}.appProtocol", p.app_protocol, errors)
    if p.node_port:
        if spec.type in ("ClusterIP", "ExternalName"):
            errors.append(forbidden(f"{path}.nodePort", f"may not be used when `type` is '{spec.type}'"))
        elif not NODE_PORTS[0] <= p.node_port <= NODE_PORTS[1]:
            detail = (
                "provided port is not in the valid range. "
                f"The range of valid ports is {NODE_PORTS[0]}-{NODE_PORTS[1]}"
            )
            errors.append(invalid(f"{path}.nodePort", p.node_port, detail))


def _affinity(spec: ServiceSpec, errors: Errors) -> None:
    checks.one_of("spec.sessionAffinity", spec.session_affinity, ("ClientIP", "None"), errors)
    config = spec.session_affinity_config
    if config is None:
        return
    if spec.session_affinity == "None":
        detail = "must not be set when session affinity is None"
        errors.append(forbidden("spec.sessionAffinityConfig", detail))
    seconds = config.client_ip.timeout_seconds if config.client_ip is not None else None
    if seconds is not None and not 0 < seconds <= _MAX_AFFINITY_SECONDS:
        detail = f"must be greater than 0 and less than {_MAX_AFFINITY_SECONDS}"
        errors.append(invalid("spec.sessionAffinityConfig.clientIP.timeoutSeconds", seconds, detail))


def _addresses(spec: ServiceSpec, errors: Errors) -> None:
    for i, ip in enumerate(spec.cluster_ips or ()):
        if ip == "None":
            if len(spec.cluster_ips or ()) > 1:
                errors.append(invalid(f"spec.clusterIPs[{i}]", ip, "'None' must be the first and only value"))
        elif ip and (wrong := checks.ip_wrong(ip)):
            errors.append(invalid(f"spec.clusterIPs[{i}]", ip, wrong))
    if spec.cluster_ips and spec.cluster_ip != spec.cluster_ips[0]:
        errors.append(
            invalid("spec.clusterIPs[0]", spec.cluster_ips[0], "first value must match `clusterIP`")
        )
    for i, ip in enumerate(spec.external_ips or ()):
        checks.ip(f"spec.externalIPs[{i}]", ip, errors)
        if wrong := checks.special_ip_wrong(ip):
            errors.append(invalid(f"spec.externalIPs[{i}]", ip, wrong))
    for i, family in enumerate(spec.ip_families or ()):
        checks.one_of(f"spec.ipFamilies[{i}]", family, ("IPv4", "IPv6"), errors)
    checks.maybe_one_of(
        "spec.ipFamilyPolicy",
        spec.ip_family_policy,
        ("PreferDualStack", "RequireDualStack", "SingleStack"),
        errors,
    )
    for i, cidr in enumerate(spec.load_balancer_source_ranges or ()):
        if wrong := checks.cidr_wrong(cidr.strip()):
            errors.append(invalid(f"spec.loadBalancerSourceRanges[{i}]", cidr, wrong))
    if spec.load_balancer_source_ranges and spec.type != "LoadBalancer":
        errors.append(
            forbidden("spec.loadBalancerSourceRanges", "may only be used when `type` is 'LoadBalancer'")
        )
    if spec.load_balancer_class is not None:
        if spec.type != "LoadBalancer":
            errors.append(
                forbidden("spec.loadBalancerClass", "may only be used when `type` is 'LoadBalancer'")
            )
        checks.qualified("spec.loadBalancerClass", spec.load_balancer_class, errors)
    if spec.allocate_load_balancer_node_ports is not None and spec.type != "LoadBalancer":
        path = "spec.allocateLoadBalancerNodePorts"
        errors.append(forbidden(path, "may only be used when `type` is 'LoadBalancer'"))


def _traffic(spec: ServiceSpec, errors: Errors) -> None:
    external = spec.type in ("NodePort", "LoadBalancer") or (
        spec.type == "ClusterIP" and bool(spec.external_ips)
    )
    if spec.external_traffic_policy:
        if not external:
            detail = "may only be set for externally-accessible services"
            errors.append(invalid("spec.externalTrafficPolicy", spec.external_traffic_policy, detail))
        checks.one_of("spec.externalTrafficPolicy", spec.external_traffic_policy, _POLICIES, errors)
    elif external:
        errors.append(required("spec.externalTrafficPolicy"))
    checks.maybe_one_of("spec.internalTrafficPolicy", spec.internal_traffic_policy, _POLICIES, errors)
    checks.maybe_one_of("spec.trafficDistribution", spec.traffic_distribution, _DISTRIBUTIONS, errors)
    if spec.health_check_node_port:
        if not _local(spec):
            detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
            errors.append(invalid("spec.healthCheckNodePort", spec.health_check_node_port, detail))
        checks.port("spec.healthCheckNodePort", spec.health_check_node_port, errors)


def _local(spec: ServiceSpec) -> bool:
    return spec.type == "LoadBalancer" and spec.external_traffic_policy == "Local"


def update(new: Service, old: Service) -> list[FieldError]:
    """What may not change: an address once given, and the implementation of a load balancer."""
    errors = ErrorList()
    spec, before = new.spec, old.spec
    if spec is None or before is None:
        return errors
    both = spec.type != "ExternalName" and before.type != "ExternalName"
    if both and before.cluster_ip and spec.cluster_ip != before.cluster_ip:
        errors.append(invalid("spec.clusterIPs[0]", spec.cluster_ip, "may not change once set"))
    balanced = spec.type == before.type == "LoadBalancer"
    port = before.health_check_node_port
    if balanced and port and spec.health_check_node_port not in (None, port) and _local(spec):
        errors.append(invalid("spec.healthCheckNodePort", spec.health_check_node_port, "field is immutable"))
    if balanced and spec.load_balancer_class != before.load_balancer_class:
        errors.append(invalid("spec.loadBalancerClass", spec.load_balancer_class, "may not change once set"))
    return errors
