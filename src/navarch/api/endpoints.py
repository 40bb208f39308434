# SPDX-License-Identifier: GPL-3.0-or-later
"""The Endpoints kind: the addresses behind a service, older than EndpointSlice."""

from __future__ import annotations

from typing import Annotated

from navarch.api.fields import Struct, field, needed, wire
from navarch.api.meta import Object
from navarch.api.reference import ObjectReference
from navarch.api.scheme import Kind


class EndpointAddress(Struct):
    """One address."""

    ip: Annotated[str, wire(1, "The address.", required=True)] = needed("ip", "")
    hostname: Annotated[str | None, wire(3, "Host name of the address.")] = field("hostname", None)
    node_name: Annotated[str | None, wire(4, "Node the address is on.")] = field("nodeName", None)
    target_ref: Annotated[ObjectReference | None, wire(2, "Pod the address belongs to.")] = field(
        "targetRef", None
    )


class EndpointPort(Struct):
    """One port."""

    name: Annotated[str | None, wire(1, "Name of the service's port.")] = field("name", None)
    port: Annotated[int, wire(2, "Port number.", format="int32", required=True)] = needed("port", 0)
    protocol: Annotated[str | None, wire(3, "TCP, UDP or SCTP.")] = field("protocol", None)
    app_protocol: Annotated[str | None, wire(4, "Protocol spoken over the port, a hint.")] = field(
        "appProtocol", None
    )


class EndpointSubset(Struct):
    """Addresses that have the same ports."""

    addresses: Annotated[
        list[EndpointAddress] | None, wire(1, "Addresses that are ready.", list_type="atomic")
    ] = field("addresses", None)
    not_ready_addresses: Annotated[
        list[EndpointAddress] | None, wire(2, "Addresses that are not ready.", list_type="atomic")
    ] = field("notReadyAddresses", None)
    ports: Annotated[list[EndpointPort] | None, wire(3, "Their ports.", list_type="atomic")] = field(
        "ports", None
    )


class Endpoints(Object):
    """The addresses behind a service."""

    subsets: Annotated[list[EndpointSubset] | None, wire(2, "Addresses by ports.", list_type="atomic")] = (
        field("subsets", None)
    )


ENDPOINTS = Kind(
    Endpoints,
    resource="endpoints",
    short_names=("ep",),
    singular="endpoints",
    namespaced=True,
    subresources=(),
)
