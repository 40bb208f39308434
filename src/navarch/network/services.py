# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node knows of the cluster's services: one list and watch of services and one of endpoint slices, for
all that need them. What they do with them is theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from navarch.api.core.service.service import Service
from navarch.api.discovery.endpointslice import SERVICE_NAME, EndpointSlice
from navarch.client.base import Client
from navarch.client.informer import Informer
from navarch.network.serviceviews import ServiceView, SliceView

#: (namespace, name) of a service.
ServiceKey = tuple[str, str]


class Services:
    def __init__(self, client: Client) -> None:
        self.services: Informer[ServiceView] = Informer(client, Service, view=ServiceView)
        self.slices: Informer[SliceView] = Informer(
            client, EndpointSlice, view=SliceView, labels=SERVICE_NAME
        )
        self.slices.index("service", lambda one: [_place(key) for key in _owner(one)])

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.services.run(), name="services watch")
            tasks.create_task(self.slices.run(), name="endpoint slices watch")

    async def synced(self) -> None:
        """Until both have been listed once."""
        await self.services.synced.wait()
        await self.slices.synced.wait()

    def listen(self, changed: Callable[[ServiceKey], None]) -> None:
        """Call back with each service that changed, it or its endpoints; with the present ones at once."""

        def service(old: ServiceView | None, new: ServiceView | None) -> None:
            for key in {_key(one) for one in (old, new) if one is not None}:
                changed(key)

        def slice(old: SliceView | None, new: SliceView | None) -> None:
            for key in {key for one in (old, new) if one is not None for key in _owner(one)}:
                changed(key)

        self.services.listen(service)
        self.slices.listen(slice)

    def get(self, key: ServiceKey) -> ServiceView | None:
        namespace, name = key
        return self.services.get(name, namespace)

    def items(self) -> Iterable[ServiceView]:
        return self.services.items()

    def keys(self) -> Iterable[ServiceKey]:
        return [_key(service) for service in self.services.items()]

    def slices_of(self, key: ServiceKey) -> list[SliceView]:
        """In the order of their names."""
        found = self.slices.by_index("service", _place(key))
        return sorted(found, key=lambda one: one.metadata.name) if len(found) > 1 else found


def _key(service: ServiceView) -> ServiceKey:
    return service.metadata.namespace or "", service.metadata.name


def _owner(one: SliceView) -> list[ServiceKey]:
    labels = one.metadata.labels
    name = labels.service_name if labels is not None else None
    return [(one.metadata.namespace or "", name)] if name else []


def _place(key: ServiceKey) -> str:
    return f"{key[0]}/{key[1]}"
