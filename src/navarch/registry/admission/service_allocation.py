# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses and node ports of services: given out when a service is made, checked when it asks for one.

What is taken is read from the services themselves (the store's events), so it is right whoever wrote them;
what is under way is reserved until its write has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from ipaddress import IPv4Address, IPv4Network, ip_address
from random import randrange
from typing import Any, Generic, TypeVar

from msgspec.structs import replace

from navarch.api.core.service.rules import ports_kept
from navarch.api.core.service.service import Service, ServicePort, ServiceSpec
from navarch.api.machinery.errors import (
    ErrorList,
    FieldError,
    internal,
    invalid,
    invalid_object,
)
from navarch.api.machinery.scheme import Kind
from navarch.registry.admission import Operation, Request
from navarch.registry.admission.followed import FollowsKind

T = TypeVar("T", bound=Hashable)

HEADLESS = "None"
#: Random tries before the pool is searched from its start.
_TRIES = 16


class Pool(Generic[T]):
    """Values that each belong to one service at most. `at` makes the value of an index in range(size)."""

    def __init__(self, size: int, at: Callable[[int], T], *, kept: int = 0) -> None:
        """kept: indices at the start that are given out last, so that asking for one of them mostly works."""
        self._size = size
        self._at = at
        self._kept = min(kept, size - 1)
        self._owners: dict[T, str] = {}
        self._reserved: dict[T, str] = {}

    def free(self, value: T, key: str) -> bool:
        return self._owners.get(value, key) == key and self._reserved.get(value, key) == key

    def take(self, value: T, request: Request, key: str) -> None:
        """Reserve a value until the request has ended."""
        self._reserved[value] = key
        request.on_done(lambda: self._free(value))

    def _free(self, value: T) -> None:
        self._reserved.pop(value, None)

    def find(self, key: str) -> T | None:
        """A free value; None when there is none."""
        for _ in range(_TRIES):
            value = self._at(randrange(self._kept, self._size))
            if value not in self._owners and value not in self._reserved:
                return value
        for index in (*range(self._kept, self._size), *range(self._kept)):
            value = self._at(index)
            if value not in self._owners and value not in self._reserved:
                return value
        return None

    def own(self, values: Iterable[T], key: str) -> None:
        for value in values:
            self._owners[value] = key

    def release(self, values: Iterable[T], key: str) -> None:
        for value in values:
            if self._owners.get(value) == key:
                del self._owners[value]


class ServiceAllocation(FollowsKind[Service]):
    resource = "services"

    def __init__(self, cidr: str = "10.96.0.0/16", node_ports: tuple[int, int] = (30000, 32767)) -> None:
        """Raises ValueError."""
        super().__init__()
        self._network = IPv4Network(cidr)
        size = self._network.num_addresses - 2
        if size < 1:
            raise ValueError(f"{cidr} is too small for service addresses")
        base = int(self._network.network_address) + 1
        self._first_port, self._last_port = node_ports
        self._addresses: Pool[str] = Pool(
            size, lambda i: str(IPv4Address(base + i)), kept=min(max(16, size // 16), 256, size // 2)
        )
        ports = self._last_port - self._first_port + 1
        self._ports: Pool[int] = Pool(ports, lambda i: self._first_port + i, kept=min(128, ports // 16))
        self._held: dict[str, tuple[list[str], list[int]]] = {}

    def learn(self, key: str, service: Service | None) -> None:
        addresses, ports = self._held.pop(key, ([], []))
        self._addresses.release(addresses, key)
        self._ports.release(ports, key)
        if service is None or service.spec is None:
            return
        addresses, ports = _addresses(service.spec), _node_ports(service.spec)
        self._addresses.own(addresses, key)
        self._ports.own(ports, key)
        self._held[key] = (addresses, ports)

    def handles(self, kind: Kind[Any], operation: Operation) -> bool:
        return kind.resource == "services" and not kind.group and operation in ("CREATE", "UPDATE")

    def mutate(self, request: Request) -> Any:
        service = request.obj
        if service.spec is None or request.subresource:
            return service
        old = request.old.spec if request.old is not None else None
        key = request.kind.key(request.namespace, request.name)
        errors = ErrorList()
        spec = self._with_address(_carried(service.spec, old), old, request, key, errors)
        spec = self._with_ports(spec, request, key, errors)
        spec = self._with_health(spec, old, request, key, errors)
        if errors:
            raise invalid_object("Service", request.name, errors)
        return replace(service, spec=spec)

    # Addresses

    def _with_address(
        self, spec: ServiceSpec, old: ServiceSpec | None, request: Request, key: str, errors: list[FieldError]
    ) -> ServiceSpec:
        if spec.type == "ExternalName":
            return spec
        if spec.selector or spec.cluster_ip != HEADLESS:
            errors += _families(spec)
            if errors:
                return spec
        address = spec.cluster_ip or (spec.cluster_ips[0] if spec.cluster_ips else "")
        if address == HEADLESS:
            return replace(spec, cluster_ip=HEADLESS, cluster_ips=[HEADLESS])
        if not address:
            found = self._addresses.find(key)
            if found is None:
                raise internal(
                    f"failed to allocate a serviceIP: range is full: every address of {self._network} is"
                    " taken: delete services, or give the master a wider serviceCIDR"
                )
            address = found
        elif not _is_ip(address):
            return spec  # validation says so
        elif old is None or address not in _addresses(old):
            wrong = self._wrong(address, key)
            if wrong:
                detail = f"failed to allocate IP {address}: {wrong}"
                errors.append(invalid("spec.clusterIPs", [address], detail))
                return spec
        self._addresses.take(address, request, key)
        return replace(
            spec,
            cluster_ip=address,
            cluster_ips=spec.cluster_ips or [address],
            ip_families=spec.ip_families or ["IPv4"],
            ip_family_policy=spec.ip_family_policy or "SingleStack",
        )

    def _wrong(self, address: str, key: str) -> str | None:
        parsed = ip_address(address)
        inside = parsed in self._network and parsed not in (
            self._network.network_address,
            self._network.broadcast_address,
        )
        if not inside:
            return (
                f"the provided IP ({address}) is not in the valid range. "
                f"The range of valid IPs is {self._network}"
            )
        if not self._addresses.free(address, key):
            return "provided IP is already allocated"
        return None

    # Node ports

    def _with_ports(
        self, spec: ServiceSpec, request: Request, key: str, errors: list[FieldError]
    ) -> ServiceSpec:
        wanted = spec.type == "NodePort" or (
            spec.type == "LoadBalancer" and spec.allocate_load_balancer_node_ports is not False
        )
        if wanted and len(spec.ports or ()) > (most := self._last_port - self._first_port + 1):
            errors.append(FieldError("spec.ports", "FieldValueTooMany", f"there are {most} node ports"))
            return spec
        ports: list[ServicePort] = []
        for i, port in enumerate(spec.ports or ()):
            number = port.node_port
            if number:
                wrong = self._wrong_port(number, key)
                if wrong:
                    errors.append(invalid(f"spec.ports[{i}].nodePort", number, wrong))
                    continue
            elif wanted:
                number = self._ports.find(key)
                if number is None:
                    raise internal(f"failed to allocate a nodePort: {self._full()}")
                port = replace(port, node_port=number)
            if number:
                self._ports.take(number, request, key)
            ports.append(port)
        return replace(spec, ports=ports) if spec.ports else spec

    def _with_health(
        self, spec: ServiceSpec, old: ServiceSpec | None, request: Request, key: str, errors: list[FieldError]
    ) -> ServiceSpec:
        """The port at which load balancers ask whether a node has endpoints."""
        if spec.type != "LoadBalancer" or spec.external_traffic_policy != "Local":
            if old is not None and spec.health_check_node_port == old.health_check_node_port:
                return replace(spec, health_check_node_port=None)
            return spec
        number = spec.health_check_node_port or (old.health_check_node_port if old is not None else None)
        if number:
            wrong = self._wrong_port(number, key)
            if wrong:
                errors.append(invalid("spec.healthCheckNodePort", number, wrong))
                return spec
        else:
            number = self._ports.find(key)
            if number is None:
                raise internal(f"failed to allocate requested HealthCheck NodePort: {self._full()}")
        self._ports.take(number, request, key)
        return replace(spec, health_check_node_port=number)

    def _full(self) -> str:
        return (
            f"range is full: every port from {self._first_port} to {self._last_port} is taken:"
            " delete services that have node ports, or make them of type ClusterIP"
        )

    def _wrong_port(self, number: int, key: str) -> str | None:
        if not self._first_port <= number <= self._last_port:
            return (
                "provided port is not in the valid range. "
                f"The range of valid ports is {self._first_port}-{self._last_port}"
            )
        if not self._ports.free(number, key):
            return "provided port is already allocated"
        return None


def _families(spec: ServiceSpec) -> list[FieldError]:
    """What a cluster of one family cannot give."""
    found = ErrorList()
    if spec.ip_family_policy == "RequireDualStack":
        detail = "this cluster is not configured for dual-stack services"
        found.append(invalid("spec.ipFamilyPolicy", spec.ip_family_policy, detail))
    for i, family in enumerate(spec.ip_families or ()):
        if family == "IPv6":
            found.append(invalid(f"spec.ipFamilies[{i}]", family, "not configured on this cluster"))
    return found


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _addresses(spec: ServiceSpec) -> list[str]:
    given = spec.cluster_ips or ([spec.cluster_ip] if spec.cluster_ip else [])
    return [address for address in given if address and address != HEADLESS]


def _node_ports(spec: ServiceSpec) -> list[int]:
    found = [port.node_port for port in spec.ports or () if port.node_port]
    return [*found, spec.health_check_node_port] if spec.health_check_node_port else found


def _carried(spec: ServiceSpec, old: ServiceSpec | None) -> ServiceSpec:
    """An update that leaves out what was given out before keeps it, as long as its type still needs it."""
    if old is None:
        return spec
    if spec.type == "ExternalName":
        return replace(spec, cluster_ip=None, cluster_ips=None) if old.type != "ExternalName" else spec
    if not spec.cluster_ip and not spec.cluster_ips and old.type != "ExternalName":
        spec = replace(
            spec,
            cluster_ip=old.cluster_ip,
            cluster_ips=old.cluster_ips,
            ip_families=spec.ip_families or old.ip_families,
            ip_family_policy=spec.ip_family_policy or old.ip_family_policy,
        )
    return replace(spec, ports=ports_kept(spec, old))
