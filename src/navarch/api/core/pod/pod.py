# SPDX-License-Identifier: GPL-3.0-or-later
"""The Pod kind. Its parts are in podspec, podstatus, container and the files beside them."""

from typing import Annotated

from navarch.api.core.pod.columns import COLUMNS, cells
from navarch.api.core.pod.rules import PodRules
from navarch.api.core.pod.spec import PodSpec
from navarch.api.core.pod.status import PodStatus
from navarch.api.machinery.fields import field, wire
from navarch.api.machinery.meta import Object
from navarch.api.machinery.scheme import Kind


class Pod(Object):
    """Containers that run together on one node."""

    spec: Annotated[PodSpec | None, wire(2, "What the pod should be.")] = field("spec", None)
    status: Annotated[PodStatus | None, wire(3, "What the pod is, as its node last said.")] = field(
        "status", None
    )


def _spec(pod: Pod) -> PodSpec:
    return pod.spec or _SPEC


def _status(pod: Pod) -> PodStatus:
    return pod.status or _STATUS


_SPEC = PodSpec()
_STATUS = PodStatus()

POD = Kind(
    Pod,
    resource="pods",
    short_names=("po",),
    categories=("all",),
    subresources=("status", "log", "exec", "attach", "portforward", "binding", "eviction"),
    columns=COLUMNS,
    cells=cells,
    fields={
        "spec.nodeName": lambda p: _spec(p).node_name or "",
        "spec.restartPolicy": lambda p: _spec(p).restart_policy or "",
        "spec.schedulerName": lambda p: _spec(p).scheduler_name or "",
        "spec.serviceAccountName": lambda p: _spec(p).service_account_name or "",
        "spec.hostNetwork": lambda p: "true" if _spec(p).host_network else "false",
        "status.phase": lambda p: _status(p).phase or "",
        "status.podIP": lambda p: _status(p).pod_ip or "",
        "status.nominatedNodeName": lambda p: _status(p).nominated_node_name or "",
    },
    rules=PodRules(),
)
