# SPDX-License-Identifier: GPL-3.0-or-later
"""Validation of updates: which fields of an existing pod may change.

The rules are those of the reference's "Pod update and replacement".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from navarch.api.core.pod.affinity import Toleration
from navarch.api.core.pod.container import Container
from navarch.api.core.pod.spec import PodSpec
from navarch.api.core.pod.status import ContainerStatus, HostIP, PodIP, PodStatus
from navarch.api.machinery import checks, names
from navarch.api.machinery.checks import Errors
from navarch.api.machinery.errors import forbidden, invalid

if TYPE_CHECKING:
    from navarch.api.core.pod.pod import Pod

#: Marks a pod that stands for one which its node runs anyway.
MIRROR = "kubernetes.io/config.mirror"

_MUTABLE = (
    "`spec.containers[*].image`, `spec.initContainers[*].image`, `spec.activeDeadlineSeconds`, "
    "`spec.tolerations` (only additions), "
    "`spec.terminationGracePeriodSeconds` (only to 1 when it was negative)"
)
_MUTABLE_GATED = (
    _MUTABLE
    + ", and, until the pod is scheduled, `spec.schedulingGates`, `spec.nodeSelector`, `spec.affinity`"
)


def spec_update(new: PodSpec, old: PodSpec, errors: Errors) -> None:
    """Everything wrong with putting one spec in the place of another."""
    if new == old:
        return
    if len(new.containers) != len(old.containers):
        errors.append(forbidden("spec.containers", "pod updates may not add or remove containers"))
        return
    if len(new.init_containers or ()) != len(old.init_containers or ()):
        errors.append(forbidden("spec.initContainers", "pod updates may not add or remove containers"))
        return
    _deadline(new, old, errors)
    if new.tolerations != old.tolerations:
        _tolerations(new.tolerations or (), old.tolerations or (), errors)
    gated = bool(old.scheduling_gates)
    if new.scheduling_gates != old.scheduling_gates:
        before = {g.name for g in old.scheduling_gates or ()}
        for i, gate in enumerate(new.scheduling_gates or ()):
            if gate.name not in before:
                errors.append(
                    forbidden(
                        f"spec.schedulingGates[{i}].name",
                        "only deletion is allowed, but found new scheduling gate",
                    )
                )

    # What may differ is taken from the new one; whatever then still differs may not.
    allowed = replace(
        old,
        containers=_images(old.containers, new.containers),
        init_containers=_images(old.init_containers, new.init_containers)
        if old.init_containers
        else old.init_containers,
        active_deadline_seconds=new.active_deadline_seconds,
        tolerations=new.tolerations,
        scheduling_gates=new.scheduling_gates,
    )
    grace = old.termination_grace_period_seconds
    if grace is not None and grace < 0 and new.termination_grace_period_seconds == 1:
        allowed = replace(allowed, termination_grace_period_seconds=1)
    if gated:
        if not (old.node_selector or {}).items() <= (new.node_selector or {}).items():
            errors.append(
                invalid(
                    "spec.nodeSelector",
                    new.node_selector,
                    "only additions are allowed (no mutations or deletions)",
                )
            )
        allowed = replace(allowed, node_selector=new.node_selector, affinity=new.affinity)
    if new != allowed:
        changed = [
            wire
            for name, wire in zip(PodSpec.__struct_fields__, PodSpec.__struct_encode_fields__, strict=True)
            if getattr(new, name) != getattr(allowed, name)
        ]
        mutable = _MUTABLE_GATED if gated else _MUTABLE
        detail = f"pod updates may not change fields other than {mutable}; changed: {', '.join(changed)}"
        errors.append(forbidden("spec", detail))


def _images(old: list[Container], new: list[Container] | None) -> list[Container]:
    return [replace(a, image=b.image) for a, b in zip(old, new or (), strict=True)]


def _deadline(new: PodSpec, old: PodSpec, errors: Errors) -> None:
    before, after = old.active_deadline_seconds, new.active_deadline_seconds
    if before is None or before == after:
        return
    if after is None:
        errors.append(
            invalid(
                "spec.activeDeadlineSeconds", None, "must not update from a positive integer to nil value"
            )
        )
    elif after > before:
        errors.append(
            invalid(
                "spec.activeDeadlineSeconds", after, f"must be less than or equal to previous value {before}"
            )
        )


def _tolerations(new: Sequence[Toleration], old: Sequence[Toleration], errors: Errors) -> None:
    kept = {replace(t, toleration_seconds=None) for t in new}
    for t in old:
        if replace(t, toleration_seconds=None) not in kept:
            detail = "existing toleration can not be modified except its tolerationSeconds"
            errors.append(forbidden("spec.tolerations", detail))
            return


def normal_status(new: PodStatus | None, old: PodStatus | None) -> PodStatus:
    """A status on its way in: podIP follows podIPs or makes them, hostIP likewise; the QoS class stays."""
    status = new or PodStatus()
    if status.pod_ips:
        if status.pod_ip != status.pod_ips[0].ip:
            status = replace(status, pod_ip=status.pod_ips[0].ip)
    elif status.pod_ip:
        status = replace(status, pod_ips=[PodIP(ip=status.pod_ip)])
    if status.host_ips is None and status.host_ip:
        status = replace(status, host_ips=[HostIP(ip=status.host_ip)])
    if status.qos_class is None and old is not None and old.qos_class:
        status = replace(status, qos_class=old.qos_class)
    return status


def status_update(new: Pod, old: Pod, errors: Errors) -> None:
    """Everything wrong with a new status. Both have been through `normal_status`."""
    status = new.status or PodStatus()
    before = old.status or PodStatus()
    if before.qos_class and status.qos_class != before.qos_class:
        errors.append(invalid("status.qosClass", status.qos_class, "field is immutable"))
    if status.nominated_node_name and (wrong := names.subdomain(status.nominated_node_name)):
        errors.append(invalid("status.nominatedNodeName", status.nominated_node_name, wrong))
    for i, pod_ip in enumerate(status.pod_ips or ()):
        checks.ip(f"status.podIPs[{i}]", pod_ip.ip, errors)
    for i, host_ip in enumerate(status.host_ips or ()):
        checks.ip(f"status.hostIPs[{i}]", host_ip.ip, errors)
    for i, condition in enumerate(status.conditions or ()):
        if condition.status not in ("True", "False", "Unknown"):
            checks.one_of(
                f"status.conditions[{i}].status", condition.status, ("True", "False", "Unknown"), errors
            )
    mirror(new, old, errors)
    policy = old.spec.restart_policy if old.spec is not None else None
    if policy != "Always" and before.container_statuses:
        _ended(status.container_statuses or (), before.container_statuses, policy, old, errors)


def mirror(new: Pod, old: Pod, errors: Errors) -> None:
    """A pod does not become a mirror pod, which drains pass over, nor the other way."""
    if (new.metadata.annotations or {}).get(MIRROR) != (old.metadata.annotations or {}).get(MIRROR):
        errors.append(forbidden(f"metadata.annotations[{MIRROR}]", "may not add, remove or update it"))


def _ended(
    new: Sequence[ContainerStatus],
    old: Sequence[ContainerStatus],
    policy: str | None,
    pod: Pod,
    errors: Errors,
) -> None:
    """A container that has ended for good may not be said to run again."""
    own = {
        c.name
        for c in (pod.spec.containers if pod.spec else ())
        if c.restart_policy or c.restart_policy_rules
    }
    now = {c.name: (i, c) for i, c in enumerate(new)}
    for was in old:
        done = was.state.terminated if was.state is not None else None
        if done is None or was.name in own or (done.exit_code != 0 and policy == "OnFailure"):
            continue
        i, c = now.get(was.name, (-1, None))
        if c is not None and (c.state is None or c.state.terminated is None):
            errors.append(
                forbidden(
                    f"status.containerStatuses[{i}].state", "may not be transitioned to non-terminated state"
                )
            )
