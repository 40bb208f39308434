# SPDX-License-Identifier: GPL-3.0-or-later
"""Endpoints: for every service with a selector, the addresses of its pods, those that are ready apart from
those that are not."""

from __future__ import annotations

import logging

import msgspec

from navarch.api.endpoints import EndpointAddress, EndpointPort, Endpoints, EndpointSubset
from navarch.api.errors import StatusError
from navarch.api.meta import ObjectMeta
from navarch.api.reference import ObjectReference
from navarch.api.service import Service, ServicePort
from navarch.client.informer import Informer
from navarch.client.workqueue import WorkQueue
from navarch.controllers import views
from navarch.controllers.base import Context
from navarch.controllers.views import PodView

log = logging.getLogger(__name__)

Key = tuple[str, str]  # (namespace, name)
_Port = tuple[str, int, str, str]  # (name, number, protocol, application protocol)


class EndpointsController:
    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._pods = views.pods(context.informers)
        self._services: Informer[Service] = context.informers.of(Service)
        self._endpoints: Informer[Endpoints] = context.informers.of(Endpoints)
        self._queue: WorkQueue[Key] = WorkQueue("endpoints")
        self._services.index("namespace", lambda service: [service.metadata.namespace or ""])
        self._services.listen(self._on_service)
        self._pods.listen(self._on_pod)
        self._endpoints.listen(self._on_endpoints)

    async def run(self) -> None:
        await self._queue.run(self._reconcile, workers=4)

    def _on_service(self, old: Service | None, new: Service | None) -> None:
        service = new or old
        assert service is not None
        self._queue.add((service.metadata.namespace or "", service.metadata.name or ""))

    def _on_endpoints(self, old: Endpoints | None, new: Endpoints | None) -> None:
        if new is None and old is not None:
            self._queue.add((old.metadata.namespace or "", old.metadata.name or ""))

    def _on_pod(self, old: PodView | None, new: PodView | None) -> None:
        if old is not None and new is not None and _matter(old) == _matter(new):
            return
        pod = new or old
        assert pod is not None
        for service in self._services.by_index("namespace", pod.metadata.namespace or ""):
            if any(p is not None and _selects(service, p) for p in (old, new)):
                self._queue.add((service.metadata.namespace or "", service.metadata.name or ""))

    async def _reconcile(self, key: Key) -> None:
        namespace, name = key
        service = self._services.get(name, namespace)
        known = self._endpoints.get(name, namespace)
        if service is None or service.metadata.deletion_timestamp:
            if known is not None and service is None:
                await self._remove(known)  # made for a service that is gone
            return
        if not (service.spec and service.spec.selector):
            return  # its endpoints are made by hand
        subsets = self._subsets(service)
        labels = dict(service.metadata.labels or {})
        if not service.spec.cluster_ip or service.spec.cluster_ip == "None":
            labels["service.kubernetes.io/headless"] = ""
        if known is not None and known.subsets == subsets and (known.metadata.labels or {}) == labels:
            return
        if known is None:
            metadata = ObjectMeta(name=name, namespace=namespace, labels=labels or None)
            await self._write(Endpoints(metadata=metadata, subsets=subsets), fresh=True)
        else:
            metadata = msgspec.structs.replace(known.metadata, labels=labels or None)
            await self._write(msgspec.structs.replace(known, metadata=metadata, subsets=subsets), fresh=False)

    async def _write(self, endpoints: Endpoints, *, fresh: bool) -> None:
        try:
            if fresh:
                await self._client.create(endpoints)
            else:
                await self._client.update(endpoints)
        except StatusError as error:
            if error.code not in (404, 409):
                raise
            # Our view lags, or the namespace is going: look again when it has caught up.
            meta = endpoints.metadata
            self._queue.add_after((meta.namespace or "", meta.name or ""), 0.1)

    async def _remove(self, endpoints: Endpoints) -> None:
        meta = endpoints.metadata
        try:
            await self._client.delete(Endpoints, meta.name or "", meta.namespace)
        except StatusError as error:
            if error.code != 404:
                raise

    def _subsets(self, service: Service) -> list[EndpointSubset] | None:
        """Addresses grouped by the ports they serve (named ports may differ from pod to pod), in a stable
        order."""
        assert service.spec is not None
        publish_all = bool(service.spec.publish_not_ready_addresses)
        groups: dict[tuple[_Port, ...], tuple[list[EndpointAddress], list[EndpointAddress]]] = {}
        for pod in self._pods.by_index("namespace", service.metadata.namespace or ""):
            if not _selects(service, pod) or not pod.status.pod_ip or pod.finished:
                continue
            if pod.metadata.deletion_timestamp and not publish_all:
                continue
            ports = tuple(p for port in service.spec.ports or () if (p := _resolve(port, pod)) is not None)
            if service.spec.ports and not ports:
                continue
            ready, not_ready = groups.setdefault(ports, ([], []))
            (ready if pod.ready_since is not None or publish_all else not_ready).append(
                _address(service, pod)
            )
        subsets = []
        for ports in sorted(groups):
            ready, not_ready = groups[ports]
            subsets.append(
                EndpointSubset(
                    addresses=sorted(ready, key=lambda a: a.ip) or None,
                    not_ready_addresses=sorted(not_ready, key=lambda a: a.ip) or None,
                    ports=[
                        EndpointPort(
                            name=n or None, port=number, protocol=protocol, app_protocol=application or None
                        )
                        for n, number, protocol, application in ports
                    ]
                    or None,
                )
            )
        return subsets or None


def _selects(service: Service, pod: PodView) -> bool:
    selector = service.spec.selector if service.spec else None
    return selector is not None and bool(selector) and selector.items() <= (pod.metadata.labels or {}).items()


def _matter(pod: PodView) -> tuple[object, ...]:
    """What endpoints are made of."""
    meta = pod.metadata
    return (
        pod.status.pod_ip,
        pod.ready_since is not None,
        pod.finished,
        bool(meta.deletion_timestamp),
        meta.labels,
        pod.spec.node_name,
    )


def _resolve(port: ServicePort, pod: PodView) -> _Port | None:
    """The pod's port that a service port means, or None when the pod has none of that name."""
    protocol = port.protocol or "TCP"
    target = port.target_port if port.target_port not in (None, "", 0) else port.port
    if isinstance(target, str):
        found = next(
            (
                p.container_port
                for container in pod.spec.containers or ()
                for p in container.ports or ()
                if p.name == target and (p.protocol or "TCP") == protocol
            ),
            None,
        )
        if found is None:
            return None
        target = found
    return port.name or "", int(target or 0), protocol, port.app_protocol or ""


def _address(service: Service, pod: PodView) -> EndpointAddress:
    meta = pod.metadata
    named = bool(pod.spec.hostname) and pod.spec.subdomain == service.metadata.name
    return EndpointAddress(
        ip=pod.status.pod_ip or "",
        hostname=pod.spec.hostname if named else None,
        node_name=pod.spec.node_name,
        target_ref=ObjectReference(kind="Pod", namespace=meta.namespace, name=meta.name, uid=meta.uid),
    )
