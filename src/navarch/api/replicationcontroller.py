# SPDX-License-Identifier: GPL-3.0-or-later
"""The ReplicationController kind: keeps a number of equal pods running."""

from __future__ import annotations

from typing import Annotated

from navarch.api.fields import Struct, field, needed, wire
from navarch.api.meta import Object, Time
from navarch.api.podspec import PodTemplateSpec
from navarch.api.scheme import Kind


class ReplicationControllerSpec(Struct):
    """What a replication controller should keep."""

    replicas: Annotated[int | None, wire(1, "Number of pods, 1 when absent.", format="int32")] = field(
        "replicas", None
    )
    min_ready_seconds: Annotated[
        int | None, wire(4, "Seconds a pod must be ready to count as available.", format="int32")
    ] = field("minReadySeconds", None)
    selector: Annotated[dict[str, str] | None, wire(2, "Labels of the pods; the template's when absent.")] = (
        field("selector", None)
    )
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


REPLICATION_CONTROLLER = Kind(
    ReplicationController,
    resource="replicationcontrollers",
    categories=("all",),
    short_names=("rc",),
    namespaced=True,
    subresources=("status", "scale"),
)
