# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of services (`kubectl get services`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from navarch.api.machinery.columns import AGE, NAME, NONE, SELECTOR, UNKNOWN, labels
from navarch.api.machinery.durations import age
from navarch.api.machinery.scheme import Column

if TYPE_CHECKING:
    from navarch.api.core.service.service import Service

COLUMNS = (
    NAME,
    Column("Type", description="ClusterIP, NodePort, LoadBalancer or ExternalName."),
    Column("Cluster-IP", description="Address within the cluster."),
    Column("External-IP", description="Addresses or name outside the cluster."),
    Column("Port(s)", description="Ports, with node ports behind a colon."),
    AGE,
    SELECTOR,
)


def cells(service: Service, now: float) -> list[Any]:
    spec = service.spec
    cluster_ip = NONE
    if spec is not None:
        cluster_ip = (spec.cluster_ips[0] if spec.cluster_ips else spec.cluster_ip) or NONE
    return [
        service.metadata.name or "",
        (spec.type if spec is not None else None) or "",
        cluster_ip,
        external(service),
        ports(service),
        age(service.metadata.creation_timestamp, now),
        labels(spec.selector if spec is not None else None),
    ]


def external(service: Service) -> str:
    """Where the service is reached from outside."""
    spec = service.spec
    if spec is None:
        return UNKNOWN
    if spec.type == "ExternalName":
        return spec.external_name or NONE
    found = list(spec.external_ips or ())
    if spec.type == "LoadBalancer":
        balancer = service.status.load_balancer if service.status is not None else None
        for ingress in (balancer.ingress if balancer is not None else None) or ():
            found.append(ingress.ip or ingress.hostname or "")
        return ",".join(found) or "<pending>"
    return ",".join(found) or NONE


def ports(service: Service) -> str:
    """`80/TCP,443:30443/TCP`."""
    given = (service.spec.ports if service.spec is not None else None) or ()
    return (
        ",".join(
            f"{p.port}:{p.node_port}/{p.protocol}" if p.node_port else f"{p.port}/{p.protocol}" for p in given
        )
        or NONE
    )
