# SPDX-License-Identifier: GPL-3.0-or-later
"""The Pod kind. Its parts are in spec, status, container and the files beside them."""

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


_SPEC = PodSpec()
_STATUS = PodStatus()

POD = Kind(
    Pod,
    resource="pods",
    answers_deleted=True,
    short_names=("po",),
    categories=("all",),
    subresources=("status", "log", "exec", "attach", "portforward", "binding", "eviction"),
    columns=COLUMNS,
    cells=cells,
    fields={
        "spec.nodeName": lambda p: (p.spec or _SPEC).node_name or "",
        "spec.restartPolicy": lambda p: (p.spec or _SPEC).restart_policy or "",
        "spec.schedulerName": lambda p: (p.spec or _SPEC).scheduler_name or "",
        "spec.serviceAccountName": lambda p: (p.spec or _SPEC).service_account_name or "",
        "spec.hostNetwork": lambda p: "true" if (p.spec or _SPEC).host_network else "false",
        "status.phase": lambda p: (p.status or _STATUS).phase or "",
        "status.podIP": lambda p: (p.status or _STATUS).pod_ip or "",
        "status.nominatedNodeName": lambda p: (p.status or _STATUS).nominated_node_name or "",
    },
    rules=PodRules(),
)
