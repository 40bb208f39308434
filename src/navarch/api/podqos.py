# SPDX-License-Identifier: GPL-3.0-or-later
"""The quality of service class of a pod: who is evicted first when a node runs short.

The rules are those of the reference's "Pod Quality of Service Classes".
"""

from __future__ import annotations

from navarch.api.checks import order
from navarch.api.container import ResourceRequirements
from navarch.api.podspec import PodSpec

_COUNTED = ("cpu", "memory")


def qos_class(spec: PodSpec) -> str:
    """Guaranteed when every container is limited to what it requests, BestEffort when nothing is said.

    All between is Burstable. Where the pod as a whole has resources, these alone count (KEP-2837).
    """
    if spec.resources is not None and (spec.resources.limits or spec.resources.requests):
        return _class([spec.resources])
    return _class([c.resources for c in spec.containers] + [c.resources for c in spec.init_containers or ()])


def _class(given: list[ResourceRequirements | None]) -> str:
    anything = False
    guaranteed = True
    for r in given:
        requests = (r.requests if r is not None else None) or {}
        limits = (r.limits if r is not None else None) or {}
        for name in _COUNTED:
            request, limit = requests.get(name), limits.get(name)
            has_limit = limit is not None and limit != "0" and order(limit, "0") > 0
            has_request = request is not None and request != "0" and order(request, "0") > 0
            anything = anything or has_limit or has_request
            if limit is None or request is None or not has_limit or order(limit, request):
                guaranteed = False
    if not anything:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"
