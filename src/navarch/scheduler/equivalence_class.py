# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scheduler reads of a pod, shared by all pods that ask for the same (an equivalence class).

Requests follow the reference: the larger of the sum of containers (plus restartable init containers) and
each plain init
container, plus overhead. Scores count pods without requests as 100m and 200 MB, so that they spread too.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import msgspec

from navarch.api.core.pod.affinity import (
    PodAffinity,
    PodAffinityTerm,
    PodAntiAffinity,
    TopologySpreadConstraint,
)
from navarch.api.machinery import decoders
from navarch.api.machinery.meta import LabelSelector
from navarch.api.machinery.quantity import milli, value
from navarch.api.machinery.selectors import NOTHING, Requirement, Selector, from_struct
from navarch.client.views import Taint, Toleration
from navarch.scheduler.views import Affinity, Container, Owner, PodRow

#: What a container without a request counts as in scores: cpu in millicores, memory in bytes (the
#: reference's numbers).
NONZERO_CPU = 100
NONZERO_MEMORY = 200 * 1024 * 1024

#: What a required affinity of a pod that sits weighs for those that come after (the reference's number).
_REQUIRED_WEIGHT = 1

T = TypeVar("T")
HostPort = tuple[str, int, str]  # (protocol, port, address; "" or 0.0.0.0 is every address)

_containers = decoders.of(list[Container])
_tolerations = decoders.of(list[Toleration])
_labels = decoders.of(dict[str, str])
_quantities = decoders.of(dict[str, msgspec.Raw])
_affinity = decoders.of(Affinity)
_constraints = decoders.of(list[TopologySpreadConstraint])
_owners = decoders.of(list[Owner])


class Group(NamedTuple):
    """Pods that a rule counts: of an owner, or by their labels in some namespaces."""

    namespaces: frozenset[str] = frozenset()
    namespace_selector: Selector = NOTHING
    selector: Selector = NOTHING
    #: uid of the controller whose pods are meant; nothing else is asked then.
    owner: str = ""

    def has(self, eclass: EquivalenceClass, namespace_labels: dict[str, str] | None) -> bool:
        """Whether pods of this equivalence class are meant; namespace_labels: those of their namespace."""
        if self.owner:
            return eclass.owner == self.owner
        return (
            eclass.namespace in self.namespaces or self.namespace_selector.matches(namespace_labels)
        ) and self.selector.matches(eclass.labels)


class Term(NamedTuple):
    """A group of pods, and the node label whose value says what one place is."""

    group: Group
    key: str


class Spread(NamedTuple):
    """A topology spread constraint; where `hard`, nodes that would break it are refused."""

    term: Term
    max_skew: int
    hard: bool = False
    min_domains: int = 1
    honor_affinity: bool = True
    honor_taints: bool = False


@dataclass(eq=False, slots=True, kw_only=True)
class EquivalenceClass:
    """Not changed once made; compared by identity."""

    #: Amounts by resource name: cpu in millicores, the rest in units.
    requests: dict[str, int]
    #: What scores count of (cpu, memory).
    nonzero: tuple[int, int]
    selector: dict[str, str]
    #: The required node selector.
    affinity: dict[str, Any] | None
    #: Weighted terms of preferred node affinity.
    preferred: tuple[dict[str, Any], ...]
    tolerations: tuple[Toleration, ...]
    host_ports: tuple[HostPort, ...]
    #: The node the pod insists on.
    node_name: str
    # What other pods' rules ask of it.
    namespace: str
    labels: dict[str, str]
    #: uid of its controller, or "".
    owner: str
    # What it asks of other pods.
    near: tuple[Term, ...] = ()
    apart: tuple[Term, ...] = ()
    #: Preferred terms with their weights, those of anti-affinity below zero.
    wishes: tuple[tuple[Term, int], ...] = ()
    spread: tuple[Spread, ...] = ()
    #: What it was made of.
    source: tuple[bytes | str, ...] = ()
    #: What its pods go on to want of those that come after them: (term, weight), with weight 0 where the term
    #: forbids.
    held: tuple[tuple[Term, int], ...] = field(init=False)

    def __post_init__(self) -> None:
        forbidden = ((term, 0) for term in self.apart)
        self.held = (*forbidden, *((term, _REQUIRED_WEIGHT) for term in self.near), *self.wishes)

    @property
    def awaits_pods(self) -> bool:
        """Whether a pod placed elsewhere may open a node to this one."""
        return bool(self.near) or any(spread.hard for spread in self.spread)

    def tolerates(self, taint: Taint) -> bool:
        return any(toleration.tolerates(taint) for toleration in self.tolerations)


#: More than this of a resource counts as this much (8 PiB of memory, nine trillion cores): what the API takes
#: may be beyond what the matrices hold, and so may a sum over the pods of a node.
MOST = 2**53


def amount(resource: str, quantity: str | int | float) -> int:
    return min(milli(quantity) if resource == "cpu" else value(quantity), MOST)


def _add(total: dict[str, int], more: dict[str, int]) -> None:
    for name, number in more.items():
        total[name] = min(total.get(name, 0) + number, MOST)


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


class EquivalenceClasses:
    """Pod rows to equivalence classes, remembering the most recent few thousand."""

    def __init__(self, capacity: int = 4096) -> None:
        self._known: OrderedDict[tuple[bytes | str, ...], EquivalenceClass] = OrderedDict()
        self._capacity = capacity

    def of(self, pod: PodRow, *, node_name: str = "") -> EquivalenceClass:
        """node_name: the node that the spec asks for. A bound pod has the same class as an unbound one."""
        source = self.source(pod, node_name)
        eclass = self._known.get(source)
        if eclass is None:
            eclass = self._known[source] = make_class(pod, node_name)
            eclass.source = source
            if len(self._known) > self._capacity:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(source)
        return eclass

    @staticmethod
    def source(pod: PodRow, node_name: str = "") -> tuple[bytes | str, ...]:
        """What an equivalence class is made of: pods for which this is equal share one."""
        meta, spec = pod.metadata, pod.spec
        return (
            meta.namespace,
            bytes(meta.labels),
            bytes(meta.owner_references),
            bytes(spec.containers),
            bytes(spec.init_containers),
            bytes(spec.overhead),
            bytes(spec.node_selector),
            bytes(spec.affinity),
            bytes(spec.tolerations),
            bytes(spec.topology_spread_constraints),
            node_name,
        )


def _decode(decoder: msgspec.json.Decoder[T], raw: msgspec.Raw) -> T | None:
    """None where the field is absent."""
    return decoder.decode(raw) if bytes(raw) else None


def make_class(pod: PodRow, node_name: str = "") -> EquivalenceClass:
    meta, spec = pod.metadata, pod.spec
    labels = _decode(_labels, meta.labels) or {}
    owners = _decode(_owners, meta.owner_references) or ()
    containers = _decode(_containers, spec.containers) or []
    inits = _decode(_containers, spec.init_containers) or []
    requested = [_requests(c) for c in containers]
    init_asked = [(_requests(c), c.restart_policy == "Always") for c in inits]
    requests = _total(requested, init_asked)
    counted = _total(map(_nonzero, requested), [(_nonzero(r), always) for r, always in init_asked])
    overhead = {
        name: amount(name, msgspec.json.decode(raw, type=str | int | float))
        for name, raw in (_decode(_quantities, spec.overhead) or {}).items()
    }
    _add(requests, overhead)
    _add(counted, {name: number for name, number in overhead.items() if name in ("cpu", "memory")})
    ports = tuple(
        (port.protocol or "TCP", port.host_port, port.host_ip or "")
        for container in [*containers, *(c for c in inits if c.restart_policy == "Always")]
        for port in container.ports or ()
        if port.host_port
    )
    affinity = _decode(_affinity, spec.affinity) or Affinity()
    required = (affinity.node_affinity or {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    preferred = (affinity.node_affinity or {}).get("preferredDuringSchedulingIgnoredDuringExecution") or ()
    tolerations: list[Toleration] = _decode(_tolerations, spec.tolerations) or []
    near, apart = affinity.pod_affinity, affinity.pod_anti_affinity
    return EquivalenceClass(
        requests={name: number for name, number in requests.items() if number},
        nonzero=(counted.get("cpu", 0), counted.get("memory", 0)),
        selector=_decode(_labels, spec.node_selector) or {},
        affinity=required,
        preferred=tuple(preferred),
        tolerations=tuple(tolerations),
        host_ports=ports,
        node_name=node_name,
        namespace=meta.namespace,
        labels=labels,
        owner=next((owner.uid for owner in owners if owner.controller), ""),
        near=tuple(_term(t, meta.namespace, labels) for t in _required(near)),
        apart=tuple(_term(t, meta.namespace, labels) for t in _required(apart)),
        wishes=tuple(
            (_term(wish.pod_affinity_term, meta.namespace, labels), sign * wish.weight)
            for sign, pods in ((1, near), (-1, apart))
            for wish in (pods and pods.preferred_during_scheduling_ignored_during_execution) or ()
        ),
        spread=tuple(
            _spread(constraint, meta.namespace, labels)
            for constraint in _decode(_constraints, spec.topology_spread_constraints) or ()
        ),
    )


def _required(pods: PodAffinity | PodAntiAffinity | None) -> list[PodAffinityTerm]:
    return (pods and pods.required_during_scheduling_ignored_during_execution) or []


def _selector(
    given: LabelSelector | None,
    labels: dict[str, str],
    same: list[str] | None,
    other: list[str] | None = None,
) -> Selector:
    """A label selector, and of the pod's own labels those whose values must be the same or must differ."""
    found = from_struct(given)
    more = [Requirement(key, "=", (labels[key],)) for key in same or () if key in labels]
    more += [Requirement(key, "notin", (labels[key],)) for key in other or () if key in labels]
    return Selector([*found.requirements, *more]) if more and not found.nothing else found


def _term(term: PodAffinityTerm, namespace: str, labels: dict[str, str]) -> Term:
    named = frozenset(term.namespaces or ())
    if not named and term.namespace_selector is None:
        named = frozenset((namespace,))
    selector = _selector(term.label_selector, labels, term.match_label_keys, term.mismatch_label_keys)
    return Term(Group(named, from_struct(term.namespace_selector), selector), term.topology_key)


def _spread(constraint: TopologySpreadConstraint, namespace: str, labels: dict[str, str]) -> Spread:
    selector = _selector(constraint.label_selector, labels, constraint.match_label_keys)
    return Spread(
        term=Term(Group(frozenset((namespace,)), selector=selector), constraint.topology_key),
        max_skew=constraint.max_skew,
        hard=constraint.when_unsatisfiable == "DoNotSchedule",
        min_domains=constraint.min_domains or 1,
        honor_affinity=constraint.node_affinity_policy != "Ignore",
        honor_taints=constraint.node_taints_policy == "Honor",
    )
