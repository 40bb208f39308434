# SPDX-License-Identifier: GPL-3.0-or-later
"""The Deployment kind: equal pods, replaced step by step when their template changes."""

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
from navarch.api.machinery.errors import (
    ErrorList,
    FieldError,
    forbidden,
    invalid,
    required,
)
from navarch.api.machinery.fields import Struct, field, needed, wire
from navarch.api.machinery.meta import IntOrString, LabelSelector, Object, Time
from navarch.api.machinery.scheme import Column, Kind, Rules

ROLLING_UPDATE = "RollingUpdate"
RECREATE = "Recreate"


class RollingUpdateDeployment(Struct):
    """How far a rolling update may go beyond the wanted number of pods, and below it."""

    max_unavailable: Annotated[
        IntOrString | None,
        wire(
            1, "Pods that may be missing during an update: a number or a percentage.", format="int-or-string"
        ),
    ] = field("maxUnavailable", None)
    max_surge: Annotated[
        IntOrString | None,
        wire(2, "Pods that may be too many in an update: number or percentage.", format="int-or-string"),
    ] = field("maxSurge", None)


class DeploymentStrategy(Struct):
    """How old pods are replaced by new ones."""

    type: Annotated[str | None, wire(1, "Recreate or RollingUpdate.")] = field("type", None)
    rolling_update: Annotated[RollingUpdateDeployment | None, wire(2, "Settings of a rolling update.")] = (
        field("rollingUpdate", None)
    )


class DeploymentSpec(Struct):
    """What a deployment should keep."""

    replicas: Annotated[
        int | None, wire(1, "Number of pods, 1 when absent.", format="int32", optional=True)
    ] = field("replicas", None)
    selector: Annotated[
        LabelSelector,
        wire(2, "Which replica sets are the deployment's; the template's labels must match.", required=True),
    ] = needed("selector", workload.ABSENT)
    template: Annotated[PodTemplateSpec, wire(3, "How the pods are made.", required=True)] = needed(
        "template", PodTemplateSpec()
    )
    strategy: Annotated[
        DeploymentStrategy | None, wire(4, "How old pods are replaced.", strategy="retainKeys")
    ] = field("strategy", None)
    min_ready_seconds: Annotated[
        int | None, wire(5, "Seconds a pod must be ready to count as available.", format="int32")
    ] = field("minReadySeconds", None)
    revision_history_limit: Annotated[
        int | None,
        wire(
            6, "Old replica sets that are kept to go back to, 10 when absent.", format="int32", optional=True
        ),
    ] = field("revisionHistoryLimit", None)
    paused: Annotated[bool | None, wire(7, "Whether changes of the template wait.")] = field("paused", None)
    progress_deadline_seconds: Annotated[
        int | None,
        wire(
            9,
            "Seconds without progress after which an update failed; 600 when absent.",
            format="int32",
            optional=True,
        ),
    ] = field("progressDeadlineSeconds", None)


class DeploymentCondition(Struct):
    """One condition of a deployment."""

    type: Annotated[str, wire(1, "Available, Progressing or ReplicaFailure.")] = needed("type", "")
    status: Annotated[str, wire(2, "True, False or Unknown.")] = needed("status", "")
    last_update_time: Annotated[
        Time | None, wire(6, "When the condition was last written.", format="date-time")
    ] = field("lastUpdateTime", None)
    last_transition_time: Annotated[
        Time | None, wire(7, "When the status last changed.", format="date-time")
    ] = field("lastTransitionTime", None)
    reason: Annotated[str | None, wire(4, "Why, as one CamelCase word.")] = field("reason", None)
    message: Annotated[str | None, wire(5, "Why, for people.")] = field("message", None)


class DeploymentStatus(Struct):
    """What a deployment has."""

    observed_generation: Annotated[
        int | None, wire(1, "Generation the status was written for.", format="int64")
    ] = field("observedGeneration", None)
    replicas: Annotated[int | None, wire(2, "Pods that are not ending.", format="int32")] = field(
        "replicas", None
    )
    updated_replicas: Annotated[int | None, wire(3, "Pods of the newest template.", format="int32")] = field(
        "updatedReplicas", None
    )
    ready_replicas: Annotated[int | None, wire(7, "Pods that are ready.", format="int32")] = field(
        "readyReplicas", None
    )
    available_replicas: Annotated[
        int | None, wire(4, "Pods that have been ready long enough.", format="int32")
    ] = field("availableReplicas", None)
    unavailable_replicas: Annotated[
        int | None, wire(5, "Pods that are missing or not available yet.", format="int32")
    ] = field("unavailableReplicas", None)
    terminating_replicas: Annotated[int | None, wire(9, "Pods that are ending.", format="int32")] = field(
        "terminatingReplicas", None
    )
    collision_count: Annotated[
        int | None, wire(8, "Names of replica sets that were found taken.", format="int32", optional=True)
    ] = field("collisionCount", None)
    conditions: Annotated[
        list[DeploymentCondition] | None,
        wire(6, "Conditions of the deployment.", merge_key="type", list_type="map", strategy="merge"),
    ] = field("conditions", None)


class Deployment(Object):
    """Keeps equal pods running, and replaces them step by step when their template changes."""

    spec: Annotated[DeploymentSpec, wire(2, "What should be kept.", required=True)] = needed(
        "spec", DeploymentSpec()
    )
    status: Annotated[DeploymentStatus | None, wire(3, "What there is.")] = field("status", None)


_STATUS = DeploymentStatus()
_QUARTER = RollingUpdateDeployment(max_unavailable="25%", max_surge="25%")


class DeploymentRules(Rules[Deployment]):
    def default(self, obj: Deployment) -> Deployment:
        spec = obj.spec
        changes: dict[str, Any] = {}
        for name, value in (
            ("replicas", 1),
            ("revision_history_limit", 10),
            ("progress_deadline_seconds", 600),
        ):
            if getattr(spec, name) is None:
                changes[name] = value
        strategy = _defaulted(spec.strategy or DeploymentStrategy())
        if strategy != spec.strategy:
            changes["strategy"] = strategy
        template = pod_defaults.template(spec.template)
        if template is not spec.template:
            changes["template"] = template
        return replace(obj, spec=replace(spec, **changes)) if changes else obj

    def prepare_create(self, obj: Deployment) -> Deployment:
        return replace(obj, status=_STATUS)

    def validate(self, obj: Deployment) -> list[FieldError]:
        errors = ErrorList()
        spec = obj.spec
        workload.selector(spec.selector, "deployment", errors)
        workload.template(spec.template, spec.selector, "Deployment", errors)
        checks.non_negative("spec.replicas", spec.replicas, errors)
        _strategy(spec.strategy or DeploymentStrategy(), errors)
        checks.non_negative("spec.minReadySeconds", spec.min_ready_seconds, errors)
        checks.non_negative("spec.revisionHistoryLimit", spec.revision_history_limit, errors)
        deadline = spec.progress_deadline_seconds
        checks.non_negative("spec.progressDeadlineSeconds", deadline, errors)
        if deadline is not None and deadline <= (spec.min_ready_seconds or 0):
            detail = "must be greater than minReadySeconds"
            errors.append(invalid("spec.progressDeadlineSeconds", deadline, detail))
        return errors

    def warnings(self, obj: Deployment) -> list[str]:
        return pod_warnings.template(obj.spec.template, "spec.template")

    def prepare_update(self, new: Deployment, old: Deployment) -> Deployment:
        return replace(new, status=old.status)

    def validate_update(self, new: Deployment, old: Deployment) -> list[FieldError]:
        errors = ErrorList()
        workload.immutable("spec.selector", new.spec.selector, old.spec.selector, errors)
        return errors

    def spec_changed(self, new: Deployment, old: Deployment) -> bool:
        """Annotations count, too: the controller copies them to replica sets."""
        return new.spec != old.spec or new.metadata.annotations != old.metadata.annotations

    def validate_status(self, new: Deployment, old: Deployment) -> list[FieldError]:
        errors = ErrorList()
        status = new.status or _STATUS
        replicas, ready = status.replicas or 0, status.ready_replicas or 0
        rows: list[tuple[str, int | None, int | None, str]] = [
            ("observedGeneration", status.observed_generation, None, ""),
            ("replicas", status.replicas, None, ""),
            ("updatedReplicas", status.updated_replicas, replicas, "status.replicas"),
            ("readyReplicas", status.ready_replicas, replicas, "status.replicas"),
            ("availableReplicas", status.available_replicas, replicas, "status.replicas"),
            ("availableReplicas", status.available_replicas, ready, "readyReplicas"),
            ("unavailableReplicas", status.unavailable_replicas, None, ""),
            ("terminatingReplicas", status.terminating_replicas, None, ""),
            ("collisionCount", status.collision_count, None, ""),
        ]
        workload.counts(rows, errors)
        before = (old.status or _STATUS).collision_count
        if before is not None and (status.collision_count or 0) < before:
            errors.append(invalid("status.collisionCount", status.collision_count, "cannot be decremented"))
        return errors


def _defaulted(strategy: DeploymentStrategy) -> DeploymentStrategy:
    if not strategy.type:
        strategy = replace(strategy, type=ROLLING_UPDATE)
    if strategy.type != ROLLING_UPDATE:
        return strategy
    rolling = strategy.rolling_update or _QUARTER
    if rolling.max_unavailable is None:
        rolling = replace(rolling, max_unavailable=_QUARTER.max_unavailable)
    if rolling.max_surge is None:
        rolling = replace(rolling, max_surge=_QUARTER.max_surge)
    return replace(strategy, rolling_update=rolling)


def _strategy(strategy: DeploymentStrategy, errors: list[FieldError]) -> None:
    path = "spec.strategy"
    rolling = strategy.rolling_update
    checks.one_of(f"{path}.type", strategy.type, (RECREATE, ROLLING_UPDATE), errors)
    if strategy.type == RECREATE and rolling is not None:
        detail = "may not be specified when strategy `type` is 'Recreate'"
        errors.append(forbidden(f"{path}.rollingUpdate", detail))
    if strategy.type != ROLLING_UPDATE:
        return
    if rolling is None:
        errors.append(required(f"{path}.rollingUpdate", "this should be defaulted and never be nil"))
        return
    at = f"{path}.rollingUpdate"
    workload.amount(f"{at}.maxUnavailable", rolling.max_unavailable, errors)
    workload.amount(f"{at}.maxSurge", rolling.max_surge, errors)
    if workload.zero(rolling.max_unavailable) and workload.zero(rolling.max_surge):
        errors.append(
            invalid(f"{at}.maxUnavailable", rolling.max_unavailable, "may not be 0 when `maxSurge` is 0")
        )
    workload.at_most_all(f"{at}.maxUnavailable", rolling.max_unavailable, errors)


def cells(obj: Deployment, now: float) -> list[Any]:
    spec, status = obj.spec, obj.status or _STATUS
    return [
        obj.metadata.name or "",
        f"{status.ready_replicas or 0}/{spec.replicas or 0}",
        status.updated_replicas or 0,
        status.available_replicas or 0,
        age(obj.metadata.creation_timestamp, now),
        *containers(spec.template),
        selector(spec.selector),
    ]


DEPLOYMENT = Kind(
    Deployment,
    group="apps",
    resource="deployments",
    short_names=("deploy",),
    categories=("all",),
    subresources=("status", "scale"),
    columns=(
        NAME,
        Column("Ready", "string", "Pods that are ready, of those that should be."),
        Column("Up-to-date", "integer", "Pods of the newest template."),
        Column("Available", "integer", "Pods that have been ready long enough."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
    cells=cells,
    rules=DeploymentRules(),
)
