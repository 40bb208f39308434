# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables that tell a container of services: always the API server's, and those of its namespace unless
the pod says no (`enableServiceLinks`). Names are those of the reference: `WEB_SERVICE_HOST`.
"""

from __future__ import annotations

from collections.abc import Iterable

from navarch.api.core.pod.pod import Pod
from navarch.network.serviceviews import ServiceView

_API = ("default", "kubernetes")


def variables(pod: Pod, services: Iterable[ServiceView]) -> dict[str, str]:
    namespace = pod.metadata.namespace
    links = pod.spec is None or pod.spec.enable_service_links is not False
    chosen: dict[str, ServiceView] = {}
    for service in services:
        meta = service.metadata
        name = meta.name
        if (meta.namespace, name) == _API:
            chosen.setdefault(name, service)
        elif links and meta.namespace == namespace:
            chosen[name] = service
    found: dict[str, str] = {}
    for name in sorted(chosen):
        found |= _of(name, chosen[name])
    return found


def _of(name: str, service: ServiceView) -> dict[str, str]:
    spec = service.spec
    if spec is None or not spec.addresses or not spec.ports:
        return {}
    word = name.upper().replace("-", "_").replace(".", "_")
    host, first = spec.addresses[0], spec.ports[0]
    shown = f"[{host}]" if ":" in host else host
    found = {f"{word}_SERVICE_HOST": host, f"{word}_SERVICE_PORT": str(first.port)}
    for port in spec.ports:
        if port.name:
            found[f"{word}_SERVICE_PORT_{port.name.upper().replace('-', '_')}"] = str(port.port)
    found[f"{word}_PORT"] = f"{(first.protocol or 'TCP').lower()}://{shown}:{first.port}"
    for port in spec.ports:
        protocol = port.protocol or "TCP"
        start = f"{word}_PORT_{port.port}_{protocol.upper()}"
        found[start] = f"{protocol.lower()}://{shown}:{port.port}"
        found[f"{start}_PROTO"] = protocol.lower()
        found[f"{start}_PORT"] = str(port.port)
        found[f"{start}_ADDR"] = host
    return found
