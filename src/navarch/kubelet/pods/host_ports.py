# SPDX-License-Identifier: GPL-3.0-or-later
"""The host ports that pods ask for: as mappings for the node's rules, and who has which.

The scheduler keeps pods apart whose ports conflict; a pod that was put here past it is found out here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from navarch.api.core.pod.container import ContainerPort
from navarch.api.core.pod.pod import Pod
from navarch.network.host import PortMapping

_EVERY = ("", "0.0.0.0")


def _ports(pod: Pod) -> Iterator[ContainerPort]:
    """Those of the node's that pods on IPv4 get."""
    spec = pod.spec
    for container in [*spec.containers, *(spec.init_containers or ())] if spec is not None else ():
        for port in container.ports or ():
            if port.host_port and ":" not in (port.host_ip or ""):
                yield port


def mappings(pod: Pod, ip: str = "") -> list[PortMapping]:
    """Empty for a pod in the host's own network, whose ports are the node's anyway."""
    if pod.spec is None or pod.spec.host_network:
        return []
    return sorted(
        PortMapping(
            port.host_port or 0,
            (port.protocol or "TCP").lower(),
            port.host_ip or "",
            ip,
            port.container_port,
        )
        for port in _ports(pod)
    )


class _Port(NamedTuple):
    protocol: str
    number: int
    address: str

    def conflicts(self, other: _Port) -> bool:
        everywhere = self.address in _EVERY or other.address in _EVERY
        return self[:2] == other[:2] and (everywhere or self.address == other.address)


def _wanted(pod: Pod) -> list[_Port]:
    return [_Port(p.protocol or "TCP", p.host_port or 0, p.host_ip or "") for p in _ports(pod)]


class HostPorts:
    """Who has which port of this node, from before it starts until it is over."""

    def __init__(self) -> None:
        #: UID -> (namespace/name, its ports).
        self._held: dict[str, tuple[str, list[_Port]]] = {}

    def hold(self, uid: str, pod: Pod) -> None:
        """Whatever others have: it runs already."""
        if ports := _wanted(pod):
            self._held[uid] = (f"{pod.metadata.namespace}/{pod.metadata.name}", ports)

    def claim(self, uid: str, pod: Pod) -> str:
        """Hold them all, or say in a line which one another pod has ("": all are held)."""
        if uid in self._held:
            return ""
        for wanted in _wanted(pod):
            for name, ports in self._held.values():
                if any(wanted.conflicts(other) for other in ports):
                    return (
                        f"host port {wanted.number}/{wanted.protocol} of this node is taken by pod {name}:"
                        " choose another port, or leave the node to the scheduler"
                    )
        self.hold(uid, pod)
        return ""

    def release(self, uid: str) -> None:
        self._held.pop(uid, None)
