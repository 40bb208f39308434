# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Binding a pod to a node, and asking the scheduler for a plan."""

from __future__ import annotations

import re
import typing as t

from .._api.client import NODE, POD, SCHEDULING_REVIEW, Client
from .._api.errors import ClusterError, MaybeDone, OptionError, StatusError
from .._module.fields import quantities, strings, to_api
from .._pods.spec import metadata_to_api, spec_to_api
from .nodes import TAINTS
from .present import Outcome, definition, without_nulls

#: Several pods of one template are spread as those of a controller are.
_REPLICATED = {
    "apiVersion": "v1",
    "kind": "ReplicationController",
    "name": "plan",
    "uid": "plan",
    "controller": True,
}

#: How the API names a node that cannot be supposed.
_SUPPOSED = re.compile(r"^spec\.(add|remove|cordon|uncordon)Nodes: (.*)$")


def bind(client: Client, namespace: str, name: str, node: str) -> dict[str, t.Any]:
    """Makes sure that the pod is bound to the node. What is bound elsewhere stays there, and is an error."""
    unbound: dict[str, t.Any] | None = None  # the pod before a binding whose answer was lost
    for attempt in range(3):
        live = client.get(POD, namespace, name)
        if live is None and client.dry_run:
            return _bound_later(client, namespace, name, node)
        if live is None:
            raise OptionError("pod", "there is no pod %s in namespace %s" % (name, namespace))
        where = live["spec"].get("nodeName")
        if where == node:
            return Outcome(POD, namespace, name, unbound or live, live).result("pod")
        if where:
            raise OptionError(
                "node", "pod %s is bound to node %s already, and a binding is for good" % (name, where)
            )
        if live["metadata"].get("deletionTimestamp"):
            raise OptionError("pod", "pod %s is being deleted" % name)
        _hold_node(client, node)
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name, "namespace": namespace},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        try:
            client.create(POD, namespace, binding, sub="binding", name=name)
        except MaybeDone:
            if attempt == 2:
                raise
            unbound = live
            continue
        except StatusError as problem:
            if problem.code == 409 and attempt < 2:
                continue  # bound in the meantime, maybe to this very node
            raise
        bound = dict(live, spec=dict(live["spec"], nodeName=node))
        after = bound if client.dry_run else client.get(POD, namespace, name)
        return Outcome(POD, namespace, name, live, after or bound).result("pod")
    raise ClusterError("pod %s keeps being changed by somebody else" % name)


def _hold_node(client: Client, node: str) -> None:
    """The API itself binds to nodes that are not there."""
    if client.get(NODE, None, node) is None:
        raise OptionError("node", "there is no node %s" % node)


def _bound_later(client: Client, namespace: str, name: str, node: str) -> dict[str, t.Any]:
    """Check mode, in which an earlier task has not made the pod that it would make."""
    _hold_node(client, node)
    outcome = Outcome(POD, namespace, name, None, definition(POD, name, namespace, {}, {"nodeName": node}))
    outcome.warnings.append("pod %s does not exist yet, so the cluster could not check this" % name)
    return outcome.result("pod")


def _supposed(client: Client, params: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The nodes as the plan shall reckon with them, where that is other than they are."""
    made: dict[str, t.Any] = {}
    seen: dict[str, str] = {}
    for option, wire in (
        ("remove_nodes", "removeNodes"),
        ("cordon_nodes", "cordonNodes"),
        ("uncordon_nodes", "uncordonNodes"),
    ):
        if params[option]:
            made[wire] = list(dict.fromkeys(params[option]))
            both = sorted(set(made[wire]) & set(seen))
            if both:
                raise OptionError(option, "%s comes in %s too" % (both[0], seen[both[0]]))
            seen.update(dict.fromkeys(made[wire], option))
    if params["add_nodes"]:
        made["addNodes"] = [
            node
            for number, asked in enumerate(params["add_nodes"])
            for node in _new_nodes(client, asked, "add_nodes[%d]" % number)
        ]
    return made


def _new_nodes(client: Client, asked: t.Mapping[str, t.Any], where: str) -> list[dict[str, t.Any]]:
    for option in ("name", "like"):
        if asked[option] is not None and not asked[option].strip():
            raise OptionError("%s.%s" % (where, option), "must not be empty")
    labels: dict[str, str] = {}
    spec: dict[str, t.Any] = {}
    capacity: dict[str, str] = {"pods": "110"}
    if asked["like"]:
        model = client.get(NODE, None, asked["like"])
        if model is None:
            raise OptionError(where + ".like", "there is no node %s" % asked["like"])
        labels.update(model["metadata"].get("labels") or {})
        status = model.get("status") or {}
        capacity.update(status.get("allocatable") or status.get("capacity") or {})
        taints = [one for one in (model.get("spec") or {}).get("taints") or [] if not _passing(one)]
        spec.update({"taints": taints} if taints else {})
    elif not asked["capacity"]:
        raise OptionError(where, "a new node needs capacity, or another node that it is like")
    labels.update(strings(asked["labels"] or {}, where + ".labels"))
    capacity.update(quantities(asked["capacity"] or {}, where + ".capacity"))
    spec.update(to_api(TAINTS, asked, where))
    if asked["count"] < 1:
        raise OptionError(where + ".count", "must be at least 1")
    many = asked["count"] > 1
    names = ["%s-%d" % (asked["name"], n + 1) if many else asked["name"] for n in range(asked["count"])]
    return [
        definition(
            NODE,
            name,
            None,
            {"labels": dict(labels, **{"kubernetes.io/hostname": name})},
            spec,
            status={"capacity": capacity, "allocatable": capacity},
        )
        for name in names
    ]


def _passing(taint: t.Mapping[str, t.Any]) -> bool:
    """A taint that says how a node is at the moment, which a new one is not."""
    return str(taint.get("key", "")).startswith("node.kubernetes.io/")


def plan(client: Client, params: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Where the scheduler would put the pods that the options name or describe. Changes nothing."""
    namespace = params["namespace"]
    asked: dict[str, t.Any]
    names = [params["pod"]] if params["pod"] else params["pods"]
    supposed = _supposed(client, params)
    if names == []:
        return {"changed": False, "placements": []}
    if names:
        asked = {"podNames": names}
    else:
        if params["replicas"] < 1:
            raise OptionError("replicas", "at least one pod must be asked for")
        if not params["template"].get("containers"):
            raise OptionError("template.containers", "a pod needs at least one container")
        metadata, spec = (
            without_nulls(metadata_to_api(params["template"], "template")),
            spec_to_api(params["template"], "template"),
        )
        if params["replicas"] > 1:
            metadata = dict(metadata, ownerReferences=[_REPLICATED])
        asked = {
            "pods": [
                definition(POD, "plan-%d" % n, namespace, metadata, spec)
                for n in range(1, params["replicas"] + 1)
            ]
        }
    asked.update(supposed)
    kind = SCHEDULING_REVIEW
    review = {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"namespace": namespace},
        "spec": asked,
    }
    try:
        answer = client.review(kind, namespace, review)
    except StatusError as problem:
        missing = [
            name for name in names or () if problem.code == 404 and not client.get(POD, namespace, name)
        ]
        if missing and client.dry_run:
            return _planned_later(client, params, missing)
        if missing:
            option = "pod" if params["pod"] else "pods"
            raise OptionError(
                option, "there is no pod %s in namespace %s" % (", ".join(missing), namespace)
            ) from None
        named = _SUPPOSED.match(problem.said)
        if problem.code == 400 and named:
            raise OptionError(named[1] + "_nodes", named[2]) from None
        if problem.code in (404, 405):
            raise OptionError(
                "state",
                "this cluster does not plan (it has no %s of %s); a Navarch master does"
                % (kind.kind, kind.api_version),
            ) from None
        raise
    placements = (answer.get("status") or {}).get("placements") or []
    empty = {"nodeName": "", "score": None, "message": "", "nodes": []}  # the API leaves out what is empty
    return {"changed": False, "placements": [dict(empty, **placement) for placement in placements]}


def _planned_later(client: Client, params: t.Mapping[str, t.Any], missing: list[str]) -> dict[str, t.Any]:
    """Check mode, in which an earlier task has not made some of the pods: the plan of the others."""
    names = [params["pod"]] if params["pod"] else params["pods"]
    left = [name for name in names if name not in missing]
    made = plan(client, dict(params, pod=None, pods=left))
    said = "does not exist yet, so the cluster could not plan for it"
    for name in missing:
        made["placements"].append({"pod": name, "nodeName": "", "score": None, "message": said, "nodes": []})
    made["placements"].sort(key=lambda placement: names.index(placement["pod"]))
    made.setdefault("warnings", []).extend("pod %s %s" % (name, said) for name in missing)
    return made
