# SPDX-License-Identifier: GPL-3.0-or-later
"""The service `kubernetes` in `default`: the API server's address for pods, the first of the service range.

Its Endpoints name the master; the EndpointSlice follows from them as from all Endpoints made by hand.
"""

from __future__ import annotations

import ipaddress
import logging

import msgspec

from navarch.api.core.endpoints import EndpointAddress, EndpointPort, Endpoints, EndpointSubset
from navarch.api.core.service.service import Service, ServicePort, ServiceSpec
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import ObjectMeta
from navarch.client.informer import Informer
from navarch.client.workqueue import WorkQueue
from navarch.controllers.base import Context

log = logging.getLogger(__name__)

NAME, NAMESPACE = "kubernetes", "default"
_LABELS = {"component": "apiserver", "provider": "kubernetes"}
_FIELDS = f"metadata.name={NAME}"


class KubernetesService:
    def __init__(self, context: Context) -> None:
        self._client = context.client
        options = context.options
        self._address, self._port = options.advertise_address, options.advertise_port
        self._cluster_ip = str(ipaddress.ip_network(options.service_cidr)[1])
        self._queue: WorkQueue[str] = WorkQueue("kubernetes service")
        self._services: Informer[Service] = context.informers.of(Service, namespace=NAMESPACE, fields=_FIELDS)
        self._endpoints: Informer[Endpoints] = context.informers.of(
            Endpoints, namespace=NAMESPACE, fields=_FIELDS
        )
        self._services.listen(lambda old, new: self._queue.add(NAME))
        self._endpoints.listen(lambda old, new: self._queue.add(NAME))

    async def run(self) -> None:
        self._queue.add(NAME)
        await self._queue.run(self._reconcile)

    async def _reconcile(self, name: str) -> None:
        if not self._address:
            return
        try:
            await self._keep_service()
            await self._keep_endpoints()
        except StatusError as error:
            if error.code == 422:
                log.error("the service kubernetes cannot be made: %s", error)
                self._queue.add_after(name, 60.0)
            elif error.code in (404, 409):
                self._queue.add_after(name, 0.2)
            else:
                raise

    async def _keep_service(self) -> None:
        if self._services.get(NAME, NAMESPACE) is not None:
            return
        port = ServicePort(name="https", protocol="TCP", port=443, target_port=self._port)
        spec = ServiceSpec(cluster_ip=self._cluster_ip, type="ClusterIP", ports=[port])
        metadata = ObjectMeta(name=NAME, namespace=NAMESPACE, labels=_LABELS)
        await self._client.create(Service(metadata=metadata, spec=spec))

    async def _keep_endpoints(self) -> None:
        subset = EndpointSubset(
            addresses=[EndpointAddress(ip=self._address)],
            ports=[EndpointPort(name="https", port=self._port, protocol="TCP")],
        )
        known = self._endpoints.get(NAME, NAMESPACE)
        wanted = [subset]
        if known is None:
            metadata = ObjectMeta(name=NAME, namespace=NAMESPACE)
            await self._client.create(Endpoints(metadata=metadata, subsets=wanted))
        elif known.subsets != wanted:
            await self._client.update(msgspec.structs.replace(known, subsets=wanted))
