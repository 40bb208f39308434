# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes and pods as the scheduler sees them, made by hand."""

from __future__ import annotations

from typing import Any

import msgspec

from navarch.scheduler.equivalence_class import EquivalenceClass, EquivalenceClasses
from navarch.scheduler.evaluator import Evaluator
from navarch.scheduler.snapshot import Snapshot
from navarch.scheduler.views import NodeRow, PodRow


def node(name: str, **kw: Any) -> NodeRow:
    offered = {"cpu": kw.get("cpu", "4"), "memory": kw.get("memory", "8Gi"), "pods": kw.get("pods", "110")}
    return msgspec.convert(
        {
            "metadata": {"name": name, "labels": kw.get("labels", {})},
            "spec": {"taints": kw.get("taints"), "unschedulable": kw.get("unschedulable")},
            "status": {"allocatable": offered | kw.get("extra", {})},
        },
        NodeRow,
    )


def pod(node_name: str = "", **spec: Any) -> EquivalenceClass:
    """labels, namespace and owner (uid of the controller) are the pod's; the rest is its spec."""
    requests = {key: spec.pop(key) for key in ("cpu", "memory", "gpu") if key in spec}
    ports = [{"containerPort": 80, **port} for port in spec.pop("ports", [])]
    owner = spec.pop("owner", "")
    meta = {
        "name": "p",
        "namespace": spec.pop("namespace", "default"),
        "uid": "u",
        "labels": spec.pop("labels", {}),
        "ownerReferences": [{"uid": owner, "controller": True}] if owner else [],
    }
    body = {
        "metadata": meta,
        "spec": {"containers": [{"name": "c", "resources": {"requests": requests}, "ports": ports}], **spec},
    }
    return EquivalenceClasses().of(
        msgspec.json.decode(msgspec.json.encode(body), type=PodRow), node_name=node_name
    )


def cluster(*nodes: NodeRow) -> tuple[Snapshot, Evaluator]:
    snapshot = Snapshot()
    for one in nodes:
        snapshot.set_node(one)
    return snapshot, Evaluator(snapshot)
