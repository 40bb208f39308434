# SPDX-License-Identifier: GPL-3.0-or-later
"""What this machine is.

Capacity, kernel, operating system, identity, and whether memory, disk or process ids run short.
"""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

import msgspec

from navarch import API_LEVEL, __version__
from navarch.api.core.node.node import NodeSystemInfo
from navarch.api.machinery import quantity
from navarch.kubelet.config import KubeletConfig

#: Free shares below which a node reports pressure (the reference kubelet's hard eviction thresholds).
_MEMORY_FREE = 100 * 1024 * 1024
_DISK_FREE = 0.10
_PIDS_FREE = 0.05

ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "arm",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
}


def architecture() -> str:
    machine = platform.machine()
    return ARCHITECTURES.get(machine, machine)


def _meminfo() -> dict[str, int]:
    values = {}
    with open("/proc/meminfo", encoding="ascii", errors="replace") as file:
        for line in file:
            name, _, rest = line.partition(":")
            values[name] = int(rest.split()[0]) * 1024
    return values


def memory() -> int:
    """Bytes."""
    return _meminfo()["MemTotal"]


def memory_available() -> int:
    """Bytes that could be had without swapping."""
    return _meminfo().get("MemAvailable", 0)


def capacity(config: KubeletConfig) -> dict[str, str]:
    disk = shutil.disk_usage(_existing(config.data_dir))
    return {
        "cpu": str(os.cpu_count() or 1),
        "memory": f"{memory() // 1024}Ki",
        "ephemeral-storage": f"{disk.total // 1024}Ki",
        "pods": str(config.max_pods),
    }


def allocatable(config: KubeletConfig, full: dict[str, str]) -> dict[str, str]:
    """Capacity less what is kept for the system and for Kubernetes' own parts."""
    result = dict(full)
    for name, amount in full.items():
        held = [r[name] for r in (config.system_reserved, config.kube_reserved) if name in r]
        if not held:
            continue
        if name == "cpu":
            left = quantity.milli(amount) - sum(quantity.milli(q) for q in held)
            result[name] = quantity.canonical(f"{max(left, 0)}m")
        else:
            left = quantity.value(amount) - sum(quantity.value(q) for q in held)
            result[name] = f"{max(left, 0) // 1024}Ki" if name != "pods" else str(max(left, 0))
    return result


def _existing(path: str) -> Path:
    found = Path(path)
    while not found.exists():
        found = found.parent
    return found


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace").strip()
    except OSError:
        return ""


def system_info(runtime: str) -> NodeSystemInfo:
    """runtime: e.g. `docker://20.10.24`."""
    name = "Linux"
    for line in _read("/etc/os-release").splitlines():
        if line.startswith("PRETTY_NAME="):
            name = line.partition("=")[2].strip('"')
    return NodeSystemInfo(
        machine_id=_read("/etc/machine-id"),
        system_uuid=_read("/sys/class/dmi/id/product_uuid").lower() or _read("/etc/machine-id"),
        boot_id=_read("/proc/sys/kernel/random/boot_id"),
        kernel_version=platform.release(),
        os_image=name,
        container_runtime_version=runtime,
        kubelet_version=f"v{API_LEVEL[0]}.{API_LEVEL[1]}.0+navarch.{__version__}",
        operating_system="linux",
        architecture=architecture(),
    )


class Pressure(msgspec.Struct, frozen=True):
    memory: bool
    disk: bool
    pids: bool


def pressure(config: KubeletConfig) -> Pressure:
    """Whether the node runs short of something."""
    disk = shutil.disk_usage(_existing(config.data_dir))
    limit = int(_read("/proc/sys/kernel/pid_max") or 32768)
    tasks = _read("/proc/loadavg").split(" ")[3].partition("/")[2]
    return Pressure(
        memory=_meminfo().get("MemAvailable", _MEMORY_FREE) < _MEMORY_FREE,
        disk=disk.free < disk.total * _DISK_FREE,
        pids=limit - int(tasks or 0) < limit * _PIDS_FREE,
    )
