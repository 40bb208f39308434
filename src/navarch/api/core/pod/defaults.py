# SPDX-License-Identifier: GPL-3.0-or-later
"""Defaults of pod specs, after the API reference.

Idempotent; parts that need nothing stay the same objects. Pods and every kind with a pod template use it.
What depends on the cluster (service account, tolerations, priority) is admission.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from operator import is_
from typing import Any, TypeVar

from msgspec.structs import replace

from navarch.api.core.pod.container import Container, ContainerPort, ResourceRequirements, is_sidecar
from navarch.api.core.pod.environment import EnvVar
from navarch.api.core.pod.image_name import pull_policy
from navarch.api.core.pod.probe import HTTPGetAction, Lifecycle, LifecycleHandler, Probe
from navarch.api.core.pod.security import PodSecurityContext
from navarch.api.core.pod.spec import PodSpec, PodTemplateSpec
from navarch.api.core.pod.volume_defaults import volume
from navarch.api.machinery.meta import Quantity
from navarch.api.machinery.quantity import canonical, parse

T = TypeVar("T")

_SECURITY = PodSecurityContext()
_RESOURCES = ResourceRequirements()


def pod_spec(spec: PodSpec) -> PodSpec:
    """The spec with everything filled in that the reference fills in."""
    changes: dict[str, Any] = {}
    if not spec.restart_policy:
        changes["restart_policy"] = "Always"
    if not spec.dns_policy:
        changes["dns_policy"] = "ClusterFirst"
    if spec.termination_grace_period_seconds is None:
        changes["termination_grace_period_seconds"] = 30
    if not spec.scheduler_name:
        changes["scheduler_name"] = "default-scheduler"
    if spec.security_context is None:
        changes["security_context"] = _SECURITY
    if spec.enable_service_links is None:
        changes["enable_service_links"] = True
    if spec.service_account_name != spec.service_account:
        account = spec.service_account_name or spec.service_account
        changes["service_account_name"] = changes["service_account"] = account
    host = bool(spec.host_network)
    rule = _container_on_host if host else container
    found = each(spec.containers, rule)
    if found is not spec.containers:
        changes["containers"] = found
    if spec.init_containers:
        inits = each(spec.init_containers, rule)
        if inits is not spec.init_containers:
            changes["init_containers"] = inits
    if spec.ephemeral_containers:
        ephemeral = each(spec.ephemeral_containers, container)
        if ephemeral is not spec.ephemeral_containers:
            changes["ephemeral_containers"] = ephemeral
    if spec.volumes:
        volumes = each(spec.volumes, volume)
        if volumes is not spec.volumes:
            changes["volumes"] = volumes
    if spec.overhead:
        overhead = quantities(spec.overhead)
        if overhead is not spec.overhead:
            changes["overhead"] = overhead
    spec = replace(spec, **changes) if changes else spec
    if spec.resources is not None:
        resources = _pod_resources(spec, spec.resources)
        if resources is not spec.resources:
            spec = replace(spec, resources=resources)
    return spec


def template(given: PodTemplateSpec) -> PodTemplateSpec:
    spec = pod_spec(given.spec) if given.spec is not None else None
    return given if spec is given.spec else replace(given, spec=spec)


def each(items: list[T], rule: Callable[[T], T]) -> list[T]:
    """The list with the rule applied to all; the very same list when nothing changed."""
    done = list(map(rule, items))
    return items if all(map(is_, done, items)) else done


C = TypeVar("C", bound=Container)


def _container_on_host(c: C) -> C:
    return container(c, True)


def container(c: C, host_network: bool = False) -> C:
    changes: dict[str, Any] = {}
    if not c.termination_message_path:
        changes["termination_message_path"] = "/dev/termination-log"
    if not c.termination_message_policy:
        changes["termination_message_policy"] = "File"
    if not c.image_pull_policy and c.image:
        changes["image_pull_policy"] = pull_policy(c.image)
    if c.resources is None:
        changes["resources"] = _RESOURCES
    elif (resources := requirements(c.resources)) is not c.resources:
        changes["resources"] = resources
    if c.ports:
        ports = each(c.ports, _host_port if host_network else _port)
        if ports is not c.ports:
            changes["ports"] = ports
    if c.env:
        env = each(c.env, _variable)
        if env is not c.env:
            changes["env"] = env
    if c.liveness_probe is not None:
        changes["liveness_probe"] = _probe(c.liveness_probe)
    if c.readiness_probe is not None:
        changes["readiness_probe"] = _probe(c.readiness_probe)
    if c.startup_probe is not None:
        changes["startup_probe"] = _probe(c.startup_probe)
    if c.lifecycle is not None:
        changes["lifecycle"] = _lifecycle(c.lifecycle)
    if not changes:
        return c
    return replace(c, **changes) if any(getattr(c, key) is not value for key, value in changes.items()) else c


_Amounts = tuple[tuple[str, Quantity], ...]


def requirements(given: ResourceRequirements) -> ResourceRequirements:
    """Canonical amounts; what has a limit and no request requests its limit."""
    limits, requests = given.limits, given.requests
    if not limits and not requests:
        return given
    key = tuple(limits.items()) if limits else (), tuple(requests.items()) if requests else ()
    found_limits, found_requests = _requirements(*key)
    if (not limits or found_limits == limits) and (found_requests or None) == (requests or None):
        return given
    return replace(given, limits=found_limits if limits else limits, requests=found_requests)


@lru_cache(maxsize=4096)
def _requirements(limits: _Amounts, requests: _Amounts) -> tuple[dict[str, Quantity], dict[str, Quantity]]:
    """Pods of one template share the very same maps."""
    found = quantities(dict(limits))
    requested = quantities(dict(requests))
    return found, {**requested, **{key: amount for key, amount in found.items() if key not in requested}}


def quantities(given: dict[str, Quantity]) -> dict[str, Quantity]:
    """Canonical amounts. What is no quantity stays, for the validation to name."""
    found: dict[str, Quantity] | None = None
    for key, amount in given.items():
        try:
            text = canonical(amount)
        except ValueError:
            continue
        if text != amount:
            if found is None:
                found = dict(given)
            found[key] = text
    return given if found is None else found


def _pod_resources(spec: PodSpec, given: ResourceRequirements) -> ResourceRequirements:
    """Pod-level requests that were not given: what containers request together, else the limit (KEP-2837)."""
    requested = {key: amount for key in ("cpu", "memory") if (amount := _requested(spec, key)) is not None}
    missing = {key: amount for key, amount in requested.items() if key not in (given.requests or {})}
    if missing and (given.limits or given.requests):
        given = replace(given, requests={**(given.requests or {}), **missing})
    return requirements(given)


def _requested(spec: PodSpec, key: str) -> str | None:
    """What all containers request of one resource, as scheduling counts it; None when no container does."""
    amounts: list[Fraction] = []
    try:
        running = Fraction(0)
        peak = Fraction(0)
        for c in spec.init_containers or ():
            amount = c.resources.requests.get(key) if c.resources and c.resources.requests else None
            if amount is not None:
                amounts.append(parse(amount))
                if is_sidecar(c):
                    running += amounts[-1]
                    peak = max(peak, running)
                else:
                    peak = max(peak, running + amounts[-1])
        for c in spec.containers:
            amount = c.resources.requests.get(key) if c.resources and c.resources.requests else None
            if amount is not None:
                amounts.append(parse(amount))
                running += amounts[-1]
    except ValueError:
        return None
    if not amounts:
        return None
    nanos = max(peak, running) * 10**9
    return canonical(f"{int(nanos)}n")


def _port(p: ContainerPort) -> ContainerPort:
    return p if p.protocol else replace(p, protocol="TCP")


def _host_port(p: ContainerPort) -> ContainerPort:
    if not p.protocol or not p.host_port:
        return replace(p, protocol=p.protocol or "TCP", host_port=p.host_port or p.container_port)
    return p


def _variable(v: EnvVar) -> EnvVar:
    source = v.value_from
    if source is None or source.field_ref is None or source.field_ref.api_version:
        return v
    return replace(v, value_from=replace(source, field_ref=replace(source.field_ref, api_version="v1")))


def _probe(p: Probe) -> Probe:
    changes: dict[str, Any] = {}
    if not p.timeout_seconds:
        changes["timeout_seconds"] = 1
    if not p.period_seconds:
        changes["period_seconds"] = 10
    if not p.success_threshold:
        changes["success_threshold"] = 1
    if not p.failure_threshold:
        changes["failure_threshold"] = 3
    if p.http_get is not None and (get := _http_get(p.http_get)) is not p.http_get:
        changes["http_get"] = get
    if p.grpc is not None and p.grpc.service is None:
        changes["grpc"] = replace(p.grpc, service="")
    return replace(p, **changes) if changes else p


def _http_get(a: HTTPGetAction) -> HTTPGetAction:
    if a.path and a.scheme:
        return a
    return replace(a, path=a.path or "/", scheme=a.scheme or "HTTP")


def _lifecycle(given: Lifecycle) -> Lifecycle:
    start, stop = _hook(given.post_start), _hook(given.pre_stop)
    if start is given.post_start and stop is given.pre_stop:
        return given
    return replace(given, post_start=start, pre_stop=stop)


def _hook(h: LifecycleHandler | None) -> LifecycleHandler | None:
    if h is None or h.http_get is None:
        return h
    get = _http_get(h.http_get)
    return h if get is h.http_get else replace(h, http_get=get)
