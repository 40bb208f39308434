# SPDX-License-Identifier: GPL-3.0-or-later
"""What the node and its pods use.

`/stats/summary` (the fields that metrics collectors read) and `/metrics`.
"""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from typing import Any

from navarch.kubelet.agent import Kubelet
from navarch.kubelet.node import info as node_info
from navarch.kubelet.runtime.base import Usage


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def summary(kubelet: Kubelet) -> dict[str, Any]:
    """stats/v1alpha1 Summary."""
    pods = []
    for uid, worker in list(kubelet.workers.items()):
        running = [c for c in kubelet.containers.of(uid) if c.status == "running"]
        usages = await asyncio.gather(*(kubelet.runtime.usage(c.id) for c in running))
        meta = worker.pod.metadata
        containers = [
            {"name": c.name, "startTime": c.started_at, **_usage(u)}
            for c, u in zip(running, usages, strict=True)
            if u is not None
        ]
        total = [u for u in usages if u is not None]
        pods.append(
            {
                "podRef": {"name": meta.name, "namespace": meta.namespace, "uid": uid},
                "startTime": worker.facts.start_time,
                "containers": containers,
                **_usage(
                    Usage(
                        sum(u.cpu_nanos for u in total),
                        sum(u.memory_usage for u in total),
                        sum(u.working_set for u in total),
                        sum(u.rss for u in total),
                    )
                ),
            }
        )
    return {"node": _node(kubelet.config.node_name), "pods": pods}


def _usage(usage: Usage) -> dict[str, Any]:
    moment = _now()
    return {
        "cpu": {"time": moment, "usageCoreNanoSeconds": usage.cpu_nanos},
        "memory": {
            "time": moment,
            "usageBytes": usage.memory_usage,
            "workingSetBytes": usage.working_set,
            "rssBytes": usage.rss,
        },
    }


def _node(name: str) -> dict[str, Any]:
    total, available = node_info.memory(), node_info.memory_available()
    with open("/proc/stat", encoding="ascii") as file:
        ticks = [int(word) for word in file.readline().split()[1:]]
    idle = ticks[3] + ticks[4]
    nanos = (sum(ticks[:8]) - idle) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    moment = _now()
    return {
        "nodeName": name,
        "cpu": {"time": moment, "usageCoreNanoSeconds": nanos},
        "memory": {
            "time": moment,
            "availableBytes": available,
            "usageBytes": total - available,
            "workingSetBytes": total - available,
        },
    }


def metrics(kubelet: Kubelet) -> str:
    """Prometheus text: a handful of figures about this kubelet."""
    running = [
        c for uid in kubelet.containers.pods() for c in kubelet.containers.of(uid) if c.status == "running"
    ]
    with open("/proc/self/statm", encoding="ascii") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    cpu = os.times()
    lines = [
        "# HELP kubelet_running_pods Pods this kubelet looks after.",
        "# TYPE kubelet_running_pods gauge",
        f"kubelet_running_pods {len(kubelet.workers)}",
        "# HELP kubelet_running_containers Containers that run, sandboxes left out.",
        "# TYPE kubelet_running_containers gauge",
        f"kubelet_running_containers {len(running)}",
        "# HELP process_resident_memory_bytes Resident memory of this process.",
        "# TYPE process_resident_memory_bytes gauge",
        f"process_resident_memory_bytes {resident}",
        "# HELP process_cpu_seconds_total CPU time of this process.",
        "# TYPE process_cpu_seconds_total counter",
        f"process_cpu_seconds_total {cpu.user + cpu.system:.2f}",
    ]
    return "\n".join(lines) + "\n"
