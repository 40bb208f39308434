# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields of a pod that are accepted but not acted on in this release.

One table, from which a line goes when the thing is done.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from navarch.api.container import Container
from navarch.api.podspec import PodSpec
from navarch.api.volume import Volume
from navarch.api.volumedefaults import source_of

#: Fields of the spec: wire name -> Python name. False, empty and absent say nothing.
POD_FIELDS: dict[str, str] = {
    "runtimeClassName": "runtime_class_name",
    "resourceClaims": "resource_claims",
    "schedulingGroup": "scheduling_group",
    "evictionResponders": "eviction_responders",
    "overhead": "overhead",
}

#: Fields of containers.
CONTAINER_FIELDS: dict[str, str] = {
    "volumeDevices": "volume_devices",
    "restartPolicyRules": "restart_policy_rules",
    "resizePolicy": "resize_policy",
}

#: Volume sources that the kubelet mounts.
VOLUME_SOURCES = frozenset({"host_path", "empty_dir", "secret", "config_map", "downward_api", "projected"})

_WIRE = dict(zip(Volume.__struct_fields__, Volume.__struct_encode_fields__, strict=True))
_POD_VALUES = attrgetter(*POD_FIELDS.values())
_CONTAINER_VALUES = attrgetter(*CONTAINER_FIELDS.values())
_SAID = "is accepted but not acted on in this release"

#: Further things worth a word: (whether the spec has it, what to say).
OTHERS: tuple[tuple[Callable[[PodSpec], Any], str], ...] = (
    (lambda s: s.host_users is False, f"spec.hostUsers: a user namespace {_SAID}"),
    (lambda s: s.os is not None and s.os.name == "windows", "spec.os: there are no Windows nodes"),
)


def warnings(spec: PodSpec, path: str = "spec") -> list[str]:
    """What the writer of a pod should know. `path` is the wire path of the spec."""
    found: list[str] = []
    if any(_POD_VALUES(spec)):
        found += [f"{path}.{wire} {_SAID}" for wire, name in POD_FIELDS.items() if getattr(spec, name)]
    for place, containers in (("containers", spec.containers), ("initContainers", spec.init_containers)):
        for i, c in enumerate(containers or ()):
            _container(c, f"{path}.{place}[{i}]", found)
    for i, v in enumerate(spec.volumes or ()):
        name = source_of(v) or ""
        if name not in VOLUME_SOURCES:
            found.append(f"{path}.volumes[{i}].{_WIRE.get(name, name)} {_SAID}: the pod will not start")
    for has, text in OTHERS:
        if has(spec):
            found.append(text)
    return found


def _container(c: Container, path: str, found: list[str]) -> None:
    if any(_CONTAINER_VALUES(c)):
        found += [f"{path}.{wire} {_SAID}" for wire, name in CONTAINER_FIELDS.items() if getattr(c, name)]
