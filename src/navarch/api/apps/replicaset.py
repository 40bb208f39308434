# SPDX-License-Identifier: GPL-3.0-or-later
"""The ReplicaSet kind: keeps a number of equal pods running."""

from typing import Annotated, Any

from msgspec.structs import replace

from navarch.api.core.pod import defaults as pod_defaults
from navarch.api.core.pod import warnings as pod_warnings
from navarch.api.core.pod import workload
from navarch.api.core.pod.spec import PodTemplateSpec
from navarch.api.core.pod.template_columns import CONTAINERS, IMAGES, containers
from navarch.api.machinery import checks
from navarch.api.machinery.columns import AGE, NAME, SELECTOR, selector
from navarch.api.machinery.durations import age
from navarch.api.machinery.errors import ErrorList, FieldError
from navarch.api.machinery.fields import Struct, field, needed, wire
from navarch.api.machinery.meta import LabelSelector, Object, Time
from navarch.api.machinery.scheme import Column, Kind, Rules


class ReplicaSetSpec(Struct):
    """What a replica set should keep."""

    replicas: Annotated[
        int | None, wire(1, "Number of pods, 1 when absent.", format="int32", optional=True)
    ] = field("replicas", None)
    min_ready_seconds: Annotated[
        int | None, wire(4, "Seconds a pod must be ready to count as available.", format="int32")
    ] = field("minReadySeconds", None)
    selector: Annotated[
        LabelSelector,
        wire(2, "Which pods are the replica set's; the template's labels must match.", required=True),
    ] = needed("selector", workload.ABSENT)
    template: Annotated[PodTemplateSpec | None, wire(3, "How the pods are made.")] = field("template", None)


class ReplicaSetCondition(Struct):
    """One condition of a replica set."""

    type: Annotated[str, wire(1, "ReplicaFailure or another name.")] = needed("type", "")
    status: Annotated[str, wire(2, "True, False or Unknown.")] = needed("status", "")
    last_transition_time: Annotated[
        Time | None, wire(3, "When the status last changed.", format="date-time")
    ] = field("lastTransitionTime", None)
    reason: Annotated[str | None, wire(4, "Why, as one CamelCase word.")] = field("reason", None)
    message: Annotated[str | None, wire(5, "Why, for people.")] = field("message", None)


class ReplicaSetStatus(Struct):
    """What a replica set has."""

    replicas: Annotated[int, wire(1, "Pods that are not ending.", format="int32", required=True)] = needed(
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
    terminating_replicas: Annotated[int | None, wire(7, "Pods that are ending.", format="int32")] = field(
        "terminatingReplicas", None
    )
    observed_generation: Annotated[
        int | None, wire(3, "Generation the status was written for.", format="int64")
    ] = field("observedGeneration", None)
    conditions: Annotated[
        list[ReplicaSetCondition] | None,
        wire(6, "Conditions of the replica set.", merge_key="type", list_type="map", strategy="merge"),
    ] = field("conditions", None)


class ReplicaSet(Object):
    """Keeps a number of equal pods running. Deployments make replica sets; few people do."""

    spec: Annotated[ReplicaSetSpec, wire(2, "What should be kept.", required=True)] = needed(
        "spec", ReplicaSetSpec()
    )
    status: Annotated[ReplicaSetStatus | None, wire(3, "What there is.")] = field("status", None)


_STATUS = ReplicaSetStatus()


class ReplicaSetRules(Rules[ReplicaSet]):
    def default(self, obj: ReplicaSet) -> ReplicaSet:
        spec = obj.spec
        changes: dict[str, Any] = {}
        if spec.replicas is None:
            changes["replicas"] = 1
        if spec.template is not None:
            template = pod_defaults.template(spec.template)
            if template is not spec.template:
                changes["template"] = template
        return replace(obj, spec=replace(spec, **changes)) if changes else obj

    def prepare_create(self, obj: ReplicaSet) -> ReplicaSet:
        return replace(obj, status=_STATUS)

    def validate(self, obj: ReplicaSet) -> list[FieldError]:
        errors = ErrorList()
        spec = obj.spec
        checks.non_negative("spec.replicas", spec.replicas, errors)
        checks.non_negative("spec.minReadySeconds", spec.min_ready_seconds, errors)
        workload.selector(spec.selector, "replicaset", errors)
        workload.template(spec.template, spec.selector, "ReplicaSet", errors)
        return errors

    def warnings(self, obj: ReplicaSet) -> list[str]:
        return pod_warnings.template(obj.spec.template, "spec.template")

    def prepare_update(self, new: ReplicaSet, old: ReplicaSet) -> ReplicaSet:
        return replace(new, status=old.status)

    def validate_update(self, new: ReplicaSet, old: ReplicaSet) -> list[FieldError]:
        errors = ErrorList()
        workload.immutable("spec.selector", new.spec.selector, old.spec.selector, errors)
        return errors

    def validate_status(self, new: ReplicaSet, old: ReplicaSet) -> list[FieldError]:
        errors = ErrorList()
        status = new.status or _STATUS
        workload.replica_counts(status, errors)
        checks.non_negative("status.terminatingReplicas", status.terminating_replicas, errors)
        return errors


def cells(obj: ReplicaSet, now: float) -> list[Any]:
    spec, status = obj.spec, obj.status or _STATUS
    return [
        obj.metadata.name or "",
        spec.replicas or 0,
        status.replicas,
        status.ready_replicas or 0,
        age(obj.metadata.creation_timestamp, now),
        *containers(spec.template),
        selector(spec.selector),
    ]


REPLICA_SET = Kind(
    ReplicaSet,
    group="apps",
    resource="replicasets",
    short_names=("rs",),
    categories=("all",),
    subresources=("status", "scale"),
    columns=(
        NAME,
        Column("Desired", "integer", "Pods there should be."),
        Column("Current", "integer", "Pods that are not ending."),
        Column("Ready", "integer", "Pods that are ready."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
    cells=cells,
    fields={"status.replicas": lambda o: str((o.status or _STATUS).replicas)},
    rules=ReplicaSetRules(),
)
