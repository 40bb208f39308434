# SPDX-License-Identifier: GPL-3.0-or-later
"""Placement of a pod: affinity, tolerations, topology spread."""

from typing import Annotated

from navarch.api.machinery.fields import Struct, field, needed, wire
from navarch.api.machinery.meta import LabelSelector


class NodeSelectorRequirement(Struct):
    """A condition on a node's label or field."""

    key: Annotated[str, wire(1, "Label key, or field name.", required=True)] = needed("key", "")
    operator: Annotated[str, wire(2, "In, NotIn, Exists, DoesNotExist, Gt or Lt.", required=True)] = needed(
        "operator", ""
    )
    values: Annotated[
        list[str] | None, wire(3, "Values to compare with; one number for Gt and Lt.", list_type="atomic")
    ] = field("values", None)


class NodeSelectorTerm(Struct):
    """Conditions that must all hold; an empty term matches nothing."""

    atomic = True
    match_expressions: Annotated[
        list[NodeSelectorRequirement] | None, wire(1, "Conditions on labels.", list_type="atomic")
    ] = field("matchExpressions", None)
    match_fields: Annotated[
        list[NodeSelectorRequirement] | None,
        wire(2, "Conditions on fields; metadata.name is the one there is.", list_type="atomic"),
    ] = field("matchFields", None)


class NodeSelector(Struct):
    """Terms of which one must match."""

    atomic = True
    node_selector_terms: Annotated[
        list[NodeSelectorTerm], wire(1, "The terms.", list_type="atomic", required=True)
    ] = needed("nodeSelectorTerms", [])


class PreferredSchedulingTerm(Struct):
    """A term with a weight."""

    weight: Annotated[int, wire(1, "Weight, 1 to 100.", format="int32", required=True)] = needed("weight", 0)
    preference: Annotated[NodeSelectorTerm, wire(2, "Term that a node should match.", required=True)] = (
        needed("preference", NodeSelectorTerm())
    )


class NodeAffinity(Struct):
    """Which nodes a pod must or should run on."""

    required_during_scheduling_ignored_during_execution: Annotated[
        NodeSelector | None, wire(1, "What a node must match.")
    ] = field("requiredDuringSchedulingIgnoredDuringExecution", None)
    preferred_during_scheduling_ignored_during_execution: Annotated[
        list[PreferredSchedulingTerm] | None,
        wire(2, "What a node should match, by weight.", list_type="atomic"),
    ] = field("preferredDuringSchedulingIgnoredDuringExecution", None)


class PodAffinityTerm(Struct):
    """Pods, and the topology in which to be near or far from them."""

    label_selector: Annotated[LabelSelector | None, wire(1, "Which pods are meant.")] = field(
        "labelSelector", None
    )
    namespaces: Annotated[
        list[str] | None, wire(2, "Namespaces to look in beside those selected.", list_type="atomic")
    ] = field("namespaces", None)
    topology_key: Annotated[str, wire(3, "Node label whose value says what one place is.", required=True)] = (
        needed("topologyKey", "")
    )
    namespace_selector: Annotated[
        LabelSelector | None,
        wire(4, "Namespaces to look in by label; absent and no namespaces means the pod's own."),
    ] = field("namespaceSelector", None)
    match_label_keys: Annotated[
        list[str] | None,
        wire(5, "Labels of the incoming pod whose values are added to labelSelector.", list_type="atomic"),
    ] = field("matchLabelKeys", None)
    mismatch_label_keys: Annotated[
        list[str] | None,
        wire(6, "Labels of the incoming pod whose values are excluded in labelSelector.", list_type="atomic"),
    ] = field("mismatchLabelKeys", None)


class WeightedPodAffinityTerm(Struct):
    """A term with a weight."""

    weight: Annotated[int, wire(1, "Weight, 1 to 100.", format="int32", required=True)] = needed("weight", 0)
    pod_affinity_term: Annotated[PodAffinityTerm, wire(2, "The term.", required=True)] = needed(
        "podAffinityTerm", PodAffinityTerm()
    )


class PodAffinity(Struct):
    """Which pods to be near to."""

    required_during_scheduling_ignored_during_execution: Annotated[
        list[PodAffinityTerm] | None, wire(1, "Terms that must hold.", list_type="atomic")
    ] = field("requiredDuringSchedulingIgnoredDuringExecution", None)
    preferred_during_scheduling_ignored_during_execution: Annotated[
        list[WeightedPodAffinityTerm] | None,
        wire(2, "Terms that should hold, by weight.", list_type="atomic"),
    ] = field("preferredDuringSchedulingIgnoredDuringExecution", None)


class PodAntiAffinity(Struct):
    """Which pods to be far from."""

    required_during_scheduling_ignored_during_execution: Annotated[
        list[PodAffinityTerm] | None, wire(1, "Terms that must hold.", list_type="atomic")
    ] = field("requiredDuringSchedulingIgnoredDuringExecution", None)
    preferred_during_scheduling_ignored_during_execution: Annotated[
        list[WeightedPodAffinityTerm] | None,
        wire(2, "Terms that should hold, by weight.", list_type="atomic"),
    ] = field("preferredDuringSchedulingIgnoredDuringExecution", None)


class Affinity(Struct):
    """All affinity rules of a pod."""

    node_affinity: Annotated[NodeAffinity | None, wire(1, "Rules about nodes.")] = field("nodeAffinity", None)
    pod_affinity: Annotated[PodAffinity | None, wire(2, "Pods to be near to.")] = field("podAffinity", None)
    pod_anti_affinity: Annotated[PodAntiAffinity | None, wire(3, "Pods to be far from.")] = field(
        "podAntiAffinity", None
    )


class Toleration(Struct):
    """Taints that do not keep the pod away."""

    key: Annotated[str | None, wire(1, "Taint key; absent with Exists matches every taint.")] = field(
        "key", None
    )
    operator: Annotated[str | None, wire(2, "Exists, Equal, Lt or Gt; Equal when absent.")] = field(
        "operator", None
    )
    value: Annotated[str | None, wire(3, "Taint value to match.")] = field("value", None)
    effect: Annotated[str | None, wire(4, "Effect to match; absent matches all.")] = field("effect", None)
    toleration_seconds: Annotated[
        int | None,
        wire(5, "How long a NoExecute taint is borne; absent is for ever.", format="int64", optional=True),
    ] = field("tolerationSeconds", None)


class TopologySpreadConstraint(Struct):
    """How evenly pods are spread over places."""

    max_skew: Annotated[int, wire(1, "Largest difference between places.", format="int32", required=True)] = (
        needed("maxSkew", 0)
    )
    topology_key: Annotated[str, wire(2, "Node label whose value says what one place is.", required=True)] = (
        needed("topologyKey", "")
    )
    when_unsatisfiable: Annotated[str, wire(3, "DoNotSchedule or ScheduleAnyway.", required=True)] = needed(
        "whenUnsatisfiable", ""
    )
    label_selector: Annotated[LabelSelector | None, wire(4, "Which pods are counted.")] = field(
        "labelSelector", None
    )
    min_domains: Annotated[
        int | None, wire(5, "Least number of places that count.", format="int32", optional=True)
    ] = field("minDomains", None)
    node_affinity_policy: Annotated[
        str | None, wire(6, "Honor or Ignore: whether the pod's node affinity limits the places.")
    ] = field("nodeAffinityPolicy", None)
    node_taints_policy: Annotated[
        str | None, wire(7, "Honor or Ignore: whether taints limit the places.")
    ] = field("nodeTaintsPolicy", None)
    match_label_keys: Annotated[
        list[str] | None,
        wire(8, "Labels of the incoming pod whose values select what is counted.", list_type="atomic"),
    ] = field("matchLabelKeys", None)
