# SPDX-License-Identifier: GPL-3.0-or-later
"""The types every kind shares (meta/v1): object and list metadata, owner references, label selectors,
conditions.

Timestamps are RFC 3339 strings in UTC with seconds (`2026-01-31T12:00:00Z`; MicroTime with six decimals), as
on the wire: they are
copied far more often than compared. `now()` and `parse_time()` convert.
"""

from datetime import UTC, datetime
from typing import Annotated, Any

from navarch.api.machinery.fields import Struct, field, needed, wire

Time = str
MicroTime = str

#: A resource quantity as sent: `"100m"`, `"1Gi"`, `2`, `0.5`. Defaulting makes it the canonical string
#: (`api.quantity`).
Quantity = str | int | float
IntOrString = int | str


def now() -> Time:
    """The present second, as meta/v1 Time."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def now_micro() -> MicroTime:
    """The present microsecond, as meta/v1 MicroTime."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> datetime:
    """An aware datetime from an RFC 3339 string. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"no time zone in {text!r}")
    return moment


class OwnerReference(Struct):
    atomic = True
    api_version: Annotated[str, wire(5, "API version of the owner.", required=True)] = field("apiVersion", "")
    kind: Annotated[str, wire(1, "Kind of the owner.", required=True)] = field("kind", "")
    name: Annotated[str, wire(3, "Name of the owner.", required=True)] = field("name", "")
    uid: Annotated[str, wire(4, "UID of the owner.", required=True)] = field("uid", "")
    controller: Annotated[bool | None, wire(6, "Whether this owner manages the object.", optional=True)] = (
        field("controller", None)
    )
    block_owner_deletion: Annotated[
        bool | None,
        wire(7, "Whether a foreground deletion of the owner waits for this object.", optional=True),
    ] = field("blockOwnerDeletion", None)


class ManagedFieldsEntry(Struct):
    manager: Annotated[str | None, wire(1, "Who manages these fields.")] = field("manager", None)
    operation: Annotated[str | None, wire(2, "Apply or Update.")] = field("operation", None)
    api_version: Annotated[str | None, wire(3, "Version the field set is written in.")] = field(
        "apiVersion", None
    )
    time: Annotated[Time | None, wire(4, "When the entry last changed.", format="date-time")] = field(
        "time", None
    )
    fields_type: Annotated[str | None, wire(6, "Format of the field set, FieldsV1.")] = field(
        "fieldsType", None
    )
    fields_v1: Annotated[dict[str, Any] | None, wire(7, "The managed field set.")] = field("fieldsV1", None)
    subresource: Annotated[str | None, wire(8, "Subresource the fields were written through.")] = field(
        "subresource", None
    )


class ObjectMeta(Struct):
    """Metadata of every object. `resourceVersion` comes first, so that stored bytes have one fixed place for
    it."""

    resource_version: Annotated[
        str | None, wire(6, "Opaque version of the object, for optimistic locking and watches.")
    ] = field("resourceVersion", None)
    name: Annotated[str | None, wire(1, "Name, unique within the namespace and kind.")] = field("name", None)
    generate_name: Annotated[
        str | None, wire(2, "Prefix from which the server makes a unique name when no name is given.")
    ] = field("generateName", None)
    namespace: Annotated[
        str | None, wire(3, "Namespace the object lives in; empty for cluster-scoped kinds.")
    ] = field("namespace", None)
    self_link: Annotated[str | None, wire(4, "Legacy, never set.")] = field("selfLink", None)
    uid: Annotated[str | None, wire(5, "Unique over time and space, set by the server.")] = field("uid", None)
    generation: Annotated[int | None, wire(7, "Counts changes of the desired state.", format="int64")] = (
        field("generation", None)
    )
    creation_timestamp: Annotated[
        Time | None, wire(8, "When the server created the object.", format="date-time")
    ] = field("creationTimestamp", None)
    deletion_timestamp: Annotated[
        Time | None,
        wire(9, "When the object may be gone; set when deletion was requested.", format="date-time"),
    ] = field("deletionTimestamp", None)
    deletion_grace_period_seconds: Annotated[
        int | None, wire(10, "Seconds the object has to end by itself.", format="int64", optional=True)
    ] = field("deletionGracePeriodSeconds", None)
    labels: Annotated[dict[str, str] | None, wire(11, "Key-value pairs that selectors look at.")] = field(
        "labels", None
    )
    annotations: Annotated[dict[str, str] | None, wire(12, "Key-value pairs for tools; not selectable.")] = (
        field("annotations", None)
    )
    owner_references: Annotated[
        list[OwnerReference] | None,
        wire(13, "Objects this one depends on.", merge_key="uid", list_type="map", strategy="merge"),
    ] = field("ownerReferences", None)
    finalizers: Annotated[
        list[str] | None,
        wire(14, "Must be empty before the object is removed.", list_type="set", strategy="merge"),
    ] = field("finalizers", None)
    managed_fields: Annotated[
        list[ManagedFieldsEntry] | None, wire(17, "Which manager owns which fields.", list_type="atomic")
    ] = field("managedFields", None)


class ShardInfo(Struct):
    """Which part of all objects a list holds."""

    selector: Annotated[str, wire(1, "Selector of the requested part.", required=True)] = field(
        "selector", ""
    )


class ListMeta(Struct):
    self_link: Annotated[str | None, wire(1, "Legacy, never set.")] = field("selfLink", None)
    resource_version: Annotated[str | None, wire(2, "Version the list is consistent with.")] = field(
        "resourceVersion", None
    )
    continue_: Annotated[str | None, wire(3, "Token for the next page.")] = field("continue", None)
    remaining_item_count: Annotated[
        int | None, wire(4, "Items left after this page.", format="int64", optional=True)
    ] = field("remainingItemCount", None)
    shard_info: Annotated[ShardInfo | None, wire(5, "Which part of all objects the list holds.")] = field(
        "shardInfo", None
    )


class LabelSelectorRequirement(Struct):
    key: Annotated[str, wire(1, "Label key.", required=True)] = field("key", "")
    operator: Annotated[str, wire(2, "In, NotIn, Exists or DoesNotExist.", required=True)] = field(
        "operator", ""
    )
    values: Annotated[list[str] | None, wire(3, "Values for In and NotIn.", list_type="atomic")] = field(
        "values", None
    )


class LabelSelector(Struct):
    """An empty selector matches everything; an absent one nothing."""

    atomic = True
    match_labels: Annotated[dict[str, str] | None, wire(1, "Labels that must be equal.")] = field(
        "matchLabels", None
    )
    match_expressions: Annotated[
        list[LabelSelectorRequirement] | None, wire(2, "Requirements that must all hold.", list_type="atomic")
    ] = field("matchExpressions", None)


class Condition(Struct):
    type: Annotated[str, wire(1, "Name of the condition, CamelCase.", required=True)] = field("type", "")
    status: Annotated[str, wire(2, "True, False or Unknown.", required=True)] = field("status", "")
    observed_generation: Annotated[
        int | None, wire(3, "Generation the condition was set for.", format="int64")
    ] = field("observedGeneration", None)
    last_transition_time: Annotated[
        Time | None, wire(4, "When the status last changed.", format="date-time", required=True)
    ] = field("lastTransitionTime", None)
    reason: Annotated[str, wire(5, "Why, as one CamelCase word.", required=True)] = needed("reason", "")
    message: Annotated[str, wire(6, "Why, for people.", required=True)] = needed("message", "")


class Preconditions(Struct):
    uid: Annotated[str | None, wire(1, "Act only on the object with this UID.")] = field("uid", None)
    resource_version: Annotated[str | None, wire(2, "Act only on this version.")] = field(
        "resourceVersion", None
    )


class DeleteOptions(Struct):
    """Body of a DELETE. Decoded leniently; kind and apiVersion may be any."""

    kind: Annotated[str | None, wire(0, "DeleteOptions.")] = field("kind", None)
    api_version: Annotated[str | None, wire(0, "Any registered version.")] = field("apiVersion", None)
    grace_period_seconds: Annotated[
        int | None,
        wire(1, "Seconds before the object is killed; 0 is at once.", format="int64", optional=True),
    ] = field("gracePeriodSeconds", None)
    preconditions: Annotated[Preconditions | None, wire(2, "What must hold for the deletion to happen.")] = (
        field("preconditions", None)
    )
    orphan_dependents: Annotated[bool | None, wire(3, "Legacy form of propagationPolicy.", optional=True)] = (
        field("orphanDependents", None)
    )
    propagation_policy: Annotated[str | None, wire(4, "Orphan, Background or Foreground.")] = field(
        "propagationPolicy", None
    )
    dry_run: Annotated[
        list[str] | None, wire(5, "`All` runs every stage but persists nothing.", list_type="atomic")
    ] = field("dryRun", None)
    ignore_store_read_error_with_cluster_breaking_potential: Annotated[
        bool | None, wire(6, "Delete although the stored object cannot be read.")
    ] = field("ignoreStoreReadErrorWithClusterBreakingPotential", None)


class Object(Struct):
    """Base of every kind: what the registry may rely on. Kinds redeclare nothing of this; they add spec,
    status or data."""

    kind: Annotated[str | None, wire(0, "Kind of the object, CamelCase.")] = field("kind", None)
    api_version: Annotated[str | None, wire(0, "Group and version of the object's schema.")] = field(
        "apiVersion", None
    )
    metadata: Annotated[ObjectMeta, wire(1, "Standard object metadata.")] = field("metadata", ObjectMeta())
