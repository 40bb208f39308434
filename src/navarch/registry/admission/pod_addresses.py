# SPDX-License-Identifier: GPL-3.0-or-later
"""A kubelet gives its pods no address that is not its node's to give.

Services send traffic to what stands in `status.podIPs`. A pod's address is from the range that the master
gave its node, or from a network that the administrator named (another CNI's); a pod on the host's network has
the node's own. Addresses that the pod has already are not looked at again.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from navarch.api.core.node.identity import node_of
from navarch.api.core.node.node import Node
from navarch.api.core.pod.pod import POD, Pod
from navarch.api.core.pod.status import PodStatus
from navarch.api.machinery.errors import forbidden_request
from navarch.api.machinery.scheme import Kind
from navarch.registry.admission import Admission, Operation, Request
from navarch.registry.core import Core

_OWN = ("InternalIP", "ExternalIP")
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class PodAddresses(Admission):
    def __init__(self, networks: Sequence[str] = ()) -> None:
        """networks: ranges besides the nodes' own. Raises ValueError."""
        self._networks = [ipaddress.ip_network(network) for network in networks]
        self._core: Core | None = None

    async def start(self, core: Core) -> None:
        self._core = core

    def handles(self, kind: Kind[Any], operation: Operation) -> bool:
        return kind is POD and operation == "UPDATE"

    def validate(self, request: Request) -> None:
        if request.subresource != "status":
            return
        user = request.ctx.user
        node = node_of(user.name, user.groups)
        if node is None:
            return
        pod: Pod = request.obj
        new, old = pod.status or PodStatus(), request.old.status or PodStatus()
        pods, hosts = _pod_ips(new) - _pod_ips(old), _host_ips(new) - _host_ips(old)
        if not pods and not hosts:
            return
        assert self._core is not None
        found: Node = self._core.find("", "v1", "nodes", None, node) or Node()
        own = {a.address for a in (found.status.addresses if found.status else None) or () if a.type in _OWN}
        if strange := hosts - own:
            raise _refused(
                request, f'node "{node}" has no address {min(strange)}: it is none of its pod\'s host'
            )
        if pod.spec is not None and pod.spec.host_network:
            if strange := pods - own:
                why = f'node "{node}" has no address {min(strange)} to give a pod on its own network'
                raise _refused(request, why)
            return
        ranges = (found.spec.pod_cidrs if found.spec else None) or []
        networks = [*map(ipaddress.ip_network, ranges), *self._networks]
        if strange := {ip for ip in pods if not _within(ip, networks)}:
            where = f"its range is {', '.join(ranges)}" if ranges else "it has no range yet"
            raise _refused(request, f'node "{node}" cannot give a pod the address {min(strange)}: {where}')


def _pod_ips(status: PodStatus) -> set[str]:
    ips = {ip.ip for ip in status.pod_ips or () if ip.ip}
    return ips | {status.pod_ip} if status.pod_ip else ips


def _host_ips(status: PodStatus) -> set[str]:
    ips = {ip.ip for ip in status.host_ips or () if ip.ip}
    return ips | {status.host_ip} if status.host_ip else ips


def _within(ip: str, networks: Sequence[_Network]) -> bool:
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return False
    return any(address in network for network in networks)


def _refused(request: Request, why: str) -> Exception:
    return forbidden_request(request.kind.resource, request.name, why, request.kind.group)
