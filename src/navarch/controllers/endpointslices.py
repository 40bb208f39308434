# SPDX-License-Identifier: GPL-3.0-or-later
"""EndpointSlices: for every service the backends that its selector selects, or that Endpoints made by hand
name, in slices of at most a hundred. A backend stays in its slice, so that one change is one small write.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from navarch.api.core.endpoints import Endpoints
from navarch.api.core.service.service import Service
from navarch.api.discovery.endpointslice import (
    MANAGED_BY,
    SERVICE_NAME,
    Endpoint,
    EndpointConditions,
    EndpointPort,
    EndpointSlice,
)
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import ObjectMeta, OwnerReference
from navarch.client.informer import Informer
from navarch.client.workqueue import WorkQueue
from navarch.controllers import service_backends, views
from navarch.controllers.base import Context
from navarch.controllers.service_backends import Backend, Key, Port, ServiceBackends

#: Endpoints in a slice at most.
MOST = 100

_BY_SELECTOR = "endpointslice-controller.k8s.io"
_BY_HAND = "endpointslicemirroring-controller.k8s.io"
_OURS = (_BY_SELECTOR, _BY_HAND)
_SKIP_MIRROR = "endpointslice.kubernetes.io/skip-mirror"
#: Annotations of Endpoints that are about them alone.
_NOT_MIRRORED = frozenset(
    {
        "endpoints.kubernetes.io/last-change-trigger-time",
        "kubectl.kubernetes.io/last-applied-configuration",
    }
)
_ZONE = "topology.kubernetes.io/zone"


class Group(NamedTuple):
    """What all endpoints of a slice have in common."""

    type: str
    ports: tuple[Port, ...]


#: Identity of an endpoint (whom it means and its address) -> the endpoint.
Wanted = dict[str, Endpoint]


class Mark(NamedTuple):
    """What every slice of a service bears. Slices that mirror are marked as their Endpoints are, and are
    theirs."""

    labels: dict[str, str]
    #: None: what others wrote there is left.
    annotations: dict[str, str] | None
    owners: list[OwnerReference]

    def put_on(self, metadata: ObjectMeta) -> ObjectMeta:
        notes = metadata.annotations if self.annotations is None else self.annotations or None
        return replace(metadata, labels=self.labels, annotations=notes, owner_references=self.owners)


class EndpointSlices:
    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._queue: WorkQueue[Key] = WorkQueue("endpoint slices")
        self._backends = ServiceBackends(context, self._queue.add)
        self._nodes = views.nodes(context.informers)
        self._by_hand: Informer[Endpoints] = context.informers.of(Endpoints)
        self._by_hand.listen(self._on_endpoints)
        self._slices: Informer[EndpointSlice] = context.informers.of(EndpointSlice)
        self._slices.index("service", _service_of)
        self._slices.listen(self._on_slice)
        #: What we wrote and the informer has not shown yet, by service and name; None: deleted.
        self._written: dict[Key, dict[str, EndpointSlice | None]] = {}

    async def run(self) -> None:
        await self._queue.run(self._reconcile, workers=4)

    def _on_endpoints(self, old: Endpoints | None, new: Endpoints | None) -> None:
        endpoints = new or old
        assert endpoints is not None
        key = (endpoints.metadata.namespace or "", endpoints.metadata.name or "")
        service = self._backends.services.get(key[1], key[0])
        if service is not None and not (service.spec and service.spec.selector):
            self._queue.add(key)

    def _on_slice(self, old: EndpointSlice | None, new: EndpointSlice | None) -> None:
        for value in {key for obj in (old, new) if obj is not None for key in _service_of(obj)}:
            namespace, _, service = value.partition("/")
            key = (namespace, service)
            present = new or old
            assert present is not None
            pending = self._written.get(key)
            if pending is not None and (name := present.metadata.name or "") in pending:
                ours = pending[name]
                if new is None or (ours is not None and _version(new) >= _version(ours)):
                    del pending[name]
                    if not pending:
                        del self._written[key]
                    continue  # our own write come back: nothing to do
            if old is not None and new is not None and _same(old, new):
                continue
            self._queue.add(key)

    def _known(self, key: Key) -> dict[str, EndpointSlice]:
        found = {s.metadata.name or "": s for s in self._slices.by_index("service", f"{key[0]}/{key[1]}")}
        for name, ours in self._written.get(key, {}).items():
            if ours is None:
                found.pop(name, None)
            elif name not in found or _version(found[name]) < _version(ours):
                found[name] = ours
        return {name: s for name, s in found.items() if not s.metadata.deletion_timestamp}

    async def _reconcile(self, key: Key) -> None:
        service = self._backends.services.get(key[1], key[0])
        known = self._known(key)
        if service is None or service.metadata.deletion_timestamp:
            if service is None:
                for slice in known.values():
                    await self._delete(key, slice)
            return
        groups, keeper = self._wanted(service)
        mine = {name: s for name, s in known.items() if (s.metadata.labels or {}).get(MANAGED_BY) == keeper}
        for name, slice in known.items():
            if name not in mine:
                await self._delete(key, slice)  # the service got or lost its selector
        mark = self._mark(service, keeper)
        kept: dict[Group, list[EndpointSlice]] = {}
        for slice in mine.values():
            group = _group(slice)
            if group in groups:
                kept.setdefault(group, []).append(slice)
            else:
                await self._delete(key, slice)
        for group, wanted in groups.items():
            await self._fill(key, group, wanted, kept.get(group, []), mark)

    async def _fill(
        self, key: Key, group: Group, wanted: Wanted, slices: list[EndpointSlice], mark: Mark
    ) -> None:
        slices.sort(key=lambda s: s.metadata.name or "")
        plan, fresh = spread(wanted, [s.endpoints or [] for s in slices])
        for slice, endpoints in zip(slices, plan, strict=True):
            if endpoints is None:
                await self._delete(key, slice)
                continue
            metadata = mark.put_on(slice.metadata)
            if endpoints != (slice.endpoints or []) or metadata != slice.metadata:
                await self._write(key, replace(slice, metadata=metadata, endpoints=endpoints or None))
        for endpoints in fresh:
            metadata = mark.put_on(ObjectMeta(generate_name=f"{key[1]}-", namespace=key[0]))
            ports = [
                EndpointPort(name=name, port=number, protocol=protocol, app_protocol=application or None)
                for name, number, protocol, application in group.ports
            ]
            await self._write(
                key,
                EndpointSlice(
                    metadata=metadata,
                    address_type=group.type,
                    endpoints=endpoints or None,
                    ports=ports or None,
                ),
            )

    async def _write(self, key: Key, slice: EndpointSlice) -> None:
        try:
            if slice.metadata.name:
                done = await self._client.update(slice)
            else:
                done = await self._client.create(slice)
        except StatusError as error:
            if error.code not in (404, 409) and "NamespaceTerminating" not in str(error.details):
                raise
            self._queue.add_after(key, 0.1)  # our view lags, or the namespace is going
            return
        self._remember(key, done.metadata.name or "", done)

    async def _delete(self, key: Key, slice: EndpointSlice) -> None:
        name = slice.metadata.name or ""
        try:
            await self._client.delete(EndpointSlice, name, key[0])
        except StatusError as error:
            if error.code != 404:
                raise
        self._remember(key, name, None)

    def _remember(self, key: Key, name: str, done: EndpointSlice | None) -> None:
        cached = self._slices.get(name, key[0])
        caught_up = (
            cached is None if done is None else cached is not None and _version(cached) >= _version(done)
        )
        if not caught_up:
            self._written.setdefault(key, {})[name] = done

    # What should be.

    def _wanted(self, service: Service) -> tuple[dict[Group, Wanted], str]:
        """The endpoints by group, and who keeps them. A service has at least one slice, be it empty."""
        spec = service.spec
        if spec is None or spec.type == "ExternalName":
            return {}, _BY_SELECTOR
        if spec.selector:
            groups: dict[Group, Wanted] = {}
            for backend in self._backends.of(service):
                group = Group(_type(backend.ip), tuple(sorted(backend.ports)))
                endpoint = self._endpoint(service, backend)
                groups.setdefault(group, {})[_identity(endpoint)] = endpoint
            return groups or {Group("IPv4", ()): {}}, _BY_SELECTOR
        meta = service.metadata
        made = self._by_hand.get(meta.name or "", meta.namespace)
        if made is None or (made.metadata.labels or {}).get(_SKIP_MIRROR) == "true":
            return {}, _BY_HAND
        return _mirrored(made), _BY_HAND

    def _mark(self, service: Service, keeper: str) -> Mark:
        meta = service.metadata
        made = self._by_hand.get(meta.name or "", meta.namespace) if keeper == _BY_HAND else None
        ours = {SERVICE_NAME: meta.name or "", MANAGED_BY: keeper}
        if made is None:
            return Mark(service_backends.labels(service) | ours, None, [_owner("Service", meta)])
        annotations = {
            name: value
            for name, value in (made.metadata.annotations or {}).items()
            if name not in _NOT_MIRRORED
        }
        return Mark((made.metadata.labels or {}) | ours, annotations, [_owner("Endpoints", made.metadata)])

    def _endpoint(self, service: Service, backend: Backend) -> Endpoint:
        assert service.spec is not None
        node = self._nodes.get(backend.node) if backend.node else None
        ready = backend.serving and not backend.terminating
        return Endpoint(
            addresses=[backend.ip],
            conditions=EndpointConditions(
                ready=ready or bool(service.spec.publish_not_ready_addresses),
                serving=backend.serving,
                terminating=backend.terminating,
            ),
            hostname=backend.hostname,
            target_ref=backend.reference(),
            node_name=backend.node,
            zone=(node.metadata.labels or {}).get(_ZONE) if node is not None else None,
        )


def _mirrored(made: Endpoints) -> dict[Group, Wanted]:
    """Endpoints that were made by hand, as slices have them."""
    groups: dict[Group, Wanted] = {}
    for subset in made.subsets or ():
        ports = tuple(
            sorted(
                (p.name or "", p.port, p.protocol or "TCP", p.app_protocol or "") for p in subset.ports or ()
            )
        )
        for ready, addresses in ((True, subset.addresses), (False, subset.not_ready_addresses)):
            for address in addresses or ():
                group = groups.setdefault(Group(_type(address.ip), ports), {})
                endpoint = Endpoint(
                    addresses=[address.ip],
                    conditions=EndpointConditions(ready=ready, serving=ready, terminating=False),
                    hostname=address.hostname,
                    target_ref=address.target_ref,
                    node_name=address.node_name,
                )
                group[_identity(endpoint)] = endpoint
    return groups


def _owner(kind: str, meta: ObjectMeta) -> OwnerReference:
    return OwnerReference(
        api_version="v1",
        kind=kind,
        name=meta.name or "",
        uid=meta.uid or "",
        controller=True,
        block_owner_deletion=True,
    )


def _type(ip: str) -> str:
    return "IPv6" if ipaddress.ip_address(ip).version == 6 else "IPv4"


def spread(
    wanted: Mapping[str, Endpoint], slices: Iterable[list[Endpoint]]
) -> tuple[list[list[Endpoint] | None], list[list[Endpoint]]]:
    """(what each slice should hold, None when it should go; the contents of further slices).

    What is in a slice already stays there. New endpoints go to slices that change anyway, then to those with
    room, the fullest first, and then to slices of their own. One slice is left when nothing is wanted. When
    the slices are far emptier than they need be, all are packed again.
    """
    left = dict(wanted)
    plan: list[list[Endpoint]] = []
    changed: list[bool] = []
    for present in slices:
        stay = [left.pop(place) for e in present if (place := _identity(e)) in left]
        changed.append(stay != present)
        plan.append(stay)
    needed = -(-len(wanted) // MOST) or 1
    if len(plan) > 2 * needed:
        packed = sorted((e for stay in plan for e in stay), key=_identity) + _sorted(left)
        full = [packed[i : i + MOST] for i in range(0, len(packed), MOST)] or [[]]
        return [full[i] if i < len(full) else None for i in range(len(plan))], full[len(plan) :]
    new = _sorted(left)
    for i in sorted(range(len(plan)), key=lambda i: (not changed[i], -len(plan[i]))):
        room = MOST - len(plan[i])
        plan[i] += new[:room]
        new = new[room:]
    fresh = [new[i : i + MOST] for i in range(0, len(new), MOST)]
    if not plan and not fresh:
        fresh = [[]]
    held = any(plan)
    result = [stay if stay or (not held and i == 0) else None for i, stay in enumerate(plan)]
    return result, fresh


def _sorted(endpoints: Mapping[str, Endpoint]) -> list[Endpoint]:
    return [endpoints[identity] for identity in sorted(endpoints)]


def _identity(endpoint: Endpoint) -> str:
    address = endpoint.addresses[0] if endpoint.addresses else ""
    uid = endpoint.target_ref.uid if endpoint.target_ref is not None else None
    # Both: one object may have several addresses, and pods in their node's network share one.
    return f"{uid}/{address}" if uid else address


def _group(slice: EndpointSlice) -> Group:
    ports = sorted(
        (p.name or "", p.port or 0, p.protocol or "TCP", p.app_protocol or "") for p in slice.ports or ()
    )
    return Group(slice.address_type, tuple(ports))


def _service_of(slice: EndpointSlice) -> list[str]:
    """`namespace/service` of a slice that is ours."""
    labels = slice.metadata.labels or {}
    service = labels.get(SERVICE_NAME)
    if not service or labels.get(MANAGED_BY) not in _OURS:
        return []
    return [f"{slice.metadata.namespace}/{service}"]


def _same(old: EndpointSlice, new: EndpointSlice) -> bool:
    return (
        old.endpoints == new.endpoints
        and old.ports == new.ports
        and old.metadata.labels == new.metadata.labels
        and old.metadata.owner_references == new.metadata.owner_references
    )


def _version(slice: EndpointSlice) -> int:
    return int(slice.metadata.resource_version or 0)
