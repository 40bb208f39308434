# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields of a pod as text (`fieldRef`, `resourceFieldRef`), for the environment and downward API files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from navarch.api.core.pod.environment import ResourceFieldSelector
from navarch.api.core.pod.pod import Pod
from navarch.api.machinery import quantity

_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class FieldNotKnown(Exception):
    """The path names no field that may be referred to."""


def field(pod: Pod, path: str, node_ip: str, pod_ip: str) -> str:
    """The value of a field path. Raises FieldNotKnown."""
    meta, spec = pod.metadata, pod.spec
    simple = {
        "metadata.name": meta.name,
        "metadata.namespace": meta.namespace,
        "metadata.uid": meta.uid,
        "spec.nodeName": spec.node_name if spec else "",
        "spec.serviceAccountName": spec.service_account_name if spec else "",
        "status.hostIP": node_ip,
        "status.hostIPs": node_ip,
        "status.podIP": pod_ip,
        "status.podIPs": pod_ip,
    }
    if path in simple:
        return simple[path] or ""
    if path in ("metadata.labels", "metadata.annotations"):
        values = (meta.labels if path.endswith("labels") else meta.annotations) or {}
        return "".join(f"{key}={_quoted(value)}\n" for key, value in sorted(values.items())).rstrip("\n")
    match = _SUBSCRIPT.fullmatch(path)
    if match:
        values = (meta.labels if match[1] == "labels" else meta.annotations) or {}
        return values.get(match[2], "")
    raise FieldNotKnown(f"fieldPath {path!r} is not known")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def resource(
    pod: Pod, container: str, selector: ResourceFieldSelector, allocatable: Mapping[str, int]
) -> str:
    """A container's limit or request in units of the divisor, rounded up; without a limit, what the node can
    give.

    allocatable: milli-cores for cpu, bytes for the others. Raises FieldNotKnown.
    """
    name = selector.container_name or container
    containers = [*(pod.spec.init_containers or ()), *pod.spec.containers] if pod.spec else []
    found = next((c for c in containers if c.name == name), None)
    if found is None:
        raise FieldNotKnown(f"resourceFieldRef: the pod has no container {name!r}")
    side, _, what = selector.resource.partition(".")
    if side not in ("limits", "requests") or not what:
        raise FieldNotKnown(f"resourceFieldRef: {selector.resource!r} is not limits.X or requests.X")
    resources = found.resources
    values = (getattr(resources, side) if resources else None) or {}
    if what in values:
        amount = quantity.parse(values[what])
    elif side == "limits":
        amount = Fraction(allocatable.get(what, 0), 1000 if what == "cpu" else 1)
    else:
        amount = Fraction(0)
    divisor = quantity.parse(selector.divisor) if selector.divisor else Fraction(1)
    units = amount / (divisor or Fraction(1))
    return str(-(-units.numerator // units.denominator))
