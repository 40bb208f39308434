# SPDX-License-Identifier: GPL-3.0-or-later
"""A pod's status, computed from what the engine has and what the worker knows. Pure functions of their
arguments and the present second.

Rules: API reference, PodStatus, and "Pod Lifecycle" in the Kubernetes documentation. Nothing is Running here
that the engine does not have running. Posting is `status_manager`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from navarch.api.core.pod.container import Container, is_sidecar
from navarch.api.core.pod.pod import Pod
from navarch.api.core.pod.status import (
    ContainerState,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStateWaiting,
    ContainerStatus,
    HostIP,
    PodCondition,
    PodIP,
    PodStatus,
)
from navarch.api.machinery.meta import now
from navarch.kubelet.runtime.base import ContainerState as Runtime

#: startedAt of a container that never ran.
_NEVER = "1970-01-01T00:00:00Z"


class Facts(msgspec.Struct):
    """What the worker knows beside the engine's containers."""

    node_ip: str = ""
    ips: list[str] = []
    start_time: str = ""
    sandbox_ready: bool = False
    #: Container name -> (reason, message) while something stands in the way of starting it.
    waiting: dict[str, tuple[str, str]] = {}
    #: Container names in crash back-off -> message.
    backing_off: dict[str, str] = {}
    #: Container id -> termination message.
    messages: dict[str, str] = {}
    #: Container name -> imageID to report.
    image_ids: dict[str, str] = {}
    #: Container names whose probes say no; a running container is ready and started unless named here.
    unready: set[str] = set()
    unstarted: set[str] = set()
    #: Ids of the containers whose probes have begun: of others that have any, nothing is known yet.
    followed: set[str] = set()
    #: Set when the pod was ended by us: (reason, message), e.g. DeadlineExceeded, Evicted.
    failed: tuple[str, str] | None = None
    terminating: bool = False


def reported(pod: Pod, name: str) -> ContainerStatus | None:
    """A container's status as the master has it."""
    old = pod.status or PodStatus()
    before = [*(old.init_container_statuses or ()), *(old.container_statuses or ())]
    return next((s for s in before if s.name == name), None)


def restarts(pod: Pod, container: Container, exit_code: int, *, init: bool) -> bool:
    """Whether an ended container is to be started again."""
    policy = (pod.spec.restart_policy if pod.spec else None) or "Always"
    if init and is_sidecar(container):
        return True
    if policy == "Never":
        return False
    if init or policy == "OnFailure":
        return exit_code != 0
    return True


def latest(containers: Sequence[Runtime], name: str) -> tuple[Runtime | None, Runtime | None]:
    """The newest and the one before it, of containers in order of attempts."""
    found = [c for c in containers if c.name == name]
    return (found[-1] if found else None, found[-2] if len(found) > 1 else None)


def terminated(container: Runtime, message: str) -> ContainerStateTerminated:
    if container.oom_killed:
        reason = "OOMKilled"
    elif not container.started_at:
        reason = "StartError"
    else:
        reason = "Completed" if container.exit_code == 0 else "Error"
    return ContainerStateTerminated(
        exit_code=container.exit_code,
        reason=reason,
        message=message or container.error or None,
        started_at=container.started_at or _NEVER,
        finished_at=container.finished_at or container.started_at or now(),
        container_id=f"docker://{container.id}",
    )


def _lost(old: ContainerStatus, ran: ContainerStateRunning) -> ContainerStateTerminated:
    """Of a container that ran, and that somebody took from the engine."""
    return ContainerStateTerminated(
        exit_code=137,
        reason="ContainerStatusUnknown",
        message="The container is gone from the node; it was running before",
        started_at=ran.started_at or _NEVER,
        finished_at=now(),
        container_id=old.container_id,
    )


def _container(
    pod: Pod,
    container: Container,
    found: Sequence[Runtime],
    facts: Facts,
    old: ContainerStatus | None,
    *,
    init: bool,
) -> ContainerStatus:
    current, previous = latest(found, container.name)
    waiting = facts.waiting.get(container.name)
    last: ContainerState | None = None
    if previous is not None and previous.status == "exited":
        last = ContainerState(terminated=terminated(previous, facts.messages.get(previous.id, "")))
    elif old is not None and old.last_state is not None:
        last = old.last_state
    running = current is not None and current.status == "running"
    if current is not None and current.status == "running":
        state = ContainerState(running=ContainerStateRunning(started_at=current.started_at))
    elif current is not None and current.status == "exited":
        ended = terminated(current, facts.messages.get(current.id, ""))
        state = ContainerState(terminated=ended)
        again = (
            restarts(pod, container, current.exit_code, init=init)
            and not facts.terminating
            and not facts.failed
        )
        if again and (waiting or container.name in facts.backing_off):
            reason, message = waiting or ("CrashLoopBackOff", facts.backing_off[container.name])
            state = ContainerState(waiting=ContainerStateWaiting(reason=reason, message=message or None))
            last = ContainerState(terminated=ended)
    else:
        if current is None and old is not None and old.state is not None and old.state.terminated is not None:
            # Its container is gone (the node was cleaned up): what was reported stays true.
            state = old.state
        else:
            reason, message = waiting or (_not_yet(pod, init=init), "")
            state = ContainerState(waiting=ContainerStateWaiting(reason=reason, message=message or None))
            if (
                current is None
                and old is not None
                and old.state is not None
                and old.state.running is not None
            ):
                last = ContainerState(terminated=_lost(old, old.state.running))
                state = last if facts.terminating else state
    started = running and container.name not in facts.unstarted
    ready = running and container.name not in facts.unready and started
    if current is not None and current.id not in facts.followed:
        # As the master knows it of this very container, so that a restarted kubelet does not flap.
        same = old is not None and old.container_id == f"docker://{current.id}"
        hooked = container.lifecycle is not None and container.lifecycle.post_start is not None
        started = started and (
            (not container.startup_probe and not hooked) or (same and old is not None and bool(old.started))
        )
        ready = (
            ready and started and (not container.readiness_probe or (same and old is not None and old.ready))
        )
    if init and not is_sidecar(container):
        ready = state.terminated is not None and state.terminated.exit_code == 0
    return ContainerStatus(
        name=container.name,
        state=state,
        last_state=last if last is not None else ContainerState(),
        ready=ready,
        restart_count=current.attempt if current is not None else (old.restart_count if old else 0),
        image=container.image or "",
        image_id=facts.image_ids.get(container.name)
        or (f"docker://{current.image_id}" if current is not None else (old.image_id if old else "")),
        container_id=f"docker://{current.id}" if current is not None else (old.container_id if old else None),
        started=started if not init or is_sidecar(container) else (running or None),
    )


def _not_yet(pod: Pod, *, init: bool) -> str:
    return "PodInitializing" if not init and pod.spec and pod.spec.init_containers else "ContainerCreating"


def compute(pod: Pod, containers: Sequence[Runtime], facts: Facts) -> PodStatus:
    """The status to post.

    Conditions of others (PodScheduled, readiness gates) are not in it, see `conditions`.
    """
    spec = pod.spec
    assert spec is not None
    old = pod.status or PodStatus()
    before = {s.name: s for s in [*(old.init_container_statuses or ()), *(old.container_statuses or ())]}
    inits = [
        _container(pod, c, containers, facts, before.get(c.name), init=True)
        for c in spec.init_containers or ()
    ]
    mains = [_container(pod, c, containers, facts, before.get(c.name), init=False) for c in spec.containers]
    phase = _phase(pod, inits, mains, facts)
    if old.phase in ("Succeeded", "Failed"):
        phase = old.phase
    # Once: a sidecar that ends later, or with its pod, takes nothing back.
    initialized = (
        phase == "Succeeded"
        or any(s.state and (s.state.running or s.state.terminated) for s in mains)
        or all(
            (s.started is True if is_sidecar(c) else s.ready)
            for c, s in zip(spec.init_containers or (), inits, strict=True)
        )
    )
    return PodStatus(
        phase=phase,
        reason=facts.failed[0] if facts.failed else None,
        message=facts.failed[1] if facts.failed else None,
        conditions=conditions(pod, phase, inits, mains, facts, initialized=initialized),
        host_ip=facts.node_ip or None,
        host_ips=[HostIP(ip=facts.node_ip)] if facts.node_ip else None,
        pod_ip=facts.ips[0] if facts.ips else None,
        pod_ips=[PodIP(ip=ip) for ip in facts.ips] or None,
        start_time=facts.start_time or None,
        init_container_statuses=inits or None,
        container_statuses=mains,
    )


def _phase(pod: Pod, inits: list[ContainerStatus], mains: list[ContainerStatus], facts: Facts) -> str:
    if facts.failed:
        return "Failed"
    policy = (pod.spec.restart_policy if pod.spec else None) or "Always"
    regular = [
        s
        for c, s in zip((pod.spec.init_containers if pod.spec else None) or (), inits, strict=True)
        if not is_sidecar(c)
    ]
    for status in regular:
        ended = status.state.terminated if status.state else None
        if ended is not None and ended.exit_code != 0 and (policy == "Never" or facts.terminating):
            return "Failed"
    if any(not status.ready for status in regular) and not any(s.state and s.state.running for s in mains):
        return "Failed" if facts.terminating and not any(_began(s) for s in mains) else "Pending"
    ends = [s.state.terminated if s.state else None for s in mains]
    if mains and all(end is not None for end in ends):
        failed = any(end is not None and end.exit_code != 0 for end in ends)
        if policy == "Always" and not facts.terminating:
            return "Running"
        if failed and policy == "OnFailure" and not facts.terminating:
            return "Running"
        return "Failed" if failed else "Succeeded"
    if any(not _began(s) for s in mains):
        return "Pending"
    return "Running"


def _began(status: ContainerStatus) -> bool:
    """Whether it has run, now or before."""
    state, last = status.state, status.last_state
    if state is not None and (state.running is not None or state.terminated is not None):
        return True
    return last is not None and last.terminated is not None


def conditions(
    pod: Pod,
    phase: str,
    inits: list[ContainerStatus],
    mains: list[ContainerStatus],
    facts: Facts,
    *,
    initialized: bool,
) -> list[PodCondition]:
    """The kubelet's own conditions, with the transition times of those that did not change."""
    over = phase in ("Succeeded", "Failed")
    sidecars = {c.name for c in (pod.spec.init_containers if pod.spec else None) or () if is_sidecar(c)}
    requested = [*(s for s in inits if s.name in sidecars), *mains]
    unready = [s.name for s in requested if not s.ready]
    reason: str | None = None
    message: str | None = None
    if over:
        reason = "PodCompleted" if phase == "Succeeded" else "PodFailed"
    elif unready:
        reason, message = "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]"
    containers_ready = not over and not unready
    pod_ready, ready_reason, ready_message = containers_ready, reason, message
    present = {c.type: c for c in (pod.status.conditions if pod.status else None) or ()}
    if containers_ready:
        for gate in (pod.spec.readiness_gates if pod.spec else None) or ():
            condition = present.get(gate.condition_type)
            if condition is None or condition.status != "True":
                pod_ready, ready_reason = False, "ReadinessGatesNotReady"
                ready_message = (
                    f'corresponding condition of pod readiness gate "{gate.condition_type}" is not True.'
                )
    waiting_inits = [s.name for s in inits if not s.ready]
    init_reason, init_message = None, None
    if not initialized:
        init_reason = "ContainersNotInitialized"
        init_message = f"containers with incomplete status: [{' '.join(waiting_inits)}]"
    elif over and phase == "Succeeded":
        init_reason = "PodCompleted"
    wanted = [
        ("PodReadyToStartContainers", facts.sandbox_ready and not over, None, None),
        ("Initialized", initialized, init_reason, init_message),
        ("Ready", pod_ready, ready_reason, ready_message),
        ("ContainersReady", containers_ready, reason, message),
        ("PodScheduled", True, None, None),
    ]
    result = []
    for type, true, why, text in wanted:
        status = "True" if true else "False"
        old = present.get(type)
        same = old is not None and old.status == status and old.last_transition_time
        moment = old.last_transition_time if old is not None and same else now()
        result.append(
            PodCondition(type=type, status=status, reason=why, message=text, last_transition_time=moment)
        )
    return result


def changed(old: PodStatus | None, new: PodStatus) -> bool:
    """Whether anything that we post differs from what the API has."""
    if old is None:
        return True
    mine = {c.type: c for c in new.conditions or ()}
    theirs = {c.type: c for c in old.conditions or ()}
    for type, condition in mine.items():
        other = theirs.get(type)
        if other is None or (other.status, other.reason, other.message) != (
            condition.status,
            condition.reason,
            condition.message,
        ):
            return True
    return any(
        getattr(old, name) != getattr(new, name)
        for name in (
            "phase",
            "reason",
            "message",
            "host_ip",
            "host_ips",
            "pod_ip",
            "pod_ips",
            "start_time",
            "init_container_statuses",
            "container_statuses",
        )
    )


def patch(uid: str, status: PodStatus) -> Mapping[str, object]:
    """A strategic merge patch of the status: our conditions by type, everything else of ours as a whole."""
    body: dict[str, object] = {}
    for name, value in (
        ("phase", status.phase),
        ("reason", status.reason),
        ("message", status.message),
        ("hostIP", status.host_ip),
        ("podIP", status.pod_ip),
        ("startTime", status.start_time),
        ("containerStatuses", status.container_statuses),
        ("initContainerStatuses", status.init_container_statuses),
    ):
        body[name] = msgspec.to_builtins(value)
    # A merge keeps what is not named: an absent reason or message must be sent as null to go away.
    body["conditions"] = [
        {"reason": None, "message": None, **msgspec.to_builtins(condition)}
        for condition in status.conditions or ()
    ]
    for name, entries in (("hostIPs", status.host_ips), ("podIPs", status.pod_ips)):
        body[name] = [*(msgspec.to_builtins(entry) for entry in entries or ()), {"$patch": "replace"}]
    return {"metadata": {"uid": uid}, "status": body}
