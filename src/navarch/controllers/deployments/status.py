# SPDX-License-Identifier: GPL-3.0-or-later
"""The status of a deployment: counts, and the conditions Available, Progressing and ReplicaFailure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec.structs import replace

from navarch.api.apps.deployment import Deployment, DeploymentCondition, DeploymentStatus
from navarch.api.apps.replicaset import ReplicaSet
from navarch.api.machinery.meta import now, parse_time
from navarch.controllers.deployments import sizes
from navarch.controllers.lib import conditions

PROGRESSING, AVAILABLE, FAILURE = "Progressing", "Available", "ReplicaFailure"
COMPLETE = "NewReplicaSetAvailable"
TIMED_OUT = "ProgressDeadlineExceeded"
PAUSED, RESUMED = "DeploymentPaused", "DeploymentResumed"
#: Stands for "no deadline": what kubectl writes to switch it off.
_NEVER = 2**31 - 1


def of(deployment: Deployment) -> DeploymentStatus:
    return deployment.status or DeploymentStatus()


def has_deadline(deployment: Deployment) -> bool:
    seconds = deployment.spec.progress_deadline_seconds
    return seconds is not None and seconds != _NEVER


def condition(type: str, status: str, reason: str, message: str) -> DeploymentCondition:
    moment = now()
    return DeploymentCondition(
        type=type,
        status=status,
        reason=reason,
        message=message,
        last_update_time=moment,
        last_transition_time=moment,
    )


def with_condition(status: DeploymentStatus, new: DeploymentCondition) -> DeploymentStatus:
    return replace(status, conditions=conditions.put(status.conditions, new))


def counted(deployment: Deployment, new: ReplicaSet | None, sets: Sequence[ReplicaSet]) -> DeploymentStatus:
    """The status with the counts of the replica sets, and Available."""
    ready = sum((rs.status.ready_replicas or 0) if rs.status else 0 for rs in sets)
    ending = sum((rs.status.terminating_replicas or 0) if rs.status else 0 for rs in sets)
    available = sum(map(sizes.available, sets))
    status = replace(
        of(deployment),
        observed_generation=deployment.metadata.generation,
        replicas=sum(rs.status.replicas if rs.status else 0 for rs in sets) or None,
        updated_replicas=(new.status.replicas if new is not None and new.status else 0) or None,
        ready_replicas=ready or None,
        available_replicas=available or None,
        unavailable_replicas=max(0, sum(map(sizes.size, sets)) - available) or None,
        terminating_replicas=ending or None,
    )
    if available >= sizes.wanted(deployment) - sizes.max_unavailable(deployment):
        available_condition = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        available_condition = (
            "False",
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
        )
    return with_condition(status, condition(AVAILABLE, *available_condition))


def complete(deployment: Deployment, status: DeploymentStatus) -> bool:
    wanted = sizes.wanted(deployment)
    return (
        (status.updated_replicas or 0) == wanted
        and (status.replicas or 0) == wanted
        and (status.available_replicas or 0) == wanted
        and (status.observed_generation or 0) >= (deployment.metadata.generation or 0)
    )


def rolled_out(
    deployment: Deployment, new: ReplicaSet | None, sets: Sequence[ReplicaSet]
) -> DeploymentStatus:
    """The status in a rollout: how it goes on, and what fails."""
    status = counted(deployment, new, sets)
    if not has_deadline(deployment):
        status = replace(status, conditions=conditions.without(status.conditions, PROGRESSING) or None)
    else:
        status = _progress(deployment, new, status)
    failure = _failure(new, sets)
    if failure is None:
        return replace(status, conditions=conditions.without(status.conditions, FAILURE) or None)
    return with_condition(status, failure)


def _progress(deployment: Deployment, new: ReplicaSet | None, status: DeploymentStatus) -> DeploymentStatus:
    before = conditions.find(status.conditions, PROGRESSING)
    done = (status.replicas or 0) == (status.updated_replicas or 0)
    if done and before is not None and before.reason == COMPLETE:
        return status
    name = (
        f'ReplicaSet "{new.metadata.name}"' if new is not None else f'Deployment "{deployment.metadata.name}"'
    )
    if complete(deployment, status):
        message = f"{name} has successfully progressed."
        return with_condition(status, condition(PROGRESSING, "True", COMPLETE, message))
    if _further(of(deployment), status):
        # Written again each time, so that the deadline counts from the last progress.
        fresh = condition(PROGRESSING, "True", "ReplicaSetUpdated", f"{name} is progressing.")
        if before is not None and before.status == "True":
            fresh = replace(fresh, last_transition_time=before.last_transition_time)
        return replace(status, conditions=[*conditions.without(status.conditions, PROGRESSING), fresh])
    if timed_out(deployment, status):
        message = f"{name} has timed out progressing."
        return with_condition(status, condition(PROGRESSING, "False", TIMED_OUT, message))
    return status


def _further(old: DeploymentStatus, new: DeploymentStatus) -> bool:
    def left(status: DeploymentStatus) -> int:
        return (status.replicas or 0) - (status.updated_replicas or 0)

    return (
        (new.updated_replicas or 0) > (old.updated_replicas or 0)
        or left(new) < left(old)
        or (new.ready_replicas or 0) > (old.ready_replicas or 0)
        or (new.available_replicas or 0) > (old.available_replicas or 0)
    )


def timed_out(deployment: Deployment, status: DeploymentStatus) -> bool:
    left = seconds_left(deployment, status)
    return left is not None and left <= 0


def seconds_left(deployment: Deployment, status: DeploymentStatus) -> float | None:
    """Until the deadline for progress; None when none runs."""
    progressing = conditions.find(status.conditions, PROGRESSING)
    if progressing is None or progressing.reason == COMPLETE or not has_deadline(deployment):
        return None
    if progressing.reason == TIMED_OUT:
        return 0.0
    since = progressing.last_update_time or progressing.last_transition_time
    if since is None:
        return None
    age = (datetime.now(UTC) - parse_time(since)).total_seconds()
    return (deployment.spec.progress_deadline_seconds or 0) - age


def _failure(new: ReplicaSet | None, sets: Sequence[ReplicaSet]) -> DeploymentCondition | None:
    """The ReplicaFailure of the new replica set, or of another one when there is no new one."""
    for rs in [new] if new is not None else sets:
        found = conditions.find(rs.status.conditions if rs.status else None, FAILURE)
        if found is not None:
            return condition(FAILURE, found.status, found.reason or "", found.message or "")
    return None
