# SPDX-License-Identifier: GPL-3.0-or-later
"""Validation of containers, after the API reference.

Rules between the containers of a pod are in `validation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from navarch.api.core.pod.container import Container, ContainerPort, ResourceRequirements, VolumeMount
from navarch.api.core.pod.environment import EnvFromSource, EnvVar
from navarch.api.core.pod.probe import (
    ExecAction,
    GRPCAction,
    HTTPGetAction,
    Lifecycle,
    LifecycleHandler,
    Probe,
    ProbeHandler,
    TCPSocketAction,
)
from navarch.api.core.pod.security import SecurityContext
from navarch.api.machinery import checks, names
from navarch.api.machinery.checks import Errors
from navarch.api.machinery.errors import (
    ErrorList,
    FieldError,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
)
from navarch.api.machinery.meta import Quantity

PULL_POLICIES = frozenset({"Always", "IfNotPresent", "Never"})
_MESSAGE_POLICIES = frozenset({"File", "FallbackToLogsOnError"})
_PROTOCOLS = frozenset(checks.PROTOCOLS)
#: Resources without a domain that the reference knows; hugepages-<size> beside them.
STANDARD_RESOURCES = frozenset({"cpu", "memory", "ephemeral-storage"})
_HUGE = "hugepages-"
_POD_FIELDS = frozenset(
    {
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    }
)
_CONTAINER_RESOURCES = frozenset(
    f"{kind}.{name}" for kind in ("limits", "requests") for name in ("cpu", "memory", "ephemeral-storage")
)
_HANDLERS = ("exec", "http_get", "tcp_socket", "grpc", "sleep")


def container(
    c: Container, path: str, volumes: Mapping[str, bool], host_network: bool, errors: Errors
) -> None:
    """volumes: names of the pod's volumes; True where the volume is a claim (and may be a block device)."""
    if not c.name:
        errors.append(required(f"{path}.name"))
    elif wrong := names.label(c.name):
        errors.append(invalid(f"{path}.name", c.name, wrong))
    if not c.image:
        errors.append(required(f"{path}.image"))
    elif c.image != c.image.strip():
        errors.append(invalid(f"{path}.image", c.image, "must not have leading or trailing whitespace"))
    if c.image_pull_policy not in PULL_POLICIES and c.image:
        checks.one_of(f"{path}.imagePullPolicy", c.image_pull_policy, PULL_POLICIES, errors)
    if c.termination_message_policy not in _MESSAGE_POLICIES:
        checks.one_of(
            f"{path}.terminationMessagePolicy", c.termination_message_policy, _MESSAGE_POLICIES, errors
        )
    if c.ports:
        ports(c.ports, f"{path}.ports", host_network, errors)
    if c.env:
        for i, v in enumerate(c.env):
            _variable(v, i, path, errors)
    if c.env_from:
        for i, source in enumerate(c.env_from):
            _env_from(source, f"{path}.envFrom[{i}]", errors)
    if c.resources is not None:
        resources(c.resources, f"{path}.resources", errors)
    if c.volume_mounts:
        _mounts(c, path, volumes, errors)
    if c.volume_devices:
        _devices(c, path, volumes, errors)
    if c.liveness_probe is not None:
        probe(c.liveness_probe, f"{path}.livenessProbe", errors, once=True)
    if c.readiness_probe is not None:
        probe(c.readiness_probe, f"{path}.readinessProbe", errors)
        if c.readiness_probe.termination_grace_period_seconds is not None:
            at = f"{path}.readinessProbe.terminationGracePeriodSeconds"
            value = c.readiness_probe.termination_grace_period_seconds
            errors.append(invalid(at, value, "must not be set for readinessProbes"))
    if c.startup_probe is not None:
        probe(c.startup_probe, f"{path}.startupProbe", errors, once=True)
    if c.lifecycle is not None:
        _lifecycle(c.lifecycle, f"{path}.lifecycle", errors)
    if c.security_context is not None:
        security(c.security_context, f"{path}.securityContext", errors)
    if c.resize_policy:
        for i, policy in enumerate(c.resize_policy):
            at = f"{path}.resizePolicy[{i}]"
            checks.one_of(f"{at}.resourceName", policy.resource_name, ("cpu", "memory"), errors)
            checks.one_of(
                f"{at}.restartPolicy", policy.restart_policy, ("NotRequired", "RestartContainer"), errors
            )
        for i in checks.repeated(p.resource_name for p in c.resize_policy):
            errors.append(duplicate(f"{path}.resizePolicy[{i}]", c.resize_policy[i].resource_name))


def ports(given: list[ContainerPort], path: str, host_network: bool, errors: Errors) -> None:
    seen: set[str] = set()
    for i, p in enumerate(given):
        if p.name:
            if wrong := names.port_name(p.name):
                errors.append(invalid(f"{path}[{i}].name", p.name, wrong))
            elif p.name in seen:
                errors.append(duplicate(f"{path}[{i}].name", p.name))
            seen.add(p.name)
        if not 0 < p.container_port < 65536:
            if p.container_port == 0:
                errors.append(required(f"{path}[{i}].containerPort"))
            else:
                errors.append(invalid(f"{path}[{i}].containerPort", p.container_port, checks.PORT_RANGE))
        if p.host_port:
            checks.port(f"{path}[{i}].hostPort", p.host_port, errors)
            if host_network and p.host_port != p.container_port:
                detail = "must match `containerPort` when `hostNetwork` is true"
                errors.append(invalid(f"{path}[{i}].hostPort", p.host_port, detail))
        if p.protocol not in _PROTOCOLS:
            checks.one_of(f"{path}[{i}].protocol", p.protocol, _PROTOCOLS, errors)
        if p.host_ip:
            checks.ip(f"{path}[{i}].hostIP", p.host_ip, errors)


def _variable(v: EnvVar, i: int, parent: str, errors: Errors) -> None:
    if not v.name:
        errors.append(required(f"{parent}.env[{i}].name"))
    elif wrong := names.env_name(v.name):
        errors.append(invalid(f"{parent}.env[{i}].name", v.name, wrong))
    source = v.value_from
    if source is None:
        return
    path = f"{parent}.env[{i}].valueFrom"
    given = [n for n in source.__struct_fields__ if getattr(source, n) is not None]
    if not given:
        options = "fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef, fileKeyRef"
        errors.append(invalid(path, "", f"must specify one of: {options}"))
    elif v.value:
        errors.append(invalid(path, "", "may not be specified when `value` is not empty"))
    elif len(given) > 1:
        errors.append(invalid(path, "", "may not have more than one field specified at a time"))
    if source.field_ref is not None:
        pod_field(source.field_ref.field_path, source.field_ref.api_version, f"{path}.fieldRef", errors)
    if source.resource_field_ref is not None:
        resource_field(source.resource_field_ref.resource, f"{path}.resourceFieldRef", errors)
    for name, ref in (
        ("configMapKeyRef", source.config_map_key_ref),
        ("secretKeyRef", source.secret_key_ref),
    ):
        if ref is None:
            continue
        if not ref.name:
            errors.append(required(f"{path}.{name}.name"))
        if not ref.key:
            errors.append(required(f"{path}.{name}.key"))
        elif wrong := names.data_key(ref.key):
            errors.append(invalid(f"{path}.{name}.key", ref.key, wrong))


def pod_field(field: str, version: str | None, path: str, errors: Errors) -> None:
    """A field of the pod that may be handed to its containers."""
    if not field:
        errors.append(required(f"{path}.fieldPath"))
        return
    if version not in (None, "", "v1"):
        errors.append(invalid(f"{path}.apiVersion", version, 'must be "v1"'))
    head, bracket, key = field.partition("['")
    if bracket and head in ("metadata.labels", "metadata.annotations") and key.endswith("']"):
        key = key[:-2]
        if wrong := names.qualified(key.lower() if head.endswith("annotations") else key):
            errors.append(invalid(f"{path}.fieldPath", field, wrong))
    elif field not in _POD_FIELDS and not (
        field in ("metadata.labels", "metadata.annotations") and ".env[" not in path
    ):
        errors.append(not_supported(f"{path}.fieldPath", field, sorted(_POD_FIELDS)))


def resource_field(resource: str, path: str, errors: Errors) -> None:
    if not resource:
        errors.append(required(f"{path}.resource"))
    elif resource not in _CONTAINER_RESOURCES and not resource.startswith(
        ("limits.hugepages-", "requests.hugepages-")
    ):
        errors.append(not_supported(f"{path}.resource", resource, sorted(_CONTAINER_RESOURCES)))


def _env_from(source: EnvFromSource, path: str, errors: Errors) -> None:
    if source.prefix and (wrong := names.env_name(source.prefix)):
        errors.append(invalid(f"{path}.prefix", source.prefix, wrong))
    if (source.config_map_ref is None) == (source.secret_ref is None):
        many = source.config_map_ref is not None
        detail = (
            "may not have more than one field specified at a time"
            if many
            else "must specify one of: `configMapRef` or `secretRef`"
        )
        errors.append(invalid(path, "", detail))
        return
    for name, ref in (("configMapRef", source.config_map_ref), ("secretRef", source.secret_ref)):
        if ref is not None:
            checks.subdomain(f"{path}.{name}.name", ref.name, errors)


_Amounts = tuple[tuple[str, Quantity], ...]


@lru_cache(maxsize=4096)
def _sound(limits: _Amounts, requests: _Amounts) -> bool:
    """Whether nothing is wrong: pods of one template say the same, and are looked at once."""
    errors = ErrorList()
    _resources(dict(limits), dict(requests), "", errors)
    return not errors


def resources(r: ResourceRequirements, path: str, errors: Errors) -> None:
    limits, requests = r.limits, r.requests
    if not limits and not requests:
        return
    key = tuple(limits.items()) if limits else (), tuple(requests.items()) if requests else ()
    if not _sound(*key):
        _resources(limits or {}, requests or {}, path, errors)


def _resources(
    limits: Mapping[str, Quantity], requests: Mapping[str, Quantity], path: str, errors: Errors
) -> None:
    for at, given in ((f"{path}.limits", limits), (f"{path}.requests", requests)):
        for name, amount in given.items():
            _resource(at, name, amount, errors)
    for name, amount in requests.items():
        limit = limits.get(name)
        shared = not name.startswith(_HUGE) and not _extended(name)
        if limit is None:
            if not shared:
                errors.append(
                    required(f"{path}.limits", "Limit must be set for non overcommitable resources")
                )
        elif limit != amount and (sign := checks.order(amount, limit)):
            if not shared:
                detail = f"must be equal to {name} limit of {limit}"
                errors.append(invalid(f"{path}.requests", amount, detail))
            elif sign > 0:
                detail = f"must be less than or equal to {name} limit of {limit}"
                errors.append(invalid(f"{path}.requests", amount, detail))
    requested = limits.keys() | requests.keys()
    if any(name.startswith(_HUGE) for name in requested) and not requested & {"cpu", "memory"}:
        errors.append(forbidden(path, "HugePages require cpu or memory"))


def _resource(path: str, name: str, amount: Quantity, errors: Errors) -> None:
    checks.amount(f"{path}[{name}]", amount, errors)
    if name in STANDARD_RESOURCES:
        return
    if wrong := names.qualified(name):
        errors.append(invalid(path, name, wrong))
    elif "/" not in name and not name.startswith(_HUGE):
        errors.append(invalid(path, name, "must be a standard resource for containers"))
    elif _extended(name) and not checks.whole(amount):
        errors.append(invalid(f"{path}[{name}]", amount, "must be an integer"))


def _extended(name: str) -> bool:
    """Whether a resource has a domain of its own: it is counted in whole units and not shared."""
    return "/" in name and "kubernetes.io/" not in name


def _mounts(c: Container, path: str, volumes: Mapping[str, bool], errors: Errors) -> None:
    seen: set[str] = set()
    for i, m in enumerate(c.volume_mounts or ()):
        if not m.name:
            errors.append(required(f"{path}.volumeMounts[{i}].name"))
        elif m.name not in volumes:
            errors.append(FieldError(f"{path}.volumeMounts[{i}].name", "FieldValueNotFound", "", m.name))
        if not m.mount_path:
            errors.append(required(f"{path}.volumeMounts[{i}].mountPath"))
        elif m.mount_path in seen:
            errors.append(invalid(f"{path}.volumeMounts[{i}].mountPath", m.mount_path, "must be unique"))
        seen.add(m.mount_path)
        if m.sub_path or m.sub_path_expr or m.mount_propagation or m.recursive_read_only:
            _mount(c, m, f"{path}.volumeMounts[{i}]", errors)


def _mount(c: Container, m: VolumeMount, path: str, errors: Errors) -> None:
    if m.sub_path and m.sub_path_expr:
        errors.append(
            invalid(f"{path}.subPathExpr", m.sub_path_expr, "subPathExpr and subPath are mutually exclusive")
        )
    for name, value in (("subPath", m.sub_path), ("subPathExpr", m.sub_path_expr)):
        if value:
            descending(f"{path}.{name}", value, errors)
    checks.maybe_one_of(
        f"{path}.mountPropagation", m.mount_propagation, ("None", "HostToContainer", "Bidirectional"), errors
    )
    privileged = c.security_context is not None and c.security_context.privileged
    if m.mount_propagation == "Bidirectional" and not privileged:
        errors.append(
            forbidden(
                f"{path}.mountPropagation",
                "Bidirectional mount propagation is available only to privileged containers",
            )
        )
    checks.maybe_one_of(
        f"{path}.recursiveReadOnly", m.recursive_read_only, ("Disabled", "IfPossible", "Enabled"), errors
    )
    if m.recursive_read_only in ("IfPossible", "Enabled") and not m.read_only:
        errors.append(forbidden(f"{path}.recursiveReadOnly", "may only be specified when readOnly is true"))


def descending(path: str, value: str, errors: Errors) -> None:
    """A relative path that stays below where it starts."""
    if value.startswith("/"):
        errors.append(invalid(path, value, "must be a relative path"))
    if ".." in value.split("/"):
        errors.append(invalid(path, value, "must not contain '..'"))


def _devices(c: Container, path: str, volumes: Mapping[str, bool], errors: Errors) -> None:
    mounted = {m.name for m in c.volume_mounts or ()}
    for i, d in enumerate(c.volume_devices or ()):
        at = f"{path}.volumeDevices[{i}]"
        if not d.name:
            errors.append(required(f"{at}.name"))
        elif d.name not in volumes:
            errors.append(FieldError(f"{at}.name", "FieldValueNotFound", "", d.name))
        elif not volumes[d.name]:
            errors.append(
                invalid(
                    f"{at}.name",
                    d.name,
                    "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode",
                )
            )
        elif d.name in mounted:
            errors.append(invalid(f"{at}.name", d.name, "must not already exist in volumeMounts"))
        if not d.device_path:
            errors.append(required(f"{at}.devicePath"))
        else:
            descending_absolute = d.device_path.split("/")
            if ".." in descending_absolute:
                errors.append(invalid(f"{at}.devicePath", d.device_path, "must not contain '..'"))


# Probes and hooks


def probe(p: Probe, path: str, errors: Errors, *, once: bool = False) -> None:
    """once: one success must be enough (liveness and startup)."""
    _handler(p, path, errors)
    for name, value in (
        ("initialDelaySeconds", p.initial_delay_seconds),
        ("timeoutSeconds", p.timeout_seconds),
        ("periodSeconds", p.period_seconds),
        ("successThreshold", p.success_threshold),
        ("failureThreshold", p.failure_threshold),
    ):
        if value is not None and value < 0:
            errors.append(invalid(f"{path}.{name}", value, checks.NON_NEGATIVE))
    grace = p.termination_grace_period_seconds
    if grace is not None and grace <= 0:
        errors.append(invalid(f"{path}.terminationGracePeriodSeconds", grace, checks.POSITIVE))
    if once and p.success_threshold not in (None, 1):
        errors.append(invalid(f"{path}.successThreshold", p.success_threshold, "must be 1"))


def _handler(h: ProbeHandler | LifecycleHandler, path: str, errors: Errors) -> None:
    given = [n for n in _HANDLERS if getattr(h, n, None) is not None]
    if not given:
        errors.append(required(path, "must specify a handler type"))
    for extra in given[1:]:
        errors.append(forbidden(f"{path}.{_WIRE[extra]}", "may not specify more than 1 handler type"))
    if h.exec is not None:
        _exec(h.exec, f"{path}.exec", errors)
    if h.http_get is not None:
        _http(h.http_get, f"{path}.httpGet", errors)
    if h.tcp_socket is not None:
        _tcp(h.tcp_socket, f"{path}.tcpSocket", errors)
    if isinstance(h, ProbeHandler) and h.grpc is not None:
        _grpc(h.grpc, f"{path}.grpc", errors)


_WIRE = {"exec": "exec", "http_get": "httpGet", "tcp_socket": "tcpSocket", "grpc": "grpc", "sleep": "sleep"}


def _exec(a: ExecAction, path: str, errors: Errors) -> None:
    if not a.command:
        errors.append(required(f"{path}.command"))


def _http(a: HTTPGetAction, path: str, errors: Errors) -> None:
    if not a.path:
        errors.append(required(f"{path}.path"))
    checks.port_or_name(f"{path}.port", a.port, errors)
    checks.one_of(f"{path}.scheme", a.scheme, ("HTTP", "HTTPS"), errors)
    for i, header in enumerate(a.http_headers or ()):
        if not header.name or not header.name.replace("-", "").replace("_", "").isalnum():
            detail = "must be letters, digits, '-' and '_' (such as 'X-Header-Name')"
            errors.append(invalid(f"{path}.httpHeaders[{i}].name", header.name, detail))


def _tcp(a: TCPSocketAction, path: str, errors: Errors) -> None:
    checks.port_or_name(f"{path}.port", a.port, errors)


def _grpc(a: GRPCAction, path: str, errors: Errors) -> None:
    checks.port(f"{path}.port", a.port, errors)


def _lifecycle(given: Lifecycle, path: str, errors: Errors) -> None:
    for name, hook in (("postStart", given.post_start), ("preStop", given.pre_stop)):
        if hook is None:
            continue
        _handler(hook, f"{path}.{name}", errors)
        if hook.sleep is not None and hook.sleep.seconds < 0:
            errors.append(invalid(f"{path}.{name}.sleep.seconds", hook.sleep.seconds, checks.NON_NEGATIVE))


# Security


def security(s: SecurityContext, path: str, errors: Errors) -> None:
    checks.non_negative(f"{path}.runAsUser", s.run_as_user, errors)
    checks.non_negative(f"{path}.runAsGroup", s.run_as_group, errors)
    checks.maybe_one_of(f"{path}.procMount", s.proc_mount, ("Default", "Unmasked"), errors)
    if s.allow_privilege_escalation is False:
        if s.privileged:
            detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            errors.append(invalid(path, "", detail))
        elif s.capabilities is not None and "SYS_ADMIN" in (s.capabilities.add or ()):
            detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` SYS_ADMIN"
            errors.append(invalid(path, "", detail))
    if s.seccomp_profile is not None:
        profile(s.seccomp_profile.type, s.seccomp_profile.localhost_profile, f"{path}.seccompProfile", errors)
    if s.app_armor_profile is not None:
        profile(
            s.app_armor_profile.type, s.app_armor_profile.localhost_profile, f"{path}.appArmorProfile", errors
        )


def profile(type_: str, name: str | None, path: str, errors: Errors) -> None:
    """A seccomp or AppArmor profile: the name belongs to type Localhost alone."""
    checks.one_of(f"{path}.type", type_, ("Localhost", "RuntimeDefault", "Unconfined"), errors)
    if type_ == "Localhost":
        if not name:
            errors.append(required(f"{path}.localhostProfile", "must be set when type is Localhost"))
        elif "seccomp" in path:
            descending(f"{path}.localhostProfile", name, errors)
    elif name is not None:
        errors.append(invalid(f"{path}.localhostProfile", name, "can only be set when type is Localhost"))
