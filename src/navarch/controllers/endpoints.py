# SPDX-License-Identifier: GPL-3.0-or-later
"""Endpoints: for every service with a selector, the addresses of its pods, those that are ready apart from
those that are not."""

from __future__ import annotations

import msgspec

from navarch.api.core.endpoints import EndpointAddress, EndpointPort, Endpoints, EndpointSubset
from navarch.api.core.service.service import Service
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import ObjectMeta
from navarch.client.informer import Informer
from navarch.client.workqueue import WorkQueue
from navarch.controllers import service_backends
from navarch.controllers.base import Context
from navarch.controllers.service_backends import Backend, Key, Port, ServiceBackends


class EndpointsController:
    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._queue: WorkQueue[Key] = WorkQueue("endpoints")
        self._backends = ServiceBackends(context, self._queue.add)
        self._endpoints: Informer[Endpoints] = context.informers.of(Endpoints)
        self._endpoints.listen(self._on_endpoints)

    async def run(self) -> None:
        await self._queue.run(self._reconcile, workers=4)

    def _on_endpoints(self, old: Endpoints | None, new: Endpoints | None) -> None:
        if new is None and old is not None:
            self._queue.add((old.metadata.namespace or "", old.metadata.name or ""))

    async def _reconcile(self, key: Key) -> None:
        namespace, name = key
        service = self._backends.services.get(name, namespace)
        known = self._endpoints.get(name, namespace)
        if service is None or service.metadata.deletion_timestamp:
            if known is not None and service is None:
                await self._remove(known)  # made for a service that is gone
            return
        if not (service.spec and service.spec.selector):
            return  # its endpoints are made by hand
        subsets = self._subsets(service)
        labels = service_backends.labels(service)
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
        groups: dict[tuple[Port, ...], tuple[list[EndpointAddress], list[EndpointAddress]]] = {}
        for backend in self._backends.of(service):
            if backend.terminating and not publish_all:
                continue
            if service.spec.ports and not backend.ports:
                continue  # Endpoints tell ports: one that has none of the service's is only in its slices
            ready, not_ready = groups.setdefault(backend.ports, ([], []))
            (ready if backend.serving or publish_all else not_ready).append(_address(backend))
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


def _address(backend: Backend) -> EndpointAddress:
    return EndpointAddress(
        ip=backend.ip,
        hostname=backend.hostname,
        node_name=backend.node,
        target_ref=backend.reference(),
    )
