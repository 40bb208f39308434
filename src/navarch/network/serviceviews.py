# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node reads of services and endpoint slices: one view for the proxy, DNS and the environment of
containers, so that each object is decoded and kept once. What they make of it is theirs.
"""

from __future__ import annotations

import msgspec

from navarch.client.views import View


class LabelsView(View):
    """The few labels that mean something here."""

    #: By which a slice says whose it is.
    service_name: str | None = msgspec.field(name="kubernetes.io/service-name", default=None)
    #: Services with this label are some other proxy's.
    other_proxy: str | None = msgspec.field(name="service.kubernetes.io/service-proxy-name", default=None)


class MetaView(View):
    name: str = ""
    namespace: str | None = None
    resource_version: str = ""
    labels: LabelsView | None = None


class PortView(View):
    port: int
    name: str | None = None
    protocol: str | None = None
    node_port: int | None = None


class ClientIPView(View):
    timeout_seconds: int | None = None


class AffinityView(View):
    client_ip: ClientIPView | None = msgspec.field(name="clientIP", default=None)


class SpecView(View):
    type: str | None = None
    ports: list[PortView] | None = None
    cluster_ip: str | None = msgspec.field(name="clusterIP", default=None)
    cluster_ips: list[str] | None = msgspec.field(name="clusterIPs", default=None)
    external_ips: list[str] | None = msgspec.field(name="externalIPs", default=None)
    external_name: str | None = None
    session_affinity: str | None = None
    session_affinity_config: AffinityView | None = None
    external_traffic_policy: str | None = None
    internal_traffic_policy: str | None = None
    health_check_node_port: int | None = None
    load_balancer_source_ranges: list[str] | None = None
    traffic_distribution: str | None = None

    @property
    def addresses(self) -> list[str]:
        """The service's own addresses; none for a headless one."""
        found = self.cluster_ips or ([self.cluster_ip] if self.cluster_ip else [])
        return [address for address in found if address != "None"]


class IngressView(View):
    ip: str | None = None
    ip_mode: str | None = None


class BalancerView(View):
    ingress: list[IngressView] | None = None


class StatusView(View):
    load_balancer: BalancerView | None = None


class ServiceView(View):
    metadata: MetaView
    spec: SpecView | None = None
    status: StatusView | None = None


class ConditionsView(View):
    """Absent: ready and serving unknown, to be taken as true; terminating as false (discovery.k8s.io/v1)."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class EndpointView(View):
    addresses: list[str]
    conditions: ConditionsView | None = None
    node_name: str | None = None
    hostname: str | None = None
    zone: str | None = None


class SlicePortView(View):
    """port absent: every port, which no rule and no SRV record can say."""

    name: str | None = None
    port: int | None = None
    protocol: str | None = None


class SliceView(View):
    metadata: MetaView
    address_type: str = "IPv4"
    endpoints: list[EndpointView] | None = None
    ports: list[SlicePortView] | None = None
