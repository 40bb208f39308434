# SPDX-License-Identifier: GPL-3.0-or-later
"""What the proxy reads of services and endpoint slices. What it makes of them is `model`'s business."""

from __future__ import annotations

import msgspec

from navarch.api.meta import ObjectMeta
from navarch.client.views import View

#: Services with this label are some other proxy's.
OTHER_PROXY = "service.kubernetes.io/service-proxy-name"


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
    session_affinity: str | None = None
    session_affinity_config: AffinityView | None = None
    external_traffic_policy: str | None = None
    internal_traffic_policy: str | None = None


class IngressView(View):
    ip: str | None = None
    ip_mode: str | None = None


class BalancerView(View):
    ingress: list[IngressView] | None = None


class StatusView(View):
    load_balancer: BalancerView | None = None


class ServiceView(View):
    metadata: ObjectMeta
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


class SlicePortView(View):
    name: str | None = None
    port: int | None = None
    protocol: str | None = None


class SliceView(View):
    metadata: ObjectMeta
    address_type: str = "IPv4"
    endpoints: list[EndpointView] | None = None
    ports: list[SlicePortView] | None = None
