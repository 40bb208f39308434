# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Binding a pod to a node, and asking the scheduler for a plan."""

from __future__ import annotations

import typing as t

from .client import NODE, POD, SCHEDULING_REVIEW, Client
from .errors import ClusterError, OptionError, StatusError
from .podspec import metadata_to_api, spec_to_api
from .resource import Outcome, definition


def bind(client: Client, namespace: str, name: str, node: str) -> dict[str, t.Any]:
    """Makes sure that the pod is bound to the node. What is bound elsewhere stays there, and is an error."""
    for attempt in range(2):
        live = client.get(POD, namespace, name)
        if live is None:
            raise OptionError("pod", "there is no pod %s in namespace %s" % (name, namespace))
        where = live["spec"].get("nodeName")
        if where == node:
            return Outcome(POD, namespace, name, live, live).result("pod")
        if where:
            raise OptionError(
                "node", "pod %s is bound to node %s already, and a binding is for good" % (name, where)
            )
        if live["metadata"].get("deletionTimestamp"):
            raise OptionError("pod", "pod %s is being deleted" % name)
        if client.get(NODE, None, node) is None:  # the API itself binds to nodes that are not there
            raise OptionError("node", "there is no node %s" % node)
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name, "namespace": namespace},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        try:
            client.create(POD, namespace, binding, sub="binding", name=name)
        except StatusError as problem:
            if problem.code == 409 and attempt == 0:
                continue  # bound in the meantime, maybe to this very node
            raise
        bound = dict(live, spec=dict(live["spec"], nodeName=node))
        after = bound if client.dry_run else client.get(POD, namespace, name)
        return Outcome(POD, namespace, name, live, after or bound).result("pod")
    raise ClusterError("pod %s keeps being changed by somebody else" % name)


def plan(client: Client, params: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Where the scheduler would put the pods that the options name or describe. Changes nothing."""
    namespace = params["namespace"]
    asked: dict[str, t.Any]
    if params["pod"]:
        asked = {"podNames": [params["pod"]]}
    else:
        if params["replicas"] < 1:
            raise OptionError("replicas", "at least one pod must be asked for")
        if not params["template"].get("containers"):
            raise OptionError("template.containers", "a pod needs at least one container")
        metadata, spec = (
            metadata_to_api(params["template"], "template"),
            spec_to_api(params["template"], "template"),
        )
        asked = {
            "pods": [
                definition(POD, "plan-%d" % n, namespace, metadata, spec)
                for n in range(1, params["replicas"] + 1)
            ]
        }
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
        if problem.code == 404 and params["pod"] and client.get(POD, namespace, params["pod"]) is None:
            raise OptionError(
                "pod", "there is no pod %s in namespace %s" % (params["pod"], namespace)
            ) from None
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
