# SPDX-License-Identifier: GPL-3.0-or-later
"""Which addresses a service has on this node, and which endpoints each of them leads to.

Pure: from views to values. How that becomes rules is not known here.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Iterable
from typing import NamedTuple

from navarch.network.serviceviews import (
    EndpointView,
    PortView,
    ServiceView,
    SliceView,
    SpecView,
)

#: Seconds of session affinity when the service does not say (API reference, ClientIPConfig).
AFFINITY_SECONDS = 10800


class Backend(NamedTuple):
    ip: str
    port: int


class Address(NamedTuple):
    """Where clients connect to. ip "" is every address of the node itself (a NodePort)."""

    ip: str
    protocol: str  # tcp, udp, sctp
    port: int


class Frontend(NamedTuple):
    """What an address leads to."""

    #: Names the service's port; addresses of one port share the memory of their clients.
    port: str
    #: For clients in the cluster, the node included. None: nothing answers.
    inside: tuple[Backend, ...]
    #: For clients outside, when they may only go to this node's endpoints; None: the same as inside.
    outside: tuple[Backend, ...] | None = None
    #: Not the cluster's own address: a NodePort, an external IP, a load balancer's.
    external: bool = False
    #: Session affinity in seconds, 0 for none.
    timeout: int = 0
    #: Who may come, when that is not everybody.
    sources: tuple[str, ...] = ()


class Health(NamedTuple):
    """What a load balancer before the nodes asks this one: how many ready endpoints it has."""

    port: int
    endpoints: int


class Plan(NamedTuple):
    """A service on this node."""

    frontends: dict[Address, Frontend]
    #: Addresses of endpoints on this node: one may connect to itself through the service.
    local: frozenset[str]
    health: Health | None = None


NOTHING = Plan({}, frozenset())


class Place(NamedTuple):
    """Where this node is. zone "": unknown."""

    node: str
    zone: str = ""


class _Pools(NamedTuple):
    everywhere: list[Backend]
    #: Of this node.
    here: list[Backend]
    #: Those that the service wants clients of this node to be led to.
    preferred: list[Backend]
    #: How many of this node are ready.
    ready_here: int


def plan(service: ServiceView, slices: Iterable[SliceView], place: Place, before: Plan = NOTHING) -> Plan:
    """before: the service's last plan; what stays keeps its place in the order of endpoints."""
    spec = service.spec
    if spec is None or not proxied(service):
        return NOTHING
    cluster_ips = [ip for ip in spec.cluster_ips or [spec.cluster_ip or ""] if _is_v4(ip)]
    others = [ip for ip in spec.external_ips or () if _is_v4(ip)]
    balancers = [ip for ip in _ingress(service) if _is_v4(ip)]
    sources = _sources(spec, balancers)
    timeout = _timeout(spec)
    known = list(slices)
    frontends: dict[Address, Frontend] = {}
    local: set[str] = set()
    healthy: set[str] = set()
    for port in spec.ports or ():
        protocol = (port.protocol or "TCP").lower()
        if protocol not in ("tcp", "udp", "sctp"):
            continue
        pools = _pools(port, known, place, spec.traffic_distribution)
        local.update(backend.ip for backend in pools.here)
        healthy.update(backend.ip for backend in pools.here[: pools.ready_here])
        label = f"{service.metadata.namespace}/{service.metadata.name}:{port.name or ''}/{protocol}"
        for ip in cluster_ips:
            address = Address(ip, protocol, port.port)
            inside = pools.here if spec.internal_traffic_policy == "Local" else pools.preferred
            old = before.frontends.get(address)
            frontends[address] = Frontend(label, arrange(old.inside if old else (), inside), timeout=timeout)
        outer = [Address(ip, protocol, port.port) for ip in (*others, *balancers)]
        if port.node_port:
            outer.append(Address("", protocol, port.node_port))
        for address in outer:
            old = before.frontends.get(address)
            outside = None
            if spec.external_traffic_policy == "Local":
                outside = arrange((old.outside or ()) if old else (), pools.here)
            inside_now = arrange(old.inside if old else (), pools.preferred)
            allowed = sources if address.ip in balancers else ()
            frontends[address] = Frontend(label, inside_now, outside, True, timeout, allowed)
    return Plan(frontends, frozenset(local), _health(spec, len(healthy)))


def proxied(service: ServiceView) -> bool:
    """Headless services and those that are only a name have no address to lead anywhere."""
    spec = service.spec
    if spec is None or spec.type == "ExternalName" or not spec.cluster_ip or spec.cluster_ip == "None":
        return False
    labels = service.metadata.labels
    return labels is None or labels.other_proxy is None


def arrange(before: tuple[Backend, ...], wanted: list[Backend]) -> tuple[Backend, ...]:
    """The wanted in an order that differs from the one before in as few places as can be."""
    missing = set(wanted)
    places: list[Backend | None] = []
    for old in before[: len(wanted)]:
        places.append(old if old in missing else None)
        missing.discard(old)
    places += [None] * (len(wanted) - len(places))
    fill = (backend for backend in wanted if backend in missing)
    return tuple(place if place is not None else next(fill) for place in places)


def _pools(port: PortView, slices: list[SliceView], place: Place, distribution: str | None) -> _Pools:
    """Endpoints that are ready; when there are none, those that end but still serve (KEP-1669)."""
    ready: dict[Backend, EndpointView] = {}
    ending: dict[Backend, EndpointView] = {}
    for one in slices:
        if one.address_type != "IPv4":
            continue
        number = _number(port, one)
        if not number:
            continue
        for endpoint in one.endpoints or ():
            # All addresses of an endpoint are the same thing: the first is enough (API reference).
            if not endpoint.addresses or not _is_v4(endpoint.addresses[0]):
                continue
            backend = Backend(endpoint.addresses[0], number)
            if _ready(endpoint):
                ready[backend] = endpoint
            elif _ending(endpoint):
                ending[backend] = endpoint
    everywhere = sorted(ready or ending)
    ready_here = sorted(b for b, e in ready.items() if e.node_name == place.node)
    here = ready_here or sorted(b for b, e in ending.items() if e.node_name == place.node)
    preferred: list[Backend] = []
    if distribution == "PreferSameNode":
        preferred = ready_here
    if distribution and not preferred and place.zone:
        preferred = sorted(b for b, e in ready.items() if e.zone == place.zone)
    return _Pools(everywhere, here, preferred or everywhere, len(ready_here))


def _number(port: PortView, one: SliceView) -> int:
    for candidate in one.ports or ():
        same = (candidate.protocol or "TCP") == (port.protocol or "TCP")
        if same and (candidate.name or "") == (port.name or ""):
            return candidate.port or 0
    return 0


def _ready(endpoint: EndpointView) -> bool:
    return endpoint.conditions is None or endpoint.conditions.ready is not False


def _ending(endpoint: EndpointView) -> bool:
    conditions = endpoint.conditions
    return conditions is not None and bool(conditions.terminating) and conditions.serving is not False


def _ingress(service: ServiceView) -> list[str]:
    balancer = service.status.load_balancer if service.status is not None else None
    if service.spec is None or service.spec.type != "LoadBalancer" or balancer is None:
        return []
    return [i.ip for i in balancer.ingress or () if i.ip and i.ip_mode != "Proxy"]


def _sources(spec: SpecView, balancers: list[str]) -> tuple[str, ...]:
    """Ranges that a balancer's addresses take clients from, none for everybody.

    The balancer's own addresses are let in as well: a node that has one of them speaks from it.
    """
    networks = []
    for text in spec.load_balancer_source_ranges or ():
        with contextlib.suppress(ValueError):
            networks.append(ipaddress.IPv4Network(text.strip(), strict=False))
    if not networks:
        return ()
    networks += [ipaddress.IPv4Network(ip) for ip in balancers]
    return tuple(str(network) for network in ipaddress.collapse_addresses(networks))


def _health(spec: SpecView, endpoints: int) -> Health | None:
    wanted = spec.type == "LoadBalancer" and spec.external_traffic_policy == "Local"
    return Health(spec.health_check_node_port, endpoints) if wanted and spec.health_check_node_port else None


def _timeout(spec: SpecView) -> int:
    if spec.session_affinity != "ClientIP":
        return 0
    config = spec.session_affinity_config
    given = config.client_ip.timeout_seconds if config is not None and config.client_ip is not None else None
    return given or AFFINITY_SECONDS


def _is_v4(ip: str) -> bool:
    """Addresses come from users: nothing else may reach the rules."""
    try:
        socket.inet_pton(socket.AF_INET, ip)
    except (OSError, ValueError):
        return False
    return True
