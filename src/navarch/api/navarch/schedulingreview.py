# SPDX-License-Identifier: GPL-3.0-or-later
"""The SchedulingReview kind (Navarch's own): a dry run of the scheduler, with reasons.

Posted and answered; nothing is stored and nothing is bound.
"""

from typing import Annotated

from msgspec.structs import replace

from navarch.api.core.node.node import NODE, Node
from navarch.api.core.pod import validation as pod_validation
from navarch.api.core.pod.pod import POD, Pod
from navarch.api.core.pod.spec import PodSpec
from navarch.api.machinery import checks
from navarch.api.machinery.errors import (
    ErrorList,
    FieldError,
    required,
)
from navarch.api.machinery.fields import Struct, field, needed, wire
from navarch.api.machinery.meta import Object
from navarch.api.machinery.scheme import Kind, Rules

#: Of one review: every pod is weighed against every node, and answered with a line for each.
MAX_PODS, MAX_NODES = 1000, 5000


class SchedulingReviewSpec(Struct):
    """The pods in question, in the order they would be scheduled, and how the cluster is other than now."""

    pods: Annotated[
        list[Pod] | None,
        wire(1, "Pods as they would be created; each counts for those after it.", list_type="atomic"),
    ] = field("pods", None)
    pod_names: Annotated[
        list[str] | None, wire(2, "Names of pods that exist in the namespace.", list_type="atomic")
    ] = field("podNames", None)
    add_nodes: Annotated[
        list[Node] | None,
        wire(3, "Nodes to reckon with as if they had joined, ready and empty.", list_type="atomic"),
    ] = field("addNodes", None)
    remove_nodes: Annotated[
        list[str] | None,
        wire(4, "Names of nodes to leave out as if they had gone.", list_type="atomic"),
    ] = field("removeNodes", None)
    cordon_nodes: Annotated[
        list[str] | None,
        wire(5, "Names of nodes to treat as unschedulable.", list_type="atomic"),
    ] = field("cordonNodes", None)
    uncordon_nodes: Annotated[
        list[str] | None,
        wire(6, "Names of nodes to treat as schedulable.", list_type="atomic"),
    ] = field("uncordonNodes", None)


class NodeVerdict(Struct):
    """What one node is for one pod."""

    name: Annotated[str, wire(1, "Name of the node.", required=True)] = needed("name", "")
    feasible: Annotated[bool, wire(2, "Whether the pod could run there.", required=True)] = needed(
        "feasible", False
    )
    score: Annotated[float | None, wire(3, "How well it suits; the highest wins.", format="double")] = field(
        "score", None
    )
    reasons: Annotated[list[str] | None, wire(4, "Why the pod cannot run there.", list_type="atomic")] = (
        field("reasons", None)
    )


class Placement(Struct):
    """The answer for one pod."""

    pod: Annotated[str, wire(1, "Name of the pod.", required=True)] = needed("pod", "")
    node_name: Annotated[str, wire(2, "Node it would go to; empty when there is none.", required=True)] = (
        needed("nodeName", "")
    )
    score: Annotated[float | None, wire(3, "Score of that node.", format="double")] = field("score", None)
    message: Annotated[str | None, wire(4, "Why there is no node, for people.")] = field("message", None)
    nodes: Annotated[list[NodeVerdict] | None, wire(5, "All nodes looked at.", list_type="atomic")] = field(
        "nodes", None
    )


class SchedulingReviewStatus(Struct):
    """The answer."""

    placements: Annotated[
        list[Placement] | None, wire(1, "One answer a pod, in the order of the request.", list_type="atomic")
    ] = field("placements", None)


class SchedulingReview(Object):
    """Asks where pods would go."""

    spec: Annotated[SchedulingReviewSpec, wire(2, "The pods in question.", required=True)] = field(
        "spec", SchedulingReviewSpec()
    )
    status: Annotated[SchedulingReviewStatus | None, wire(3, "The answer.")] = field("status", None)


class SchedulingReviewRules(Rules[SchedulingReview]):
    def default(self, obj: SchedulingReview) -> SchedulingReview:
        spec = obj.spec
        pods = [POD.rules.default(pod) for pod in spec.pods or ()]
        nodes = [NODE.rules.default(node) for node in spec.add_nodes or ()]
        return replace(obj, spec=replace(spec, pods=pods or None, add_nodes=nodes or None))

    def validate(self, obj: SchedulingReview) -> list[FieldError]:
        """Pods and nodes of a review must be valid: the scheduler computes with them."""
        spec, errors = obj.spec, ErrorList()
        if not spec.pods and not spec.pod_names:
            errors.append(required("spec", "at least one of pods and podNames must be given"))
        for i, pod in enumerate(spec.pods or ()):
            pod_validation.spec(pod.spec or PodSpec(), f"spec.pods[{i}].spec", errors)
            checks.labels(f"spec.pods[{i}].metadata.labels", pod.metadata.labels, errors)
        for i, node in enumerate(spec.add_nodes or ()):
            at = f"spec.addNodes[{i}]"
            checks.subdomain(f"{at}.metadata.name", node.metadata.name, errors)
            checks.labels(f"{at}.metadata.labels", node.metadata.labels, errors)
            errors += (replace(error, path=f"{at}.{error.path}") for error in NODE.rules.validate(node))
        for name, limit, given in (
            ("pods", MAX_PODS, spec.pods),
            ("podNames", MAX_PODS, spec.pod_names),
            ("addNodes", MAX_NODES, spec.add_nodes),
            ("removeNodes", MAX_NODES, spec.remove_nodes),
            ("cordonNodes", MAX_NODES, spec.cordon_nodes),
            ("uncordonNodes", MAX_NODES, spec.uncordon_nodes),
        ):
            if len(given or ()) > limit:
                errors.append(FieldError(f"spec.{name}", "FieldValueTooMany", f"at most {limit}"))
        return errors


SCHEDULING_REVIEW = Kind(
    SchedulingReview,
    group="scheduling.navarch.io",
    version="v1alpha1",
    resource="schedulingreviews",
    verbs=("create",),
    rules=SchedulingReviewRules(),
    stored=False,
)
