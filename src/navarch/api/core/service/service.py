# SPDX-License-Identifier: GPL-3.0-or-later
"""The Service kind: one stable address for many pods."""

from typing import Annotated

from navarch.api.core.service.columns import COLUMNS, cells
from navarch.api.core.service.rules import ServiceRules
from navarch.api.machinery.fields import Struct, field, needed, wire
from navarch.api.machinery.meta import Condition, IntOrString, Object
from navarch.api.machinery.scheme import Kind


class ServicePort(Struct):
    """One port of a service."""

    name: Annotated[str | None, wire(1, "Name of the port; required when there are several.")] = field(
        "name", None
    )
    protocol: Annotated[str | None, wire(2, "TCP, UDP or SCTP, TCP when absent.")] = field("protocol", None)
    app_protocol: Annotated[str | None, wire(6, "Protocol spoken over the port, a hint.", optional=True)] = (
        field("appProtocol", None)
    )
    port: Annotated[int, wire(3, "Port of the service.", format="int32", required=True)] = needed("port", 0)
    target_port: Annotated[
        IntOrString | None,
        wire(4, "Number or name of the pods' port; the same as port when absent.", format="int-or-string"),
    ] = field("targetPort", None)
    node_port: Annotated[int | None, wire(5, "Port on every node.", format="int32")] = field("nodePort", None)


class ClientIPConfig(Struct):
    """Affinity by the client's address."""

    timeout_seconds: Annotated[
        int | None, wire(1, "Seconds the affinity lasts, 10800 when absent.", format="int32", optional=True)
    ] = field("timeoutSeconds", None)


class SessionAffinityConfig(Struct):
    """Settings of session affinity."""

    client_ip: Annotated[ClientIPConfig | None, wire(1, "Affinity by the client's address.")] = field(
        "clientIP", None
    )


class ServiceSpec(Struct):
    """What a service should be."""

    ports: Annotated[
        list[ServicePort] | None,
        wire(1, "Ports of the service.", merge_key=("port", "protocol"), list_type="map", strategy="merge"),
    ] = field("ports", None)
    selector: Annotated[
        dict[str, str] | None,
        wire(
            2, "Labels of the pods that serve; absent means endpoints are made by others.", list_type="atomic"
        ),
    ] = field("selector", None)
    cluster_ip: Annotated[
        str | None, wire(3, "Address of the service; None for no address, given by the server when absent.")
    ] = field("clusterIP", None)
    cluster_ips: Annotated[
        list[str] | None,
        wire(18, "All addresses of the service; the first is clusterIP.", list_type="atomic"),
    ] = field("clusterIPs", None)
    type: Annotated[str | None, wire(4, "ClusterIP, NodePort, LoadBalancer or ExternalName.")] = field(
        "type", None
    )
    external_ips: Annotated[
        list[str] | None,
        wire(5, "Further addresses at which nodes accept traffic for the service.", list_type="atomic"),
    ] = field("externalIPs", None)
    session_affinity: Annotated[str | None, wire(7, "None or ClientIP.")] = field("sessionAffinity", None)
    load_balancer_ip: Annotated[str | None, wire(8, "Address requested from the load balancer.")] = field(
        "loadBalancerIP", None
    )
    load_balancer_source_ranges: Annotated[
        list[str] | None, wire(9, "Client ranges that the load balancer lets in.", list_type="atomic")
    ] = field("loadBalancerSourceRanges", None)
    external_name: Annotated[
        str | None, wire(10, "DNS name that a service of type ExternalName stands for.")
    ] = field("externalName", None)
    external_traffic_policy: Annotated[
        str | None, wire(11, "Cluster or Local: where traffic from outside may go.")
    ] = field("externalTrafficPolicy", None)
    health_check_node_port: Annotated[
        int | None, wire(12, "Port that says whether a node has local pods.", format="int32")
    ] = field("healthCheckNodePort", None)
    publish_not_ready_addresses: Annotated[
        bool | None, wire(13, "Whether pods that are not ready are published too.")
    ] = field("publishNotReadyAddresses", None)
    session_affinity_config: Annotated[
        SessionAffinityConfig | None, wire(14, "Settings of session affinity.")
    ] = field("sessionAffinityConfig", None)
    ip_families: Annotated[list[str] | None, wire(19, "Address families, in order.", list_type="atomic")] = (
        field("ipFamilies", None)
    )
    ip_family_policy: Annotated[str | None, wire(17, "SingleStack, PreferDualStack or RequireDualStack.")] = (
        field("ipFamilyPolicy", None)
    )
    allocate_load_balancer_node_ports: Annotated[
        bool | None, wire(20, "Whether a load balancer's ports get node ports.", optional=True)
    ] = field("allocateLoadBalancerNodePorts", None)
    load_balancer_class: Annotated[str | None, wire(21, "Which implementation makes the load balancer.")] = (
        field("loadBalancerClass", None)
    )
    internal_traffic_policy: Annotated[
        str | None, wire(22, "Cluster or Local: where traffic from inside may go.")
    ] = field("internalTrafficPolicy", None)
    traffic_distribution: Annotated[
        str | None, wire(23, "Which endpoints are preferred, such as PreferSameZone.")
    ] = field("trafficDistribution", None)


class PortStatus(Struct):
    """One port at a load balancer."""

    port: Annotated[int, wire(1, "Port number.", format="int32", required=True)] = needed("port", 0)
    protocol: Annotated[str, wire(2, "Protocol of the port.", required=True)] = needed("protocol", "")
    error: Annotated[str | None, wire(3, "What went wrong, as one word.")] = field("error", None)


class LoadBalancerIngress(Struct):
    """One address of a load balancer."""

    ip: Annotated[str | None, wire(1, "The address.")] = field("ip", None)
    hostname: Annotated[str | None, wire(2, "The name.")] = field("hostname", None)
    ip_mode: Annotated[str | None, wire(3, "VIP or Proxy.")] = field("ipMode", None)
    ports: Annotated[list[PortStatus] | None, wire(4, "Its ports.", list_type="atomic")] = field(
        "ports", None
    )


class LoadBalancerStatus(Struct):
    """What a load balancer has."""

    ingress: Annotated[list[LoadBalancerIngress] | None, wire(1, "Its addresses.", list_type="atomic")] = (
        field("ingress", None)
    )


class ServiceStatus(Struct):
    """What a service is."""

    load_balancer: Annotated[LoadBalancerStatus | None, wire(1, "What its load balancer has.")] = field(
        "loadBalancer", None
    )
    conditions: Annotated[
        list[Condition] | None,
        wire(2, "Conditions of the service.", merge_key="type", list_type="map", strategy="merge"),
    ] = field("conditions", None)


class Service(Object):
    """One stable address for many pods."""

    spec: Annotated[ServiceSpec | None, wire(2, "What the service should be.")] = field("spec", None)
    status: Annotated[ServiceStatus | None, wire(3, "What the service is.")] = field("status", None)


SERVICE = Kind(
    Service,
    resource="services",
    answers_deleted=True,
    short_names=("svc",),
    categories=("all",),
    subresources=("status",),
    columns=COLUMNS,
    cells=cells,
    fields={
        "spec.clusterIP": lambda s: (s.spec.cluster_ip if s.spec is not None else None) or "",
        "spec.type": lambda s: (s.spec.type if s.spec is not None else None) or "",
    },
    rules=ServiceRules(),
)
