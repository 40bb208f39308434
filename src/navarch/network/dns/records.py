# SPDX-License-Identifier: GPL-3.0-or-later
"""Which names a service makes, after "Kubernetes DNS-Based Service Discovery", version 1.1.0."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import NamedTuple

from navarch.network.serviceviews import EndpointView, PortView, ServiceView, SlicePortView, SliceView


class Record(NamedTuple):
    """name: in lower case, without the last dot. type: A, AAAA, SRV, PTR, CNAME or TXT. port: of SRV only."""

    name: str
    type: str
    value: str
    port: int = 0


def of_service(service: ServiceView, slices: Iterable[SliceView], domain: str) -> list[Record]:
    spec, meta = service.spec, service.metadata
    if spec is None:
        return []
    name = f"{meta.name}.{meta.namespace}.svc.{domain}".lower()
    if spec.type == "ExternalName":
        target = (spec.external_name or "").rstrip(".").lower()
        return [Record(name, "CNAME", target)] if target else []
    if spec.addresses:
        return _clustered(name, spec.addresses, spec.ports or [])
    return _headless(name, slices)


def _clustered(name: str, addresses: list[str], ports: list[PortView]) -> list[Record]:
    found = []
    for address in addresses:
        found += [_address(name, address), Record(reverse(address), "PTR", name)]
    for port in ports:
        found += _services(name, port, name)
    return found


def _headless(name: str, slices: Iterable[SliceView]) -> list[Record]:
    found: dict[Record, None] = {}  # in order, each once
    for slice in slices:
        for endpoint in slice.endpoints or ():
            if not _ready(endpoint):
                continue
            own = f"{endpoint.hostname or dashed(endpoint.addresses[0])}.{name}".lower()
            for address in endpoint.addresses:
                found[_address(name, address)] = None
                found[_address(own, address)] = None
                found[Record(reverse(address), "PTR", own)] = None
            for port in slice.ports or ():
                found |= dict.fromkeys(_services(name, port, own))
    return list(found)


def _ready(endpoint: EndpointView) -> bool:
    """An absent condition counts as ready."""
    ready = endpoint.conditions.ready if endpoint.conditions is not None else None
    return bool(endpoint.addresses) and ready is not False


def _services(name: str, port: PortView | SlicePortView, target: str) -> list[Record]:
    number = port.port or 0
    found = [Record(name, "SRV", target, number)]
    if port.name:
        protocol = (port.protocol or "TCP").lower()
        found.append(Record(f"_{port.name.lower()}._{protocol}.{name}", "SRV", target, number))
    return found


def _address(name: str, address: str) -> Record:
    return Record(name, "AAAA" if ":" in address else "A", address)


def dashed(address: str) -> str:
    """The name that an endpoint without a host name has: its address with dashes."""
    return ipaddress.ip_address(address).exploded.replace(".", "-").replace(":", "-")


def reverse(address: str) -> str:
    return ipaddress.ip_address(address).reverse_pointer
