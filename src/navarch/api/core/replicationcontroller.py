# SPDX-License-Identifier: GPL-3.0-or-later
"""The ReplicationController kind: keeps a number of equal pods running."""

from typing import Annotated, Any

from msgspec.structs import replace

from navarch.api.core.pod import defaults as pod_defaults
from navarch.api.core.pod import validation as pod_validation
from navarch.api.core.pod import warnings as pod_warnings
from navarch.api.core.pod import workload
from navarch.api.core.pod.spec import PodTemplateSpec
from navarch.api.core.pod.template_columns import CONTAINERS, IMAGES, containers
from navarch.api.machinery import checks
from navarch.api.machinery.columns import AGE, NAME, SELECTOR, labels
from navarch.api.machinery.durations import age
from navarch.api.machinery.errors import (
    ErrorList,
    FieldError,
    forbidden,
    invalid,
    not_supported,
    required,
)
from navarch.api.machinery.fields import Struct, field, needed, wire
from navarch.api.machinery.meta import Object, Time
from navarch.api.machinery.scheme import Column, Kind, Rules


class ReplicationControllerSpec(Struct):
    """What a replication controller should keep."""

    replicas: Annotated[
        int | None, wire(1, "Number of pods, 1 when absent.", format="int32", optional=True)
    ] = field("replicas", None)
    min_ready_seconds: Annotated[
        int | None, wire(4, "Seconds a pod must be ready to count as available.", format="int32")
    ] = field("minReadySeconds", None)
    selector: Annotated[
        dict[str, str] | None, wire(2, "Labels of the pods; the template's when absent.", list_type="atomic")
    ] = field("selector", None)
    template: Annotated[PodTemplateSpec | None, wire(3, "How the pods are made.")] = field("template", None)


class ReplicationControllerCondition(Struct):
    """One condition of a replication controller."""

    type: Annotated[str, wire(1, "ReplicaFailure or another name.", required=True)] = needed("type", "")
    status: Annotated[str, wire(2, "True, False or Unknown.", required=True)] = needed("status", "")
    last_transition_time: Annotated[
        Time | None, wire(3, "When the status last changed.", format="date-time")
    ] = field("lastTransitionTime", None)
    reason: Annotated[str | None, wire(4, "Why, as one CamelCase word.")] = field("reason", None)
    message: Annotated[str | None, wire(5, "Why, for people.")] = field("message", None)


class ReplicationControllerStatus(Struct):
    """What a replication controller has."""

    replicas: Annotated[int, wire(1, "Pods there are.", format="int32", required=True)] = needed(
        "replicas", 0
    )
    fully_labeled_replicas: Annotated[
        int | None, wire(2, "Pods that have all labels of the template.", format="int32")
    ] = field("fullyLabeledReplicas", None)
    ready_replicas: Annotated[int | None, wire(4, "Pods that are ready.", format="int32")] = field(
        "readyReplicas", None
    )
    available_replicas: Annotated[
        int | None, wire(5, "Pods that have been ready long enough.", format="int32")
    ] = field("availableReplicas", None)
    observed_generation: Annotated[
        int | None, wire(3, "Generation the status was written for.", format="int64")
    ] = field("observedGeneration", None)
    conditions: Annotated[
        list[ReplicationControllerCondition] | None,
        wire(
            6,
            "Conditions of the replication controller.",
            merge_key="type",
            list_type="map",
            strategy="merge",
        ),
    ] = field("conditions", None)


class ReplicationController(Object):
    """Keeps a number of equal pods running."""

    spec: Annotated[ReplicationControllerSpec | None, wire(2, "What should be kept.")] = field("spec", None)
    status: Annotated[ReplicationControllerStatus | None, wire(3, "What there is.")] = field("status", None)


_SPEC = ReplicationControllerSpec()


class ReplicationControllerRules(Rules[ReplicationController]):
    #: As the reference has kept it since v1; kubectl and the modules always say what they want.
    orphans = True

    def default(self, obj: ReplicationController) -> ReplicationController:
        """The template's labels are the selector's and the controller's own when these are not given."""
        spec = obj.spec or _SPEC
        changes: dict[str, Any] = {}
        if spec.replicas is None:
            changes["replicas"] = 1
        if spec.template is not None:
            template = pod_defaults.template(spec.template)
            if template is not spec.template:
                changes["template"] = template
            given = template.metadata.labels if template.metadata is not None else None
            if given and not spec.selector:
                changes["selector"] = given
            if given and not obj.metadata.labels:
                obj = replace(obj, metadata=replace(obj.metadata, labels=given))
        return replace(obj, spec=replace(spec, **changes)) if changes else obj

    def prepare_create(self, obj: ReplicationController) -> ReplicationController:
        return replace(obj, status=ReplicationControllerStatus())

    def validate(self, obj: ReplicationController) -> list[FieldError]:
        errors = ErrorList()
        spec = obj.spec or _SPEC
        checks.non_negative("spec.replicas", spec.replicas, errors)
        checks.non_negative("spec.minReadySeconds", spec.min_ready_seconds, errors)
        if not spec.selector:
            errors.append(required("spec.selector"))
        checks.labels("spec.selector", spec.selector, errors)
        template = spec.template
        if template is not None:
            given = (template.metadata.labels if template.metadata is not None else None) or {}
            if spec.selector and not spec.selector.items() <= given.items():
                detail = "`selector` does not match template `labels`"
                errors.append(invalid("spec.template.metadata.labels", given, detail))
            pod = template.spec
            if pod is not None and pod.restart_policy != "Always":
                errors.append(
                    not_supported("spec.template.spec.restartPolicy", pod.restart_policy, ("Always",))
                )
            if pod is not None and pod.active_deadline_seconds is not None:
                detail = "activeDeadlineSeconds in ReplicationController is not Supported"
                errors.append(forbidden("spec.template.spec.activeDeadlineSeconds", detail))
        return errors + pod_validation.template(template, "spec.template")

    def warnings(self, obj: ReplicationController) -> list[str]:
        template = obj.spec.template if obj.spec is not None else None
        return pod_warnings.template(template, "spec.template")

    def prepare_update(self, new: ReplicationController, old: ReplicationController) -> ReplicationController:
        return replace(new, status=old.status)

    def validate_status(self, new: ReplicationController, old: ReplicationController) -> list[FieldError]:
        errors = ErrorList()
        workload.replica_counts(new.status or ReplicationControllerStatus(), errors)
        return errors


def cells(obj: ReplicationController, now: float) -> list[Any]:
    spec = obj.spec or _SPEC
    status = obj.status or ReplicationControllerStatus()
    return [
        obj.metadata.name or "",
        spec.replicas or 0,
        status.replicas,
        status.ready_replicas or 0,
        age(obj.metadata.creation_timestamp, now),
        *containers(spec.template),
        labels(spec.selector),
    ]


REPLICATION_CONTROLLER = Kind(
    ReplicationController,
    resource="replicationcontrollers",
    short_names=("rc",),
    categories=("all",),
    subresources=("status", "scale"),
    columns=(
        NAME,
        Column("Desired", "integer", "Pods there should be."),
        Column("Current", "integer", "Pods there are."),
        Column("Ready", "integer", "Pods that are ready."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
    cells=cells,
    fields={"status.replicas": lambda o: str(o.status.replicas if o.status is not None else 0)},
    rules=ReplicationControllerRules(),
)
