# SPDX-License-Identifier: GPL-3.0-or-later
"""The Endpoints kind: the addresses behind a service, older than EndpointSlice."""

from typing import Annotated, Any

from msgspec.structs import replace

from navarch.api.core.reference import ObjectReference
from navarch.api.machinery import checks, names
from navarch.api.machinery.checks import Errors
from navarch.api.machinery.columns import AGE, NAME, NONE
from navarch.api.machinery.durations import age
from navarch.api.machinery.errors import (
    ErrorList,
    FieldError,
    invalid,
    required,
)
from navarch.api.machinery.fields import Struct, field, needed, wire
from navarch.api.machinery.meta import Object
from navarch.api.machinery.scheme import Column, Kind, Rules


class EndpointAddress(Struct):
    """One address."""

    atomic = True
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
    app_protocol: Annotated[str | None, wire(4, "Protocol spoken over the port, a hint.", optional=True)] = (
        field("appProtocol", None)
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


#: Addresses that a table shows.
_SHOWN = 3


class EndpointsRules(Rules[Endpoints]):
    create_on_update = True

    def default(self, obj: Endpoints) -> Endpoints:
        subsets = [_defaulted(s) for s in obj.subsets or ()]
        if all(new is old for new, old in zip(subsets, obj.subsets or (), strict=True)):
            return obj
        return replace(obj, subsets=subsets)

    def validate(self, obj: Endpoints) -> list[FieldError]:
        errors = ErrorList()
        for i, subset in enumerate(obj.subsets or ()):
            _subset(subset, f"subsets[{i}]", errors)
        return errors

    def spec_changed(self, new: Endpoints, old: Endpoints) -> bool:
        return False


def _defaulted(subset: EndpointSubset) -> EndpointSubset:
    if all(p.protocol for p in subset.ports or ()):
        return subset
    return replace(
        subset, ports=[p if p.protocol else replace(p, protocol="TCP") for p in subset.ports or ()]
    )


def _subset(subset: EndpointSubset, path: str, errors: Errors) -> None:
    if not subset.addresses and not subset.not_ready_addresses:
        errors.append(required(path, "must specify `addresses` or `notReadyAddresses`"))
    for name, given in (("addresses", subset.addresses), ("notReadyAddresses", subset.not_ready_addresses)):
        for i, address in enumerate(given or ()):
            at = f"{path}.{name}[{i}]"
            checks.ip(f"{at}.ip", address.ip, errors)
            if wrong := checks.special_ip_wrong(address.ip):
                errors.append(invalid(f"{at}.ip", address.ip, wrong))
            if address.hostname and (wrong := names.label(address.hostname)):
                errors.append(invalid(f"{at}.hostname", address.hostname, wrong))
            if address.node_name is not None and (wrong := names.subdomain(address.node_name)):
                errors.append(invalid(f"{at}.nodeName", address.node_name, wrong))
    many = len(subset.ports or ()) > 1
    for i, port in enumerate(subset.ports or ()):
        at = f"{path}.ports[{i}]"
        if many and not port.name:
            errors.append(required(f"{at}.name"))
        elif port.name and (wrong := names.label(port.name)):
            errors.append(invalid(f"{at}.name", port.name, wrong))
        checks.port(f"{at}.port", port.port, errors)
        checks.one_of(f"{at}.protocol", port.protocol, checks.PROTOCOLS, errors)


def cells(obj: Endpoints, now: float) -> list[Any]:
    return [obj.metadata.name or "", shown(obj), age(obj.metadata.creation_timestamp, now)]


def shown(obj: Endpoints) -> str:
    """The first few ready addresses with their ports, and how many more there are."""
    found: list[str] = []
    for subset in obj.subsets or ():
        hosts = [f"[{a.ip}]" if ":" in a.ip else a.ip for a in subset.addresses or ()]
        if subset.ports:
            found += [f"{host}:{port.port}" for port in subset.ports for host in hosts]
        else:
            found += [a.ip for a in subset.addresses or ()]
    if not found:
        return NONE
    text = ",".join(found[:_SHOWN])
    more = len(found) - _SHOWN
    return f"{text} + {more} more..." if more > 0 else text


ENDPOINTS = Kind(
    Endpoints,
    resource="endpoints",
    singular="endpoints",
    short_names=("ep",),
    columns=(NAME, Column("Endpoints", description="Addresses that are ready, with ports."), AGE),
    cells=cells,
    rules=EndpointsRules(),
)
