# SPDX-License-Identifier: GPL-3.0-or-later
"""How many pods each replica set of a deployment may have: surge, unavailability, proportions.

Pure arithmetic. Every function returns sizes; none writes.
"""

from __future__ import annotations

from collections.abc import Sequence

from navarch.api.apps.deployment import ROLLING_UPDATE, Deployment
from navarch.api.apps.replicaset import ReplicaSet
from navarch.api.core.pod import workload


def wanted(deployment: Deployment) -> int:
    replicas = deployment.spec.replicas
    return 1 if replicas is None else replicas


def size(rs: ReplicaSet) -> int:
    return 1 if rs.spec.replicas is None else rs.spec.replicas


def available(rs: ReplicaSet) -> int:
    return (rs.status.available_replicas if rs.status else None) or 0


def active(sets: Sequence[ReplicaSet]) -> list[ReplicaSet]:
    return [rs for rs in sets if size(rs) > 0]


def rolling(deployment: Deployment) -> bool:
    strategy = deployment.spec.strategy
    return strategy is not None and strategy.type == ROLLING_UPDATE


def max_surge(deployment: Deployment) -> int:
    return _bounds(deployment)[0]


def max_unavailable(deployment: Deployment) -> int:
    return min(_bounds(deployment)[1], wanted(deployment))


def _bounds(deployment: Deployment) -> tuple[int, int]:
    """Surge, rounded up, and unavailability, rounded down. One of them is not 0, or nothing would move."""
    strategy = deployment.spec.strategy
    given = strategy.rolling_update if strategy is not None else None
    if not rolling(deployment) or given is None:
        return 0, 0
    surge = workload.pods(given.max_surge, wanted(deployment), up=True)
    unavailable = workload.pods(given.max_unavailable, wanted(deployment), up=False)
    return surge, unavailable if surge or unavailable else 1


def new_size(deployment: Deployment, new: ReplicaSet, sets: Sequence[ReplicaSet]) -> int:
    """What the new replica set may grow or shrink to now. sets: all, the new one too."""
    replicas, present = wanted(deployment), size(new)
    if not rolling(deployment) or present >= replicas:
        return replicas
    room = replicas + max_surge(deployment) - sum(map(size, sets))
    return present + max(0, min(room, replicas - present))


def old_sizes(
    deployment: Deployment, new: ReplicaSet, old: Sequence[ReplicaSet]
) -> list[tuple[ReplicaSet, int]]:
    """Old replica sets that shrink now, the oldest first, with their sizes.

    Pods that are not available go first; they cost nothing. Of the others as many go as the new replica set's
    available pods make up for.
    """
    sets = [new, *old]
    total = sum(map(size, sets))
    least = wanted(deployment) - max_unavailable(deployment)
    room = total - least - (size(new) - available(new))
    if room <= 0:
        return []
    shrunk = {id(rs): size(rs) for rs in old}
    for rs in old:
        unhealthy = max(size(rs) - available(rs), 0)
        taken = min(room, unhealthy)
        shrunk[id(rs)] -= taken
        room -= taken
    spare = sum(map(available, sets)) - least
    for rs in old:
        taken = max(0, min(spare, shrunk[id(rs)], room))
        shrunk[id(rs)] -= taken
        spare -= taken
        room -= taken
    return [(rs, shrunk[id(rs)]) for rs in old if shrunk[id(rs)] != size(rs)]


def proportional(
    deployment: Deployment, sets: Sequence[ReplicaSet], most: dict[str, int]
) -> list[tuple[ReplicaSet, int]]:
    """The deployment was scaled in mid-rollout: every active set grows or shrinks in proportion.

    most: by name, what the deployment's replicas and surge were when the set was last scaled. The largest set
    takes what rounding leaves.
    """
    replicas = wanted(deployment)
    allowed = replicas + max_surge(deployment) if replicas else 0
    change = allowed - sum(map(size, sets))
    newest_first = sorted(sets, key=lambda rs: rs.metadata.creation_timestamp or "", reverse=change > 0)
    ordered = sorted(newest_first, key=size, reverse=True)
    sized: dict[str, int] = {}
    added = 0
    for rs in ordered:
        name = rs.metadata.name or ""
        part = _part(rs, replicas, allowed, most.get(name) or 0, change - added) if change else 0
        sized[name] = size(rs) + part
        added += part
    if ordered and change != added:
        name = ordered[0].metadata.name or ""
        sized[name] = max(0, sized[name] + change - added)
    return [(rs, sized[rs.metadata.name or ""]) for rs in ordered]


def _part(rs: ReplicaSet, replicas: int, allowed: int, before: int, left: int) -> int:
    present = size(rs)
    if not present or not left:
        return 0
    if not replicas:
        return -present
    part = int(present * allowed / before + 0.5) - present if before else 0
    return min(part, left) if left > 0 else max(part, left)
