# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Nodes: their labels and taints, whether they take pods, and emptying them by eviction.

Source of what a drain leaves alone: the API reference on evictions, and what administrators know from
kubectl.
"""

from __future__ import annotations

import time
import typing as t
from concurrent.futures import ThreadPoolExecutor

from .._api.client import LEASE, NODE, NODE_REVOCATION, POD, Client
from .._api.errors import ClusterError, OptionError, StatusError, WaitError
from .._module.args import Spec, merge, wait_spec
from .._module.fields import argument_spec, members, text, to_api
from .._pods.spec import metadata_to_api
from .._pods.state import Verdict
from .._wait.waiting import Follower
from .present import Outcome, absent, definition, everything_mutable, present

Object = t.Dict[str, t.Any]
MIRROR = "kubernetes.io/config.mirror"
THREADS = 8
BUDGET_SECONDS = 2.0

TAINTS = (
    members(
        "taints",
        "taints",
        text("key", "key", required=True),
        text("value", "value"),
        text("effect", "effect", required=True, choices=("NoSchedule", "PreferNoSchedule", "NoExecute")),
    ),
)


def node_spec() -> Spec:
    own: Spec = dict(
        argument_spec(TAINTS),
        name={"type": "str", "required": True},
        state={"type": "str", "choices": ["present", "drained", "absent"], "default": "present"},
        labels={"type": "dict"},
        annotations={"type": "dict"},
        schedulable={"type": "bool"},
        force={"type": "bool", "default": False},
        delete_empty_dir_data={"type": "bool", "default": False},
        delete_grace_period={"type": "int"},
    )
    return merge(own, wait_spec())


def node(client: Client, params: t.Mapping[str, t.Any]) -> Object:
    """Brings a node to the state that the options ask for."""
    name, timeout = params["name"], params["wait_timeout"]
    deadline = time.monotonic() + timeout
    if params["state"] == "absent":
        return _thrown_out(client, name, params["wait"], timeout)
    live = client.get(NODE, None, name)
    if live is None:
        raise OptionError("name", "there is no node %s; nodes come by joining the cluster" % name)
    drained = params["state"] == "drained"
    if drained and params["schedulable"]:
        raise OptionError("schedulable", "a node that is to be drained takes no pods")
    pods = _evictable(client, name, params) if drained else []
    outcome = present(client, NODE, _asked(params, drained), everything_mutable, timeout=timeout, seen=[live])
    result = outcome.result("node")
    if drained:
        try:
            if result["changed"] and not client.dry_run:
                # Some may have been bound between the first look, which can refuse, and the cordon.
                pods = _evictable(client, name, params)
            result["evicted"] = [_title(pod) for pod in pods]
            result["changed"] = result["changed"] or bool(pods)
            _evict(client, pods, params["delete_grace_period"], deadline)
            if params["wait"] and not client.dry_run:
                _emptied(client, name, pods, deadline)
        except ClusterError as problem:
            problem.details["changed"] = result["changed"]
            raise
    return result


def _thrown_out(client: Client, name: str, wait: bool, timeout: float) -> Object:
    """Has the cluster refuse what the node has, if it is one that can, and deletes the Node: in this order,
    as it would come back in between.
    """
    live = client.get(NODE, None, name)
    revoked = _revoked(client, name, live)
    result = absent(client, NODE, None, name, None, wait, timeout, seen=[live]).result("node")
    result["revocation"] = revoked.live if revoked else None
    if revoked:
        told = revoked.result("revocation")
        if told["changed"]:
            result["diff"] = [result["diff"], told["diff"]] if result["changed"] else told["diff"]
            result["changed"] = True
    return result


def _revoked(client: Client, name: str, live: Object | None) -> Outcome | None:
    """What the node got so far is refused from now on; None where the cluster has no such thing. Once is
    enough for a node that has not come back.
    """
    try:
        before = client.get(NODE_REVOCATION, None, name)
        outcome = Outcome(NODE_REVOCATION, None, name, before, before)
        if before is None:
            outcome.live = client.create(
                NODE_REVOCATION, None, definition(NODE_REVOCATION, name, None, {}, {})
            )
        elif _came_back(client, name, live, before):
            outcome.live = client.patch(NODE_REVOCATION, None, name, {"spec": {"issuedBefore": None}})
    except StatusError as problem:
        if problem.code == 404:
            return None
        raise
    return outcome


def _came_back(client: Client, name: str, live: Object | None, revocation: Object) -> bool:
    """Whether a node that was thrown out is there again, or was heard of since."""
    if live is not None and not live["metadata"].get("deletionTimestamp"):
        return True
    lease = client.get(LEASE, "kube-node-lease", name) or {}
    heard = str((lease.get("spec") or {}).get("renewTime") or "")
    return heard[:19] > str(revocation["spec"].get("issuedBefore") or "")[:19]


def _asked(params: t.Mapping[str, t.Any], drained: bool) -> Object:
    spec = to_api(TAINTS, params)
    if drained or params["schedulable"] is not None:
        spec["unschedulable"] = drained or not params["schedulable"]
    return definition(NODE, params["name"], None, metadata_to_api(params), spec)


def _evictable(client: Client, name: str, params: t.Mapping[str, t.Any]) -> list[Object]:
    """The pods that have to leave. Not those that would be put back at once, nor those that go already."""
    pods, _version = client.list(POD, fields=["spec.nodeName=" + name])
    found, alone, keeping = [], [], []
    for pod in pods:
        metadata = pod["metadata"]
        owners = [owner for owner in metadata.get("ownerReferences") or [] if owner.get("controller")]
        if MIRROR in (metadata.get("annotations") or {}) or metadata.get("deletionTimestamp"):
            continue
        if any(owner.get("kind") == "DaemonSet" for owner in owners):
            continue
        ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        if not owners and not ended:
            alone.append(_title(pod))
        if not ended and any(
            v.get("emptyDir") is not None for v in (pod.get("spec") or {}).get("volumes") or []
        ):
            keeping.append(_title(pod))
        found.append(pod)
    if alone and not params["force"]:
        raise OptionError(
            "force",
            "no controller would make these pods of node %s anew: %s (force: true evicts them too)"
            % (name, ", ".join(sorted(alone))),
        )
    if keeping and not params["delete_empty_dir_data"]:
        raise OptionError(
            "delete_empty_dir_data",
            "these pods of node %s have emptyDir volumes, whose data goes with them: %s "
            "(delete_empty_dir_data: true evicts them too)" % (name, ", ".join(sorted(keeping))),
        )
    return sorted(found, key=_title)


def _evict(client: Client, pods: list[Object], grace: int | None, deadline: float) -> None:
    """Asks every pod to leave. A budget that does not allow it yet (429) is asked again until then."""

    def evict(pod: Object) -> str | None:
        metadata = pod["metadata"]
        options: Object = {"preconditions": {"uid": metadata["uid"]}}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
            "deleteOptions": options,
        }
        while True:
            try:
                name, namespace = metadata["name"], metadata["namespace"]
                client.create(POD, namespace, eviction, "eviction", name, repeatable=True)  # of this uid
            except StatusError as problem:
                if problem.code == 404 and not problem.reason:  # a cluster that does not evict
                    client.delete(POD, metadata["namespace"], metadata["name"], grace, metadata["uid"])
                elif problem.code == 429 and time.monotonic() + BUDGET_SECONDS < deadline:
                    time.sleep(BUDGET_SECONDS)
                    continue
                elif problem.code not in (404, 409):  # gone, or another of the same name by now
                    return "%s: %s" % (_title(pod), problem.said)
            return None

    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        refused = [said for said in pool.map(evict, pods) if said]
    if refused:
        raise ClusterError(
            "%d of %d pods were not evicted: %s" % (len(refused), len(pods), "; ".join(refused[:5]))
        )


def _emptied(client: Client, name: str, pods: list[Object], deadline: float) -> None:
    leaving = {pod["metadata"]["uid"] for pod in pods}

    def verdict(objects: t.Mapping[str, Object]) -> Verdict:
        left = sorted(_title(pod) for pod in objects.values() if pod["metadata"].get("uid") in leaving)
        return Verdict(done=not left, reason="pods %s are still there" % ", ".join(left[:5]))

    last, _objects = Follower(client, POD, None, fields=("spec.nodeName=" + name,)).until(verdict, deadline)
    if not last.done:
        raise WaitError("wait_timeout: node %s is not drained when the time is up: %s" % (name, last.reason))


def _title(pod: Object) -> str:
    return "%s/%s" % (pod["metadata"].get("namespace"), pod["metadata"]["name"])
