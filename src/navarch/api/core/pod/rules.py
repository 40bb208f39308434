# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of pods, gathered from the files beside it: defaults, validation, updates, grace periods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from navarch.api.core.pod import defaults as pod_defaults
from navarch.api.core.pod import update as pod_update
from navarch.api.core.pod import validation as pod_validation
from navarch.api.core.pod import warnings as pod_warnings
from navarch.api.core.pod.qos import qos_class
from navarch.api.core.pod.spec import PodSpec
from navarch.api.core.pod.status import PodCondition, PodStatus
from navarch.api.machinery.errors import (
    ErrorList,
    FieldError,
    forbidden,
)
from navarch.api.machinery.meta import now
from navarch.api.machinery.scheme import Rules

if TYPE_CHECKING:
    from navarch.api.core.pod.pod import Pod

_TERMINAL = ("Succeeded", "Failed")


class PodRules(Rules["Pod"]):
    def default(self, obj: Pod) -> Pod:
        spec = pod_defaults.pod_spec(obj.spec or PodSpec())
        return obj if spec is obj.spec else replace(obj, spec=spec)

    def prepare_create(self, obj: Pod) -> Pod:
        """A new pod is Pending, whatever was sent."""
        spec = obj.spec or PodSpec()
        conditions = None
        if spec.scheduling_gates:
            conditions = [
                PodCondition(
                    type="PodScheduled",
                    status="False",
                    reason="SchedulingGated",
                    message="Scheduling waits until spec.schedulingGates is empty",
                    last_transition_time=now(),
                )
            ]
        status = PodStatus(phase="Pending", qos_class=qos_class(spec), conditions=conditions)
        return replace(obj, status=status)

    def validate(self, obj: Pod) -> list[FieldError]:
        errors = ErrorList()
        pod_validation.spec(obj.spec or PodSpec(), "spec", errors)
        if obj.spec is not None and obj.spec.ephemeral_containers:
            # Nothing but the ephemeralcontainers subresource, which this release has not, may set them.
            errors.append(forbidden("spec.ephemeralContainers", "cannot be set on create"))
        return errors

    def prepare_update(self, new: Pod, old: Pod) -> Pod:
        return replace(new, status=old.status)

    def validate_update(self, new: Pod, old: Pod) -> list[FieldError]:
        errors = ErrorList()
        pod_update.spec_update(new.spec or PodSpec(), old.spec or PodSpec(), errors)
        pod_update.mirror(new, old, errors)
        return errors

    def prepare_status(self, new: Pod, old: Pod) -> Pod:
        """Whose the pod is stays out of reach of those who write its status."""
        meta = replace(new.metadata, owner_references=old.metadata.owner_references)
        return replace(
            new, metadata=meta, spec=old.spec, status=pod_update.normal_status(new.status, old.status)
        )

    def validate_status(self, new: Pod, old: Pod) -> list[FieldError]:
        errors = ErrorList()
        pod_update.status_update(new, old, errors)
        return errors

    def warnings(self, obj: Pod) -> list[str]:
        return pod_warnings.warnings(obj.spec or PodSpec())

    def grace_period(self, obj: Pod, requested: int | None) -> int:
        """The requested seconds, else those of the pod; 0 where no process can be running.

        A negative value means one second, as the reference has it.
        """
        spec = obj.spec or PodSpec()
        phase = obj.status.phase if obj.status is not None else None
        seconds = requested if requested is not None else spec.termination_grace_period_seconds
        if not spec.node_name or phase in _TERMINAL:
            return 0
        if seconds is None:
            return 30
        return 1 if seconds < 0 else seconds
