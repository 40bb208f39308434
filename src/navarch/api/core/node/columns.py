# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of nodes (`kubectl get nodes`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from navarch.api.machinery.columns import AGE, NAME, NONE, UNKNOWN
from navarch.api.machinery.durations import age
from navarch.api.machinery.scheme import Column

if TYPE_CHECKING:
    from navarch.api.core.node.node import Node

COLUMNS = (
    NAME,
    Column("Status", description="Whether the node is ready and takes new pods."),
    Column("Roles", description="Roles, after the labels of the node."),
    AGE,
    Column("Version", description="Version of the kubelet."),
    Column("Internal-IP", description="First internal address.", priority=1),
    Column("External-IP", description="First external address.", priority=1),
    Column("OS-Image", description="Name of the operating system.", priority=1),
    Column("Kernel-Version", description="Version of the kernel.", priority=1),
    Column("Container-Runtime", description="Container runtime, name://version.", priority=1),
)

ROLE_PREFIX = "node-role.kubernetes.io/"
ROLE_LABEL = "kubernetes.io/role"


def cells(node: Node, now: float) -> list[Any]:
    status = node.status
    info = status.node_info if status is not None else None
    return [
        node.metadata.name or "",
        status_word(node),
        ",".join(roles(node)) or NONE,
        age(node.metadata.creation_timestamp, now),
        info.kubelet_version if info is not None else "",
        address(node, "InternalIP") or NONE,
        address(node, "ExternalIP") or NONE,
        (info.os_image if info is not None else "") or UNKNOWN,
        (info.kernel_version if info is not None else "") or UNKNOWN,
        (info.container_runtime_version if info is not None else "") or UNKNOWN,
    ]


def status_word(node: Node) -> str:
    """`Ready`, `NotReady` or `Unknown`, and `SchedulingDisabled` behind it."""
    word = "Unknown"
    for condition in (node.status.conditions if node.status is not None else None) or ():
        if condition.type == "Ready":
            word = "Ready" if condition.status == "True" else "NotReady"
    if node.spec is not None and node.spec.unschedulable:
        word += ",SchedulingDisabled"
    return word


def roles(node: Node) -> list[str]:
    found: set[str] = set()
    for key, value in (node.metadata.labels or {}).items():
        if key.startswith(ROLE_PREFIX) and len(key) > len(ROLE_PREFIX):
            found.add(key.removeprefix(ROLE_PREFIX))
        elif key == ROLE_LABEL and value:
            found.add(value)
    return sorted(found)


def address(node: Node, type: str) -> str:
    """The first address of a type; empty when there is none."""
    for given in (node.status.addresses if node.status is not None else None) or ():
        if given.type == type:
            return given.address
    return ""
