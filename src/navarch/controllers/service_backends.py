# SPDX-License-Identifier: GPL-3.0-or-later
"""The pods behind a service: which, at what address and ports, in what state; and which services a change of
a pod concerns. How that is written down (Endpoints, EndpointSlices) is the business of their controllers.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

import msgspec

from navarch.api.core.reference import ObjectReference
from navarch.api.core.service.service import Service, ServicePort
from navarch.client.informer import Informer
from navarch.controllers import views
from navarch.controllers.base import Context
from navarch.controllers.views import PodView

Key = tuple[str, str]  # (namespace, name)
Port = tuple[str, int, str, str]  # (name, number, protocol, application protocol)


class Backend(msgspec.Struct, frozen=True, gc=False):
    """One pod behind a service."""

    uid: str
    name: str
    namespace: str
    ip: str
    node: str | None
    #: Its own name below the service's, or None.
    hostname: str | None
    ports: tuple[Port, ...]
    #: Whether the pod says that it is ready.
    serving: bool
    terminating: bool

    def reference(self) -> ObjectReference:
        return ObjectReference(kind="Pod", namespace=self.namespace, name=self.name, uid=self.uid)


class ServiceBackends:
    """Made with a Context before the informers start; `changed` is called with the key of each service whose
    backends may have changed."""

    def __init__(self, context: Context, changed: Callable[[Key], None]) -> None:
        self._changed = changed
        self._pods = views.pods(context.informers)
        self.services: Informer[Service] = context.informers.of(Service)
        self.services.index("namespace", lambda service: [service.metadata.namespace or ""])
        self.services.listen(self._on_service)
        self._pods.listen(self._on_pod)

    def _on_service(self, old: Service | None, new: Service | None) -> None:
        service = new or old
        assert service is not None
        self._changed((service.metadata.namespace or "", service.metadata.name or ""))

    def _on_pod(self, old: PodView | None, new: PodView | None) -> None:
        if old is not None and new is not None and _relevant(old) == _relevant(new):
            return
        pod = new or old
        assert pod is not None
        for service in self.services.by_index("namespace", pod.metadata.namespace or ""):
            if any(p is not None and selects(service, p) for p in (old, new)):
                self._changed((service.metadata.namespace or "", service.metadata.name or ""))

    def of(self, service: Service) -> list[Backend]:
        """The pods that the service's selector selects and that have an address, those that are ending too.

        A pod that has none of the service's named ports is left out, but not behind a headless service: there
        its name and address are asked for, too.
        """
        assert service.spec is not None
        found: list[Backend] = []
        for pod in self._pods.by_index("namespace", service.metadata.namespace or ""):
            if not selects(service, pod) or not pod.status.pod_ip or pod.finished:
                continue
            if not reachable(pod.status.pod_ip):
                # The API refuses such an endpoint, and with it those of the whole service.
                continue
            ports = tuple(p for port in service.spec.ports or () if (p := _resolve(port, pod)) is not None)
            if service.spec.ports and not ports and not headless(service):
                continue
            named = bool(pod.spec.hostname) and pod.spec.subdomain == service.metadata.name
            found.append(
                Backend(
                    uid=pod.metadata.uid,
                    name=pod.metadata.name,
                    namespace=pod.metadata.namespace or "",
                    ip=pod.status.pod_ip,
                    node=pod.spec.node_name,
                    hostname=pod.spec.hostname if named else None,
                    ports=ports,
                    serving=pod.ready_since is not None,
                    terminating=bool(pod.metadata.deletion_timestamp),
                )
            )
        return found


def selects(service: Service, pod: PodView) -> bool:
    selector = service.spec.selector if service.spec else None
    return selector is not None and bool(selector) and selector.items() <= (pod.metadata.labels or {}).items()


def reachable(ip: str) -> bool:
    """Whether an address can be one of another host: not unspecified, loopback, link-local or multicast."""
    first = ip.partition(".")[0]
    if first.isdecimal() and 0 < int(first) < 224 and first not in ("127", "169"):
        return True  # nearly all, without a look at the rest
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return False
    return not (
        address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified
    )


def headless(service: Service) -> bool:
    return service.spec is None or service.spec.cluster_ip in (None, "", "None")


def labels(service: Service) -> dict[str, str]:
    """What the service's endpoints are labelled with: its own labels, and that it is headless."""
    found = dict(service.metadata.labels or {})
    if headless(service):
        found["service.kubernetes.io/headless"] = ""
    return found


def _relevant(pod: PodView) -> tuple[object, ...]:
    """What endpoints are made of."""
    meta = pod.metadata
    return (
        pod.status.pod_ip,
        pod.ready_since is not None,
        pod.finished,
        bool(meta.deletion_timestamp),
        meta.labels,
        pod.spec.node_name,
        meta.uid,
    )


def _resolve(port: ServicePort, pod: PodView) -> Port | None:
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
