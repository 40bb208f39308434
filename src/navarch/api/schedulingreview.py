# SPDX-License-Identifier: GPL-3.0-or-later
"""The SchedulingReview kind (Navarch's own): where the scheduler would put pods now, and why not elsewhere.

Posted and answered; nothing is stored and nothing is bound.
"""

from typing import Annotated

from navarch.api.errors import FieldError, required
from navarch.api.fields import Struct, field, needed, wire
from navarch.api.meta import Object
from navarch.api.node import Node
from navarch.api.pod import Pod
from navarch.api.scheme import Kind, Strategy


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
        list[Placement] | None, wire(1, "One answer a pod, in the order asked.", list_type="atomic")
    ] = field("placements", None)


class SchedulingReview(Object):
    """Asks where pods would go."""

    spec: Annotated[SchedulingReviewSpec, wire(2, "The pods in question.", required=True)] = field(
        "spec", SchedulingReviewSpec()
    )
    status: Annotated[SchedulingReviewStatus | None, wire(3, "The answer.")] = field("status", None)


class SchedulingReviewStrategy(Strategy[SchedulingReview]):
    def validate(self, obj: SchedulingReview) -> list[FieldError]:
        if obj.spec.pods or obj.spec.pod_names:
            return []
        return [required("spec", "at least one of pods and podNames must be given")]


SCHEDULING_REVIEW = Kind(
    SchedulingReview,
    group="scheduling.navarch.io",
    version="v1alpha1",
    resource="schedulingreviews",
    verbs=("create",),
    strategy=SchedulingReviewStrategy(),
    stored=False,
)
