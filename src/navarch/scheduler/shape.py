# SPDX-License-Identifier: GPL-3.0-or-later
"""What matters of a pod for where it goes, shared by all pods that ask for the same.

Requests follow the reference: the larger of the sum of containers (plus restartable init containers) and
each plain init
container, plus overhead. Scores count pods without requests as 100m and 200 MB, so that they spread too.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import msgspec

from navarch.api.quantity import milli, value
from navarch.client.views import Taint, Toleration
from navarch.scheduler.views import Affinity, Container, PodRow, PodRowSpec

#: What a container without a request counts as in scores: cpu in millicores, memory in bytes (the
#: reference's numbers).
NONZERO_CPU = 100
NONZERO_MEMORY = 200 * 1024 * 1024

HostPort = tuple[str, int, str]  # (protocol, port, address; "" or 0.0.0.0 is every address)

_containers = msgspec.json.Decoder(list[Container])
_tolerations = msgspec.json.Decoder(list[Toleration])
_labels = msgspec.json.Decoder(dict[str, str])
_quantities = msgspec.json.Decoder(dict[str, msgspec.Raw])
_affinity = msgspec.json.Decoder(Affinity)


class Shape:
    """Immutable; compared by identity. `requests` are amounts by resource name: cpu in millicores, the rest
    in units."""

    __slots__ = (
        "affinity",
        "host_ports",
        "node_name",
        "nonzero",
        "preferred",
        "requests",
        "selector",
        "tolerations",
    )

    def __init__(
        self,
        requests: dict[str, int],
        nonzero: tuple[int, int],
        selector: dict[str, str],
        affinity: dict[str, Any] | None,
        preferred: tuple[dict[str, Any], ...],
        tolerations: tuple[Toleration, ...],
        host_ports: tuple[HostPort, ...],
        node_name: str,
    ) -> None:
        self.requests = requests
        self.nonzero = nonzero
        self.selector = selector
        self.affinity = affinity  # the required node selector
        self.preferred = preferred  # weighted terms of preferred node affinity
        self.tolerations = tolerations
        self.host_ports = host_ports
        self.node_name = node_name

    def tolerates(self, taint: Taint) -> bool:
        return any(toleration.tolerates(taint) for toleration in self.tolerations)


def amount(resource: str, quantity: str | int | float) -> int:
    return milli(quantity) if resource == "cpu" else value(quantity)


def _add(total: dict[str, int], more: dict[str, int]) -> None:
    for name, number in more.items():
        total[name] = total.get(name, 0) + number


def _max(total: dict[str, int], other: dict[str, int]) -> None:
    for name, number in other.items():
        if number > total.get(name, 0):
            total[name] = number


def _requests(container: Container) -> dict[str, int]:
    """Requests, or limits where a resource has no request (as defaulting does)."""
    limits = container.resources.limits or {}
    return {name: amount(name, q) for name, q in {**limits, **(container.resources.requests or {})}.items()}


def _nonzero(requests: dict[str, int]) -> dict[str, int]:
    return {"cpu": requests.get("cpu") or NONZERO_CPU, "memory": requests.get("memory") or NONZERO_MEMORY}


def _total(
    containers: Iterable[dict[str, int]], inits: Iterable[tuple[dict[str, int], bool]]
) -> dict[str, int]:
    """KEP-753's sum: restartable init containers keep running beside whatever starts after them."""
    running: dict[str, int] = {}
    peak: dict[str, int] = {}
    for requests, restartable in inits:
        if restartable:
            _add(running, requests)
            _max(peak, running)
        else:
            beside = dict(running)
            _add(beside, requests)
            _max(peak, beside)
    for requests in containers:
        _add(running, requests)
    _max(running, peak)
    return running


class Shapes:
    """Pod rows to shapes, remembering the most recent few thousand."""

    def __init__(self, capacity: int = 4096) -> None:
        self._known: OrderedDict[tuple[bytes | str, ...], Shape] = OrderedDict()
        self._capacity = capacity

    def of(self, pod: PodRow, *, node_name: str = "") -> Shape:
        """node_name: the node the pod insists on; a pod that merely sits on its node has the shape of one
        that sits nowhere."""
        spec = pod.spec
        key = (
            bytes(spec.containers),
            bytes(spec.init_containers),
            bytes(spec.overhead),
            bytes(spec.node_selector),
            bytes(spec.affinity),
            bytes(spec.tolerations),
            node_name,
        )
        shape = self._known.get(key)
        if shape is None:
            shape = self._known[key] = make_shape(spec, node_name)
            if len(self._known) > self._capacity:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(key)
        return shape


def make_shape(spec: PodRowSpec, node_name: str = "") -> Shape:
    containers = _containers.decode(spec.containers) if bytes(spec.containers) else []
    inits = _containers.decode(spec.init_containers) if bytes(spec.init_containers) else []
    asked = [_requests(c) for c in containers]
    init_asked = [(_requests(c), c.restart_policy == "Always") for c in inits]
    requests = _total(asked, init_asked)
    counted = _total(map(_nonzero, asked), [(_nonzero(r), always) for r, always in init_asked])
    if bytes(spec.overhead):
        overhead = {
            name: amount(name, msgspec.json.decode(raw, type=str | int | float))
            for name, raw in _quantities.decode(spec.overhead).items()
        }
        _add(requests, overhead)
        _add(counted, {name: number for name, number in overhead.items() if name in ("cpu", "memory")})
    ports = tuple(
        (port.protocol or "TCP", port.host_port, port.host_ip or "")
        for container in [*containers, *(c for c in inits if c.restart_policy == "Always")]
        for port in container.ports or ()
        if port.host_port
    )
    affinity = _affinity.decode(spec.affinity).node_affinity if bytes(spec.affinity) else None
    required = (affinity or {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    preferred = (affinity or {}).get("preferredDuringSchedulingIgnoredDuringExecution") or ()
    return Shape(
        requests={name: number for name, number in requests.items() if number},
        nonzero=(counted.get("cpu", 0), counted.get("memory", 0)),
        selector=_labels.decode(spec.node_selector) if bytes(spec.node_selector) else {},
        affinity=required,
        preferred=tuple(preferred),
        tolerations=tuple(_tolerations.decode(spec.tolerations)) if bytes(spec.tolerations) else (),
        host_ports=ports,
        node_name=node_name,
    )
