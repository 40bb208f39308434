# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields of a pod that are accepted but not acted on in this release.

One table, from which a line goes when the thing is done.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from navarch.api.core.pod.container import Container
from navarch.api.core.pod.security import PodSecurityContext
from navarch.api.core.pod.spec import PodSpec, PodTemplateSpec
from navarch.api.core.pod.volume import Volume
from navarch.api.core.pod.volume_defaults import source_of

#: Fields of the spec: wire name -> Python name. False, empty and absent say nothing.
POD_FIELDS: dict[str, str] = {
    "evictionResponders": "eviction_responders",
    "hostnameOverride": "hostname_override",
    # A number in `priority` does order the queue.
    "priorityClassName": "priority_class_name",
    "resourceClaims": "resource_claims",
    "resources": "resources",
    "runtimeClassName": "runtime_class_name",
    "schedulingGroup": "scheduling_group",
    "setHostnameAsFQDN": "set_hostname_as_fqdn",
}

#: Fields of containers.
CONTAINER_FIELDS: dict[str, str] = {
    "resizePolicy": "resize_policy",
    "restartPolicyRules": "restart_policy_rules",
    "volumeDevices": "volume_devices",
}

#: What is looked at more closely, beside fields that are set or not: wire path -> whether the pod has it.
POD_OTHERS: dict[str, Callable[[PodSpec], Any]] = {
    "hostUsers": lambda s: s.host_users is False,
    "os": lambda s: s.os is not None and s.os.name != "linux",
    "securityContext.seLinuxOptions": lambda s: (
        s.security_context is not None and s.security_context.se_linux_options
    ),
}
CONTAINER_OTHERS: dict[str, Callable[[Container], Any]] = {
    "livenessProbe.grpc": lambda c: c.liveness_probe is not None and c.liveness_probe.grpc,
    "readinessProbe.grpc": lambda c: c.readiness_probe is not None and c.readiness_probe.grpc,
    "startupProbe.grpc": lambda c: c.startup_probe is not None and c.startup_probe.grpc,
    "securityContext.procMount": lambda c: c.security_context is not None and c.security_context.proc_mount,
    "securityContext.seLinuxOptions": lambda c: (
        c.security_context is not None and c.security_context.se_linux_options
    ),
    "volumeMounts.recursiveReadOnly": lambda c: any(m.recursive_read_only for m in c.volume_mounts or ()),
    "volumeMounts.bindMountOptions": lambda c: any(m.bind_mount_options for m in c.volume_mounts or ()),
}
#: Without any of these the others need no look.
_POD_GUARD = attrgetter("affinity", "os")
_CONTAINER_GUARD = attrgetter(
    "liveness_probe", "readiness_probe", "startup_probe", "security_context", "volume_mounts"
)

#: Volume sources that the kubelet mounts, and parts of projected ones that it cannot.
VOLUME_SOURCES = frozenset({"host_path", "empty_dir", "secret", "config_map", "downward_api", "projected"})
PROJECTIONS = {
    "clusterTrustBundle": "cluster_trust_bundle",
    "podCertificate": "pod_certificate",
}

_WIRE = dict(zip(Volume.__struct_fields__, Volume.__struct_encode_fields__, strict=True))
_POD_VALUES = attrgetter(*POD_FIELDS.values())
_CONTAINER_VALUES = attrgetter(*CONTAINER_FIELDS.values())
_NO_SECURITY = PodSecurityContext()
_SAID = "is accepted but not acted on in this release"


def warnings(spec: PodSpec, path: str = "spec") -> list[str]:
    """What the writer of a pod should know. `path` is the wire path of the spec."""
    found: list[str] = []
    if any(_POD_VALUES(spec)):
        found += [f"{path}.{wire} {_SAID}" for wire, name in POD_FIELDS.items() if getattr(spec, name)]
    if any(_POD_GUARD(spec)) or spec.host_users is False or spec.security_context not in (None, _NO_SECURITY):
        found += [f"{path}.{wire} {_SAID}" for wire, has in POD_OTHERS.items() if has(spec)]
    for place, containers in (("containers", spec.containers), ("initContainers", spec.init_containers)):
        for i, c in enumerate(containers or ()):
            if any(_CONTAINER_VALUES(c)):
                names = [wire for wire, name in CONTAINER_FIELDS.items() if getattr(c, name)]
                found += [f"{path}.{place}[{i}].{wire} {_SAID}" for wire in names]
            if any(_CONTAINER_GUARD(c)):
                names = [wire for wire, has in CONTAINER_OTHERS.items() if has(c)]
                found += [f"{path}.{place}[{i}].{wire} {_SAID}" for wire in names]
    for i, v in enumerate(spec.volumes or ()):
        _volume(v, f"{path}.volumes[{i}]", found)
    return found


def template(given: PodTemplateSpec | None, path: str) -> list[str]:
    """The same for the pods of a template; `path` is the template's, such as `spec.template`."""
    return warnings(given.spec, f"{path}.spec") if given is not None and given.spec is not None else []


def _volume(v: Volume, path: str, found: list[str]) -> None:
    name = source_of(v) or ""
    if name not in VOLUME_SOURCES:
        found.append(f"{path}.{_WIRE.get(name, name)} {_SAID}: the pod will not start")
    elif v.projected is not None:
        for i, source in enumerate(v.projected.sources or ()):
            for wire, part in PROJECTIONS.items():
                if getattr(source, part) is not None:
                    at = f"{path}.projected.sources[{i}].{wire}"
                    found.append(f"{at} {_SAID}: the pod will not start")
