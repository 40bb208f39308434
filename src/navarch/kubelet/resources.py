# SPDX-License-Identifier: GPL-3.0-or-later
"""From requests and limits to what the kernel is told.

CPU shares and quota, memory limit, OOM score, and the pod's cgroup.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from navarch.api import quantity
from navarch.api.container import Container
from navarch.api.pod import Pod

_CAP_SYS_RESOURCE = 24
_CGROUPS = Path("/sys/fs/cgroup")


def cpu_shares(container: Container) -> int:
    """1024 a core of the request; without one 2, the least."""
    requests = (container.resources.requests if container.resources else None) or {}
    milli = quantity.milli(requests["cpu"]) if "cpu" in requests else 0
    return min(max(2, milli * 1024 // 1000), 262144)


def cpu_quota(container: Container) -> int:
    """Microseconds in a period of 100 ms; 0 is unlimited, 1000 the least the kernel takes."""
    limits = (container.resources.limits if container.resources else None) or {}
    milli = quantity.milli(limits["cpu"]) if "cpu" in limits else 0
    return max(1000, milli * 100) if milli else 0


def memory_limit(container: Container) -> int:
    limits = (container.resources.limits if container.resources else None) or {}
    return quantity.value(limits["memory"]) if "memory" in limits else 0


def oom_score_adj(pod: Pod, container: Container, node_memory: int, *, negative: bool) -> int:
    """The reference's figures: Guaranteed -997, BestEffort 1000, between them the less the more memory was
    requested.

    negative: whether values below zero may be set here (`may_go_negative`).
    """
    qos = pod.status.qos_class if pod.status else None
    if qos == "Guaranteed":
        return -997 if negative else 0
    if qos == "BestEffort":
        return 1000
    requests = (container.resources.requests if container.resources else None) or {}
    asked = quantity.value(requests["memory"]) if "memory" in requests else 0
    return min(max(3, 1000 - 1000 * asked // max(node_memory, 1)), 999)


def may_go_negative() -> bool:
    """Lowering an OOM score needs CAP_SYS_RESOURCE, which nested hosts often lack."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> _CAP_SYS_RESOURCE & 1)
    return False


def cgroup_parent(uid: str, driver: str) -> str:
    """The pod's cgroup, as the Engine wants it named."""
    if driver == "systemd":
        return f"navarch-pod{uid.replace('-', '_')}.slice"
    return f"/navarch/pod{uid}"


def remove_cgroup(uid: str, driver: str) -> None:
    """Remove a pod's empty cgroup from every hierarchy.

    Blocks shortly; one that is busy stays for the next time.
    """
    if driver == "systemd":
        subprocess.run(["systemctl", "stop", cgroup_parent(uid, driver)], capture_output=True, check=False)
        return
    relative = cgroup_parent(uid, driver).lstrip("/")
    roots = (
        [_CGROUPS]
        if (_CGROUPS / "cgroup.controllers").exists()
        else [p for p in _CGROUPS.iterdir() if p.is_dir()]
    )
    for root in roots:
        with contextlib.suppress(OSError):
            os.rmdir(root / relative)


def node_totals(allocatable: Mapping[str, str | int | float]) -> dict[str, int]:
    """Allocatable as whole numbers: milli-cores for cpu, units for the rest."""
    return {
        name: quantity.milli(amount) if name == "cpu" else quantity.value(amount)
        for name, amount in allocatable.items()
    }
