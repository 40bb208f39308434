# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers a SchedulingReview: where pods would go on the cluster as it is or with other nodes, and why not
elsewhere. Changes nothing."""

from __future__ import annotations

import asyncio

import msgspec

from navarch.api.core.node.node import NODE
from navarch.api.core.pod.pod import POD, Pod
from navarch.api.machinery import decoders
from navarch.api.machinery.errors import bad_request
from navarch.api.navarch.schedulingreview import (
    NodeVerdict,
    Placement,
    SchedulingReview,
    SchedulingReviewSpec,
    SchedulingReviewStatus,
)
from navarch.client.base import Client
from navarch.scheduler.equivalence_class import EquivalenceClass, EquivalenceClasses
from navarch.scheduler.evaluator import Evaluator
from navarch.scheduler.scheduler import Scheduler
from navarch.scheduler.snapshot import Snapshot
from navarch.scheduler.views import NodeRow, PodRow


async def review(scheduler: Scheduler, client: Client, request: SchedulingReview) -> SchedulingReview:
    """The request with its status filled. Pods are placed one after another, each seeing those before it.

    Raises StatusError: 400 when no pod is named or a node is named wrongly, 404 for a pod that is not there.
    """
    spec = request.spec
    namespace = request.metadata.namespace or "default"
    pods = list(spec.pods or ())
    for name in spec.pod_names or ():
        pods.append(await client.get(Pod, name, namespace))
    if not pods:
        raise bad_request("spec.pods or spec.podNames must name at least one pod")
    snapshot = scheduler.snapshot.copy()
    _suppose(spec, snapshot)
    evaluator = Evaluator(snapshot)
    eclasses = EquivalenceClasses()
    placements = []
    for pod in pods:
        # The copy is ours: others may be served between two pods.
        await asyncio.sleep(0)
        row = decoders.of(PodRow).decode(POD.encode(POD.rules.default(pod)))
        if not row.metadata.namespace:
            row = msgspec.structs.replace(
                row, metadata=msgspec.structs.replace(row.metadata, namespace=namespace)
            )
        placements.append(
            _place(pod, eclasses.of(row, node_name=row.spec.node_name or ""), snapshot, evaluator)
        )
    return msgspec.structs.replace(request, status=SchedulingReviewStatus(placements=placements))


def _suppose(spec: SchedulingReviewSpec, snapshot: Snapshot) -> None:
    """Adds to the snapshot, takes from it and cordons what the request says."""
    for node in spec.add_nodes or ():
        name = node.metadata.name
        if not name or _there(snapshot, name):
            raise bad_request(f"spec.addNodes: a new node needs a name of its own, not {name!r}")
        snapshot.set_node(decoders.of(NodeRow).decode(NODE.encode(NODE.rules.default(node))))
    named = (
        ("removeNodes", spec.remove_nodes),
        ("cordonNodes", spec.cordon_nodes),
        ("uncordonNodes", spec.uncordon_nodes),
    )
    for field, names in named:
        for name in names or ():
            if not _there(snapshot, name):
                raise bad_request(f"spec.{field}: there is no node {name}")
            if field == "removeNodes":
                snapshot.remove_node(name)
            else:
                snapshot.set_schedulable(name, field == "uncordonNodes")


def _there(snapshot: Snapshot, name: str) -> bool:
    row = snapshot.index.get(name)
    return row is not None and bool(snapshot.exists[row])


def _place(pod: Pod, eclass: EquivalenceClass, snapshot: Snapshot, evaluator: Evaluator) -> Placement:
    name = pod.metadata.name or pod.metadata.generate_name or ""
    rates = evaluator.rates(eclass)
    refusals = evaluator.refusals(eclass)
    verdicts = [
        NodeVerdict(
            name=snapshot.names[row],
            feasible=bool(rates[row] >= 0),
            score=round(float(rates[row]), 2) if rates[row] >= 0 else None,
            reasons=refusals.get(row),
        )
        for row in range(snapshot.rows)
        if snapshot.exists[row]
    ]
    verdicts.sort(key=lambda verdict: (-(verdict.score if verdict.score is not None else -1.0), verdict.name))
    picked = evaluator.pick(eclass)
    if picked is None:
        return Placement(pod=name, node_name="", message=evaluator.explain(eclass), nodes=verdicts)
    score = round(float(rates[picked]), 2)
    node = snapshot.names[picked]
    snapshot.take(node, eclass)
    return Placement(pod=name, node_name=node, score=score, message="", nodes=verdicts)
