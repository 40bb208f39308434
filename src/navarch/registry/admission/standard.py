# SPDX-License-Identifier: GPL-3.0-or-later
"""The admission plugins of a master, in their order."""

from __future__ import annotations

from collections.abc import Sequence

from navarch.api.core.node.address import Reserved
from navarch.registry.admission import Admission
from navarch.registry.admission.certificate_requests import CertificateRequests
from navarch.registry.admission.default_tolerations import DefaultTolerations
from navarch.registry.admission.namespace_lifecycle import NamespaceLifecycle
from navarch.registry.admission.node_addresses import NodeAddresses
from navarch.registry.admission.node_restriction import NodeRestriction
from navarch.registry.admission.pod_addresses import PodAddresses
from navarch.registry.admission.service_account import ServiceAccount
from navarch.registry.admission.service_allocation import ServiceAllocation


def plugins(
    *,
    service_cidr: str = "10.96.0.0/16",
    toleration_seconds: int = 300,
    node_ports: tuple[int, int] = (30000, 32767),
    service_account_tokens: bool = False,
    reserved: Reserved | None = None,
    pod_networks: Sequence[str] = (),
) -> list[Admission]:
    """service_cidr: where service addresses come from. node_ports: first and last port of services on nodes.
    service_account_tokens: whether pods get a token of their service account. reserved: addresses and names
    that no node may have. pod_networks: ranges that pods may have addresses of besides their nodes' own.

    Raises ValueError for a range that is none.
    """
    return [
        NamespaceLifecycle(),
        NodeRestriction(),
        NodeAddresses(reserved or Reserved(services=[service_cidr])),
        PodAddresses(pod_networks),
        ServiceAccount(tokens=service_account_tokens),
        CertificateRequests(),
        DefaultTolerations(toleration_seconds),
        ServiceAllocation(service_cidr, node_ports),
    ]
