# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of pods (`kubectl get pods`): its columns, and the one word for a pod's state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from navarch.api.core.pod.container import is_sidecar
from navarch.api.core.pod.spec import PodSpec
from navarch.api.core.pod.status import ContainerState, ContainerStatus, PodStatus
from navarch.api.machinery.durations import age, human_duration, seconds
from navarch.api.machinery.scheme import Column

if TYPE_CHECKING:
    from navarch.api.core.pod.pod import Pod

COLUMNS = (
    Column("Name", format="name", description="Name of the pod."),
    Column("Ready", description="Containers that are ready, of all that should be."),
    Column("Status", description="The pod's state in one word."),
    Column("Restarts", description="Restarts of all containers, and when the last one was."),
    Column("Age", description="Time since the pod was created."),
    Column("IP", description="Address of the pod.", priority=1),
    Column("Node", description="Node the pod is on.", priority=1),
    Column("Nominated Node", description="Node on which room is being made.", priority=1),
    Column("Readiness Gates", description="Gates that are passed, of all there are.", priority=1),
)

_NONE = "<none>"
_STATUS = PodStatus()
_SPEC = PodSpec()
_STATE = ContainerState()


def cells(pod: Pod, now: float) -> list[Any]:
    """One value a column."""
    spec = pod.spec or _SPEC
    status = pod.status or _STATUS
    ready, total, word, restarts, last = summary(pod)
    restarted = str(restarts)
    if restarts and last:
        restarted = f"{restarts} ({human_duration(now - last)} ago)"
    ip = status.pod_ips[0].ip if status.pod_ips else status.pod_ip
    return [
        pod.metadata.name or "",
        f"{ready}/{total}",
        word,
        restarted,
        age(pod.metadata.creation_timestamp, now),
        ip or _NONE,
        spec.node_name or _NONE,
        status.nominated_node_name or _NONE,
        _gates(spec, status),
    ]


def status_word(pod: Pod) -> str:
    """The pod's state in one word: `Running`, `Init:0/2`, `CrashLoopBackOff`, `Terminating`, ..."""
    return summary(pod)[2]


def summary(pod: Pod) -> tuple[int, int, str, int, float]:
    """Ready containers, all containers, the state in one word, restarts, time of the last one (0: never)."""
    spec = pod.spec or _SPEC
    status = pod.status or _STATUS
    word = status.reason or status.phase or ""
    conditions = {c.type: c for c in status.conditions or ()}
    scheduled = conditions.get("PodScheduled")
    if scheduled is not None and scheduled.reason == "SchedulingGated":
        word = "SchedulingGated"

    sidecars = {c.name for c in spec.init_containers or () if is_sidecar(c)}
    total = len(spec.containers) + len(sidecars)
    ready = restarts = sidecar_restarts = 0
    last = sidecar_last = 0.0
    initializing = False
    for i, c in enumerate(status.init_container_statuses or ()):
        restarts += c.restart_count
        last = max(last, _ended(c))
        if c.name in sidecars:
            sidecar_restarts += c.restart_count
            sidecar_last = max(sidecar_last, _ended(c))
        state = c.state or _STATE
        done = state.terminated
        if done is not None and done.exit_code == 0:
            continue
        if c.name in sidecars and c.started:
            ready += c.ready
            continue
        initializing = True
        if done is not None:
            word = f"Init:{_exit(c)}"
        elif state.waiting is not None and state.waiting.reason not in (None, "", "PodInitializing"):
            word = f"Init:{state.waiting.reason}"
        else:
            word = f"Init:{i}/{len(spec.init_containers or ())}"
        break

    initialized = conditions.get("Initialized")
    if not initializing or (initialized is not None and initialized.status == "True"):
        restarts, last = sidecar_restarts, sidecar_last
        running = False
        for c in reversed(status.container_statuses or ()):
            restarts += c.restart_count
            last = max(last, _ended(c))
            state = c.state or _STATE
            if state.waiting is not None and state.waiting.reason:
                word = state.waiting.reason
            elif state.terminated is not None:
                word = _exit(c)
            elif c.ready and state.running is not None:
                running = True
                ready += 1
        if word == "Completed" and running:
            condition = conditions.get("Ready")
            word = "Running" if condition is not None and condition.status == "True" else "NotReady"

    if pod.metadata.deletion_timestamp:
        if status.reason == "NodeLost":
            word = "Unknown"
        elif status.phase not in ("Succeeded", "Failed"):
            word = "Terminating"
    return ready, total, word, restarts, last


def _ended(c: ContainerStatus) -> float:
    """When the run before the present one ended; 0 when there was none."""
    before = c.last_state.terminated if c.last_state is not None else None
    return seconds(before.finished_at) if before is not None and before.finished_at else 0.0


def _exit(c: ContainerStatus) -> str:
    done = c.state.terminated if c.state is not None else None
    if done is None:
        return ""
    if done.reason:
        return done.reason
    return f"Signal:{done.signal}" if done.signal else f"ExitCode:{done.exit_code}"


def _gates(spec: PodSpec, status: PodStatus) -> str:
    if not spec.readiness_gates:
        return _NONE
    true = {c.type for c in status.conditions or () if c.status == "True"}
    passed = sum(g.condition_type in true for g in spec.readiness_gates)
    return f"{passed}/{len(spec.readiness_gates)}"
