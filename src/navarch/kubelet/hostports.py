# SPDX-License-Identifier: GPL-3.0-or-later
"""The host ports a pod asks for, as mappings for the node's rules.

Conflicts between pods are the scheduler's business.
"""

from __future__ import annotations

from navarch.api.pod import Pod
from navarch.network.host import PortMapping


def mappings(pod: Pod, ip: str = "") -> list[PortMapping]:
    """Empty for a pod in the host's own network, whose ports are the node's anyway."""
    spec = pod.spec
    if spec is None or spec.host_network:
        return []
    return sorted(
        PortMapping(
            port.host_port, (port.protocol or "TCP").lower(), port.host_ip or "", ip, port.container_port
        )
        for container in [*spec.containers, *(spec.init_containers or ())]
        for port in container.ports or ()
        if port.host_port
    )
