# SPDX-License-Identifier: GPL-3.0-or-later
"""What DNS (and the environment of containers) reads of services and endpoint slices."""

from __future__ import annotations

import msgspec

from navarch.api.meta import ObjectMeta
from navarch.client.views import View

#: The label by which a slice says whose it is.
SERVICE_NAME = "kubernetes.io/service-name"


class PortView(View):
    port: int | None = None
    name: str | None = None
    protocol: str | None = None


class SpecView(View):
    type: str | None = None
    ports: list[PortView] | None = None
    cluster_ip: str | None = msgspec.field(name="clusterIP", default=None)
    cluster_ips: list[str] | None = msgspec.field(name="clusterIPs", default=None)
    external_name: str | None = None

    @property
    def addresses(self) -> list[str]:
        """The service's own addresses; none for a headless one."""
        found = self.cluster_ips or ([self.cluster_ip] if self.cluster_ip else [])
        return [address for address in found if address != "None"]


class ServiceView(View):
    metadata: ObjectMeta
    spec: SpecView | None = None


class ConditionsView(View):
    ready: bool | None = None


class EndpointView(View):
    addresses: list[str]
    conditions: ConditionsView | None = None
    hostname: str | None = None


class SliceView(View):
    metadata: ObjectMeta
    address_type: str = "IPv4"
    endpoints: list[EndpointView] | None = None
    ports: list[PortView] | None = None
