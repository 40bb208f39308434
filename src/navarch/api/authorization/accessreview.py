# SPDX-License-Identifier: GPL-3.0-or-later
"""Access reviews and rules reviews (authorization.k8s.io/v1).

Answered by the authorizer, never stored.
"""

from typing import Annotated

from navarch.api.machinery.errors import FieldError, invalid, required
from navarch.api.machinery.fields import Struct, field, needed, wire
from navarch.api.machinery.meta import LabelSelectorRequirement, Object
from navarch.api.machinery.scheme import Kind, Rules

_GROUP = "authorization.k8s.io"


class FieldSelectorRequirement(Struct):
    """One term of a field selector."""

    key: Annotated[str, wire(1, "The field.", required=True)] = needed("key", "")
    operator: Annotated[str, wire(2, "In, NotIn, Exists or DoesNotExist.", required=True)] = needed(
        "operator", ""
    )
    values: Annotated[list[str] | None, wire(3, "Values for In and NotIn.", list_type="atomic")] = field(
        "values", None
    )


class FieldSelectorAttributes(Struct):
    """Narrows a question to objects with certain fields."""

    raw_selector: Annotated[str | None, wire(1, "The selector as in a query.")] = field("rawSelector", None)
    requirements: Annotated[
        list[FieldSelectorRequirement] | None, wire(2, "The selector as terms.", list_type="atomic")
    ] = field("requirements", None)


class LabelSelectorAttributes(Struct):
    """Narrows a question to objects with certain labels."""

    raw_selector: Annotated[str | None, wire(1, "The selector as in a query.")] = field("rawSelector", None)
    requirements: Annotated[
        list[LabelSelectorRequirement] | None, wire(2, "The selector as terms.", list_type="atomic")
    ] = field("requirements", None)


class ResourceAttributes(Struct):
    """An action on a resource."""

    namespace: Annotated[str | None, wire(1, "Namespace of the action; empty is all of them.")] = field(
        "namespace", None
    )
    verb: Annotated[str | None, wire(2, "Verb, such as get or create; * is all.")] = field("verb", None)
    group: Annotated[str | None, wire(3, "API group; * is all.")] = field("group", None)
    version: Annotated[str | None, wire(4, "API version; * is all.")] = field("version", None)
    resource: Annotated[str | None, wire(5, "Resource, such as pods; * is all.")] = field("resource", None)
    subresource: Annotated[str | None, wire(6, "Subresource, such as log.")] = field("subresource", None)
    name: Annotated[str | None, wire(7, "Name of the object; empty is all.")] = field("name", None)
    field_selector: Annotated[FieldSelectorAttributes | None, wire(8, "Narrows the question by fields.")] = (
        field("fieldSelector", None)
    )
    label_selector: Annotated[LabelSelectorAttributes | None, wire(9, "Narrows the question by labels.")] = (
        field("labelSelector", None)
    )


class NonResourceAttributes(Struct):
    """An action on a path that is no resource."""

    path: Annotated[str | None, wire(1, "Path of the URL.")] = field("path", None)
    verb: Annotated[str | None, wire(2, "HTTP method in lower case.")] = field("verb", None)


class SubjectAccessReviewSpec(Struct):
    """The action, and who would do it."""

    resource_attributes: Annotated[ResourceAttributes | None, wire(1, "An action on a resource.")] = field(
        "resourceAttributes", None
    )
    non_resource_attributes: Annotated[NonResourceAttributes | None, wire(2, "An action on a path.")] = field(
        "nonResourceAttributes", None
    )
    user: Annotated[str | None, wire(3, "Name of the user.")] = field("user", None)
    groups: Annotated[list[str] | None, wire(4, "Groups of the user.", list_type="atomic")] = field(
        "groups", None
    )
    extra: Annotated[dict[str, list[str]] | None, wire(5, "What else is known of the user.")] = field(
        "extra", None
    )
    uid: Annotated[str | None, wire(6, "UID of the user.")] = field("uid", None)


class SubjectAccessReviewStatus(Struct):
    """The authorizer's answer."""

    allowed: Annotated[bool, wire(1, "Whether it may be done.", required=True)] = needed("allowed", False)
    denied: Annotated[bool | None, wire(4, "Whether it is forbidden outright.")] = field("denied", None)
    reason: Annotated[str | None, wire(2, "Why, for people.")] = field("reason", None)
    evaluation_error: Annotated[str | None, wire(3, "What went wrong on the way to the answer.")] = field(
        "evaluationError", None
    )


class SubjectAccessReview(Object):
    """Asks whether somebody may do something."""

    spec: Annotated[SubjectAccessReviewSpec, wire(2, "The action in question.", required=True)] = field(
        "spec", SubjectAccessReviewSpec()
    )
    status: Annotated[SubjectAccessReviewStatus | None, wire(3, "The answer.")] = field("status", None)


class LocalSubjectAccessReview(Object):
    """Asks whether somebody may do something in one namespace."""

    spec: Annotated[SubjectAccessReviewSpec, wire(2, "The action in question.", required=True)] = field(
        "spec", SubjectAccessReviewSpec()
    )
    status: Annotated[SubjectAccessReviewStatus | None, wire(3, "The answer.")] = field("status", None)


class SelfSubjectAccessReviewSpec(Struct):
    """The action; who would do it is who asks."""

    resource_attributes: Annotated[ResourceAttributes | None, wire(1, "An action on a resource.")] = field(
        "resourceAttributes", None
    )
    non_resource_attributes: Annotated[NonResourceAttributes | None, wire(2, "An action on a path.")] = field(
        "nonResourceAttributes", None
    )


class SelfSubjectAccessReview(Object):
    """Asks whether oneself may do something (`kubectl auth can-i`)."""

    spec: Annotated[SelfSubjectAccessReviewSpec, wire(2, "The action in question.", required=True)] = field(
        "spec", SelfSubjectAccessReviewSpec()
    )
    status: Annotated[SubjectAccessReviewStatus | None, wire(3, "The answer.")] = field("status", None)


class ResourceRule(Struct):
    """Verbs that are allowed on resources."""

    verbs: Annotated[list[str] | None, wire(1, "Verbs; * is all.", list_type="atomic", required=True)] = (
        field("verbs", None)
    )
    api_groups: Annotated[list[str] | None, wire(2, "API groups; * is all.", list_type="atomic")] = field(
        "apiGroups", None
    )
    resources: Annotated[list[str] | None, wire(3, "Resources; * is all.", list_type="atomic")] = field(
        "resources", None
    )
    resource_names: Annotated[
        list[str] | None, wire(4, "Names of objects; empty is all.", list_type="atomic")
    ] = field("resourceNames", None)


class NonResourceRule(Struct):
    """Verbs that are allowed on paths."""

    verbs: Annotated[list[str] | None, wire(1, "Verbs; * is all.", list_type="atomic", required=True)] = (
        field("verbs", None)
    )
    non_resource_urls: Annotated[
        list[str] | None, wire(2, "Paths; a * may stand at the end.", list_type="atomic")
    ] = field("nonResourceURLs", None)


class SelfSubjectRulesReviewSpec(Struct):
    """Where to look."""

    namespace: Annotated[str | None, wire(1, "Namespace to look in.")] = field("namespace", None)


class SubjectRulesReviewStatus(Struct):
    """What may be done."""

    resource_rules: Annotated[
        list[ResourceRule] | None,
        wire(1, "What may be done to resources.", list_type="atomic", required=True),
    ] = needed("resourceRules", [])
    non_resource_rules: Annotated[
        list[NonResourceRule] | None, wire(2, "What may be done to paths.", list_type="atomic", required=True)
    ] = needed("nonResourceRules", [])
    incomplete: Annotated[bool, wire(3, "Whether more may be allowed than is listed.", required=True)] = (
        needed("incomplete", False)
    )
    evaluation_error: Annotated[str | None, wire(4, "What went wrong on the way to the answer.")] = field(
        "evaluationError", None
    )


class SelfSubjectRulesReview(Object):
    """Asks what oneself may do in a namespace (`kubectl auth can-i --list`)."""

    spec: Annotated[SelfSubjectRulesReviewSpec, wire(2, "Where to look.", required=True)] = field(
        "spec", SelfSubjectRulesReviewSpec()
    )
    status: Annotated[SubjectRulesReviewStatus | None, wire(3, "What may be done.")] = field("status", None)


def _one_question(spec: SubjectAccessReviewSpec | SelfSubjectAccessReviewSpec) -> list[FieldError]:
    if spec.resource_attributes is not None and spec.non_resource_attributes is not None:
        return [
            invalid(
                "spec.nonResourceAttributes",
                None,
                "cannot be specified in combination with resourceAttributes",
            )
        ]
    if spec.resource_attributes is None and spec.non_resource_attributes is None:
        return [
            invalid(
                "spec.resourceAttributes",
                None,
                "exactly one of resourceAttributes and nonResourceAttributes must be given",
            )
        ]
    return []


class SelfRules(Rules[SelfSubjectAccessReview]):
    def validate(self, obj: SelfSubjectAccessReview) -> list[FieldError]:
        return _one_question(obj.spec)


class SubjectRules(Rules[SubjectAccessReview]):
    def validate(self, obj: SubjectAccessReview) -> list[FieldError]:
        return _one_question(obj.spec) + _somebody(obj.spec)


class LocalRules(Rules[LocalSubjectAccessReview]):
    def validate(self, obj: LocalSubjectAccessReview) -> list[FieldError]:
        found = _one_question(obj.spec) + _somebody(obj.spec)
        requested = obj.spec.resource_attributes
        if requested is not None and requested.namespace != obj.metadata.namespace:
            why = f"must match metadata.namespace: {obj.metadata.namespace}"
            found.append(invalid("spec.resourceAttributes.namespace", requested.namespace, why))
        if obj.spec.non_resource_attributes is not None:
            found.append(invalid("spec.nonResourceAttributes", None, "disallowed on this kind of request"))
        return found


def _somebody(spec: SubjectAccessReviewSpec) -> list[FieldError]:
    return (
        []
        if spec.user or spec.groups
        else [required("spec.user", "at least one of user or group must be specified")]
    )


SUBJECT_ACCESS_REVIEW = Kind(
    SubjectAccessReview,
    group=_GROUP,
    resource="subjectaccessreviews",
    namespaced=False,
    verbs=("create",),
    rules=SubjectRules(),
    stored=False,
)
LOCAL_SUBJECT_ACCESS_REVIEW = Kind(
    LocalSubjectAccessReview,
    group=_GROUP,
    resource="localsubjectaccessreviews",
    verbs=("create",),
    rules=LocalRules(),
    stored=False,
)
SELF_SUBJECT_ACCESS_REVIEW = Kind(
    SelfSubjectAccessReview,
    group=_GROUP,
    resource="selfsubjectaccessreviews",
    namespaced=False,
    verbs=("create",),
    rules=SelfRules(),
    stored=False,
)
SELF_SUBJECT_RULES_REVIEW = Kind(
    SelfSubjectRulesReview,
    group=_GROUP,
    resource="selfsubjectrulesreviews",
    namespaced=False,
    verbs=("create",),
    stored=False,
)
