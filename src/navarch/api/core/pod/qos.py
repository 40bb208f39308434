# SPDX-License-Identifier: GPL-3.0-or-later
"""The quality of service class of a pod: the order of eviction when a node runs short.

The rules are those of the reference's "Pod Quality of Service Classes".
"""

from __future__ import annotations

from navarch.api.core.pod.container import ResourceRequirements
from navarch.api.core.pod.spec import PodSpec
from navarch.api.machinery.checks import order

_COUNTED = ("cpu", "memory")


def qos_class(spec: PodSpec) -> str:
    """Guaranteed when every container is limited to what it requests, BestEffort when nothing is said.

    All between is Burstable. Where the pod as a whole has resources, these alone count (KEP-2837).
    """
    if spec.resources is not None and (spec.resources.limits or spec.resources.requests):
        return _class(spec.resources)
    containers = spec.containers if not spec.init_containers else spec.containers + spec.init_containers
    if len(containers) == 1:
        return _class(containers[0].resources)
    classes = {_class(c.resources) for c in containers}
    return classes.pop() if len(classes) == 1 else "Burstable"


def _class(r: ResourceRequirements | None) -> str:
    """The class of one set of resources."""
    if r is None or not (r.requests or r.limits):
        return "BestEffort"
    requests, limits = r.requests or {}, r.limits or {}
    anything = False
    guaranteed = True
    for name in _COUNTED:
        request, limit = requests.get(name, "0"), limits.get(name, "0")
        limited = limit != "0" and order(limit, "0") > 0
        anything = anything or limited or (request != "0" and order(request, "0") > 0)
        guaranteed = guaranteed and limited and (limit == request or order(limit, request) == 0)
    if not anything:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"
