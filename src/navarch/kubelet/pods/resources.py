# SPDX-License-Identifier: GPL-3.0-or-later
"""From requests and limits to the kernel's settings.

CPU shares and quota, memory limit, OOM score, and the pod's cgroup.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from navarch.api.core.pod.container import Container
from navarch.api.core.pod.pod import Pod
from navarch.api.machinery import quantity

log = logging.getLogger(__name__)

_CAP_SYS_RESOURCE = 24
_CGROUPS = Path("/sys/fs/cgroup")


def _shares(milli: int) -> int:
    """1024 a core; the kernel takes 2 to 2^18."""
    return min(max(2, milli * 1024 // 1000), 262144)


def _requested(container: Container) -> int:
    requests = (container.resources.requests if container.resources else None) or {}
    return quantity.milli(requests["cpu"]) if "cpu" in requests else 0


def cpu_shares(container: Container) -> int:
    """By the request; without one the least."""
    return _shares(_requested(container))


def pod_cpu_shares(pod: Pod) -> int:
    """By the most that the pod's containers request at one time, and its overhead."""
    spec = pod.spec
    assert spec is not None
    sidecars = most = 0
    for container in spec.init_containers or ():
        if container.restart_policy == "Always":
            sidecars += _requested(container)
            most = max(most, sidecars)
        else:
            most = max(most, sidecars + _requested(container))
    most = max(most, sidecars + sum(map(_requested, spec.containers or ())))
    overhead = spec.overhead or {}
    return _shares(most + (quantity.milli(overhead["cpu"]) if "cpu" in overhead else 0))


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
    requested = quantity.value(requests["memory"]) if "memory" in requests else 0
    return min(max(3, 1000 - 1000 * requested // max(node_memory, 1)), 999)


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


def weigh(uid: str, driver: str, shares: int, node_milli: int) -> None:
    """Have pods share the processor by what they request, and all of them with the rest of the host by what
    the node has for pods. Blocks shortly, with systemd some 15 ms.

    A host where this cannot be written goes on without it.
    """
    pod = cgroup_parent(uid, driver)
    if driver == "systemd":
        _weigh_node(_shares(node_milli))
        _weigh_slice(pod, shares)
        return
    unified = (_CGROUPS / "cgroup.controllers").exists()
    for path, value in (("navarch", _shares(node_milli)), (pod.lstrip("/"), shares)):
        file = _CGROUPS / path / "cpu.weight" if unified else _CGROUPS / "cpu" / path / "cpu.shares"
        try:
            file.write_text(str(_weight(value) if unified else value))
        except OSError as error:
            log.debug("no share of the processor for %s: %s", path, error)


def _weight(shares: int) -> int:
    """The weight of cgroup v2, 1 to 10000, for shares as runc reckons it."""
    return 1 + (shares - 2) * 9999 // 262142


@functools.lru_cache(maxsize=1)
def _weigh_node(shares: int) -> None:
    """Once a kubelet's life: systemd keeps it."""
    _weigh_slice("navarch.slice", shares)


def _weigh_slice(name: str, shares: int) -> None:
    command = ["systemctl", "set-property", "--runtime", name, f"CPUWeight={_weight(shares)}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        log.debug("no share of the processor for %s: %s", name, done.stderr.strip())


def remove_cgroup(uid: str, driver: str) -> None:
    """Remove a pod's empty cgroup from every hierarchy.

    Blocks shortly; one that is busy stays for the next time.
    """
    if driver == "systemd":
        # Reverted, too: systemd keeps a weight that was set in a file for each slice that ever had one.
        for word in ("stop", "revert"):
            subprocess.run(["systemctl", word, cgroup_parent(uid, driver)], capture_output=True, check=False)
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
