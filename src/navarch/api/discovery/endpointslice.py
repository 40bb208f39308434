# SPDX-License-Identifier: GPL-3.0-or-later
"""The EndpointSlice kind (discovery.k8s.io/v1): part of the addresses behind a service."""

import ipaddress
from typing import Annotated, Any

from msgspec.structs import replace

from navarch.api.core.reference import ObjectReference
from navarch.api.machinery import checks, names
from navarch.api.machinery.checks import Errors
from navarch.api.machinery.columns import AGE, NAME
from navarch.api.machinery.durations import age
from navarch.api.machinery.errors import (
    ErrorList,
    FieldError,
    duplicate,
    invalid,
    required,
)
from navarch.api.machinery.fields import Struct, field, needed, wire
from navarch.api.machinery.meta import Object
from navarch.api.machinery.scheme import Column, Kind, Rules

#: Label of a slice: the service it belongs to.
SERVICE_NAME = "kubernetes.io/service-name"
#: Label of a slice: who keeps it. Others leave it alone.
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"

ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
_UNSET = "<unset>"
_MOST_ENDPOINTS = 1000
_MOST_ADDRESSES = 100
_MOST_PORTS = 20_000
#: Values that a table shows.
_SHOWN = 3


class EndpointConditions(Struct):
    """What an endpoint can do now. An absent ready or serving counts as true, an absent terminating as
    false."""

    ready: Annotated[bool | None, wire(1, "Whether it should get traffic.", optional=True)] = field(
        "ready", None
    )
    serving: Annotated[
        bool | None, wire(2, "Whether it would answer, be it ending or not.", optional=True)
    ] = field("serving", None)
    terminating: Annotated[bool | None, wire(3, "Whether it is ending.", optional=True)] = field(
        "terminating", None
    )


class ForZone(Struct):
    """A zone that should use an endpoint."""

    name: Annotated[str, wire(1, "Name of the zone.", required=True)] = needed("name", "")


class ForNode(Struct):
    """A node that should use an endpoint."""

    name: Annotated[str, wire(1, "Name of the node.", required=True)] = needed("name", "")


class EndpointHints(Struct):
    """Who should use an endpoint."""

    for_zones: Annotated[list[ForZone] | None, wire(1, "Zones it is meant for.", list_type="atomic")] = field(
        "forZones", None
    )
    for_nodes: Annotated[list[ForNode] | None, wire(2, "Nodes it is meant for.", list_type="atomic")] = field(
        "forNodes", None
    )


class Endpoint(Struct):
    """One backend of a service."""

    addresses: Annotated[
        list[str],
        wire(1, "Its addresses, of the slice's type; the first is used.", list_type="set", required=True),
    ] = needed("addresses", [])
    conditions: Annotated[EndpointConditions | None, wire(2, "What it can do now.")] = field(
        "conditions", None
    )
    hostname: Annotated[str | None, wire(3, "Host name of the endpoint.")] = field("hostname", None)
    target_ref: Annotated[ObjectReference | None, wire(4, "Pod the endpoint is.")] = field("targetRef", None)
    deprecated_topology: Annotated[
        dict[str, str] | None, wire(5, "Topology as the beta API wrote it; of no effect.")
    ] = field("deprecatedTopology", None)
    node_name: Annotated[str | None, wire(6, "Node the endpoint is on.")] = field("nodeName", None)
    zone: Annotated[str | None, wire(7, "Zone the endpoint is in.")] = field("zone", None)
    hints: Annotated[EndpointHints | None, wire(8, "Who should use it.")] = field("hints", None)


class EndpointPort(Struct):
    """One port of all endpoints of a slice."""

    name: Annotated[str | None, wire(1, "Name of the service's port; empty for the only one.")] = field(
        "name", None
    )
    protocol: Annotated[str | None, wire(2, "TCP, UDP or SCTP, TCP when absent.")] = field("protocol", None)
    port: Annotated[int | None, wire(3, "Port number; absent means every port.", format="int32")] = field(
        "port", None
    )
    app_protocol: Annotated[str | None, wire(4, "Protocol spoken over the port, a hint.", optional=True)] = (
        field("appProtocol", None)
    )


class EndpointSlice(Object):
    """Part of the addresses behind a service: those that have the same ports and the same address family."""

    address_type: Annotated[str, wire(4, "IPv4, IPv6 or FQDN; never changes.", required=True)] = needed(
        "addressType", ""
    )
    endpoints: Annotated[list[Endpoint] | None, wire(2, "The backends, up to 1000.", list_type="atomic")] = (
        field("endpoints", None)
    )
    ports: Annotated[
        list[EndpointPort] | None, wire(3, "Ports that every endpoint has.", list_type="atomic")
    ] = field("ports", None)


class EndpointSliceRules(Rules[EndpointSlice]):
    def default(self, obj: EndpointSlice) -> EndpointSlice:
        ports = [
            p
            if p.name is not None and p.protocol
            else replace(p, name=p.name or "", protocol=p.protocol or "TCP")
            for p in obj.ports or ()
        ]
        if all(new is old for new, old in zip(ports, obj.ports or (), strict=True)):
            return obj
        return replace(obj, ports=ports)

    def validate(self, obj: EndpointSlice) -> list[FieldError]:
        errors = ErrorList()
        checks.one_of("addressType", obj.address_type, ADDRESS_TYPES, errors)
        if len(obj.endpoints or ()) > _MOST_ENDPOINTS:
            errors.append(_too_many("endpoints", _MOST_ENDPOINTS))
            return errors
        for i, endpoint in enumerate(obj.endpoints or ()):
            _endpoint(endpoint, obj.address_type, f"endpoints[{i}]", errors)
        _ports(obj.ports or [], errors)
        return errors

    def validate_update(self, new: EndpointSlice, old: EndpointSlice) -> list[FieldError]:
        if new.address_type != old.address_type:
            return [invalid("addressType", new.address_type, "field is immutable")]
        return []

    def spec_changed(self, new: EndpointSlice, old: EndpointSlice) -> bool:
        return new.endpoints != old.endpoints or new.ports != old.ports


def _too_many(path: str, most: int) -> FieldError:
    return FieldError(path, "FieldValueTooMany", f"must have at most {most} items")


def _endpoint(endpoint: Endpoint, type: str, path: str, errors: Errors) -> None:
    if not endpoint.addresses:
        errors.append(required(f"{path}.addresses", "must contain at least 1 address"))
    elif len(endpoint.addresses) > _MOST_ADDRESSES:
        errors.append(_too_many(f"{path}.addresses", _MOST_ADDRESSES))
    for i, address in enumerate(endpoint.addresses):
        _address(address, type, f"{path}.addresses[{i}]", errors)
    if endpoint.hostname and (wrong := names.label(endpoint.hostname)):
        errors.append(invalid(f"{path}.hostname", endpoint.hostname, wrong))
    if endpoint.node_name is not None and (wrong := names.subdomain(endpoint.node_name)):
        errors.append(invalid(f"{path}.nodeName", endpoint.node_name, wrong))
    if endpoint.zone and (wrong := names.label_value(endpoint.zone)):
        errors.append(invalid(f"{path}.zone", endpoint.zone, wrong))
    hints = endpoint.hints or EndpointHints()
    for i, zone in enumerate(hints.for_zones or ()):
        checks.qualified(f"{path}.hints.forZones[{i}].name", zone.name, errors)
    for i, node in enumerate(hints.for_nodes or ()):
        checks.subdomain(f"{path}.hints.forNodes[{i}].name", node.name, errors)


def _address(address: str, type: str, path: str, errors: Errors) -> None:
    if type == "FQDN":
        checks.subdomain(path, address, errors)
        return
    before = len(errors)
    checks.ip(path, address, errors)
    if len(errors) > before:
        return
    parsed = ipaddress.ip_address(address)
    if parsed.version != (6 if type == "IPv6" else 4):
        errors.append(invalid(path, address, f"must be a valid {type} address"))
    elif parsed.is_loopback or parsed.is_link_local or parsed.is_multicast or parsed.is_unspecified:
        detail = "may not be unspecified, loopback, link-local or multicast"
        errors.append(invalid(path, address, detail))


def _ports(ports: list[EndpointPort], errors: Errors) -> None:
    if len(ports) > _MOST_PORTS:
        errors.append(_too_many("ports", _MOST_PORTS))
        return
    again = checks.repeated(port.name or "" for port in ports)
    for i, port in enumerate(ports):
        path = f"ports[{i}]"
        if i in again:
            errors.append(duplicate(f"{path}.name", port.name or ""))
        elif port.name and (wrong := names.label(port.name)):
            errors.append(invalid(f"{path}.name", port.name, wrong))
        checks.one_of(f"{path}.protocol", port.protocol, checks.PROTOCOLS, errors)
        if port.port is not None:
            checks.port(f"{path}.port", port.port, errors)
        if port.app_protocol:
            checks.qualified(f"{path}.appProtocol", port.app_protocol, errors)


def cells(obj: EndpointSlice, now: float) -> list[Any]:
    ports = _list(["*" if p.port is None else str(p.port) for p in obj.ports or ()])
    addresses = _list([address for e in obj.endpoints or () for address in e.addresses])
    made = age(obj.metadata.creation_timestamp, now)
    return [obj.metadata.name or "", obj.address_type, ports, addresses, made]


def _list(values: list[str]) -> str:
    if not values:
        return _UNSET
    text = ",".join(values[:_SHOWN])
    return f"{text} + {len(values) - _SHOWN} more..." if len(values) > _SHOWN else text


ENDPOINT_SLICE = Kind(
    EndpointSlice,
    group="discovery.k8s.io",
    resource="endpointslices",
    columns=(
        NAME,
        Column("AddressType", description="Family of the addresses."),
        Column("Ports", description="Ports that every endpoint has."),
        Column("Endpoints", description="Addresses, be they ready or not."),
        AGE,
    ),
    cells=cells,
    rules=EndpointSliceRules(),
)
