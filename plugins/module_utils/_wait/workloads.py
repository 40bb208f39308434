# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""For which Deployment or ReplicaSet a pod was made, and whether from its newest template.

Belongs here: owner references between workloads and pods. Not here: whether a pod is ready (``_pods.state``).
"""

from __future__ import annotations

import typing as t

from .._api.client import Client, Kind

Object = t.Dict[str, t.Any]
REPLICA_SET = Kind("apps/v1", "ReplicaSet", "replicasets")
#: The label that a Deployment adds to the template of each of its ReplicaSets.
HASH = "pod-template-hash"


class NewestPods:
    """Pods of the newest templates of some workloads in a namespace.

    ``workloads``: Deployments and ReplicaSets as the API has them.
    """

    def __init__(self, client: Client, namespace: str | None, workloads: t.Iterable[Object]) -> None:
        self._client = client
        self._namespace = namespace
        self._workloads = {str(one["metadata"].get("uid")): one for one in workloads}
        self._sets: dict[str, str | None] = {}  # uid of a ReplicaSet -> uid of its Deployment

    def workload_of(self, pod: Object) -> str | None:
        """The uid of the workload that made the pod; None where it is none of these, or where the pod has an
        older template. The first pod of a Deployment's ReplicaSet costs a request.
        """
        owner = _controller(pod)
        uid = str(owner.get("uid"))
        if uid in self._workloads:
            return uid
        if owner.get("kind") != REPLICA_SET.kind:
            return None
        if uid not in self._sets:
            self._sets[uid] = self._deployment_of(str(owner["name"]), uid)
        return self._sets[uid]

    def _deployment_of(self, name: str, uid: str) -> str | None:
        found = self._client.get(REPLICA_SET, self._namespace, name)
        if found is None or found["metadata"].get("uid") != uid:
            return None
        owner = str(_controller(found).get("uid"))
        newest = self._workloads.get(owner)
        return owner if newest is not None and _template(found) == _template(newest) else None


def _controller(item: Object) -> Object:
    owners = item["metadata"].get("ownerReferences") or []
    return next((owner for owner in owners if owner.get("controller")), {})


def _template(workload: Object) -> Object:
    """As the Deployment has it, without the label that its ReplicaSet adds."""
    template = (workload.get("spec") or {}).get("template") or {}
    metadata = template.get("metadata") or {}
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key != HASH}
    named = {key: value for key, value in metadata.items() if key != "creationTimestamp"}
    return dict(template, metadata=dict(named, labels=labels))
