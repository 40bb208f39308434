# SPDX-License-Identifier: GPL-3.0-or-later
"""Topology spread with ScheduleAnyway: the fewer pods of its group a place holds, the better.

Pods of a controller that say nothing of their own are spread over nodes and zones (the reference's default
constraints; the group is the controller's pods).
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from navarch.scheduler.equivalence_class import EquivalenceClass, Group, Spread, Term
from navarch.scheduler.filters.topology_spread import counting, staying
from navarch.scheduler.framework import Scope
from navarch.scheduler.snapshot import Bools, Floats, Rows, Snapshot, places

_HOST = "kubernetes.io/hostname"
_ZONE = "topology.kubernetes.io/zone"


def _by_default(owner: str) -> list[Spread]:
    group = Group(owner=owner)
    return [Spread(Term(group, _HOST), max_skew=3), Spread(Term(group, _ZONE), max_skew=5)]


class SoftTopologySpread:
    name: ClassVar[str] = "PodTopologySpread"
    scope: ClassVar[Scope] = Scope.CLUSTER
    weight: ClassVar[float] = 2.0

    def applies(self, eclass: EquivalenceClass, snapshot: Snapshot) -> bool:
        return any(not spread.hard for spread in eclass.spread) or bool(eclass.owner and not eclass.spread)

    def rate(self, eclass: EquivalenceClass, snapshot: Snapshot, rows: Rows) -> Floats:
        given = [spread for spread in eclass.spread if not spread.hard]
        # Nodes that lack a label of the pod's own constraints are the last choice. A default that a node has
        # no label for counts for none: else that node would look emptier than all others.
        keys = tuple(spread.term.key for spread in given)
        cost = np.zeros(snapshot.rows)
        for spread in given or _by_default(eclass.owner):
            key = spread.term.key
            domains = snapshot.domains(key)
            if not given and (domains[rows] < 0).any():
                continue
            eligible = counting(eclass, spread, keys, snapshot)
            pods = staying(spread, snapshot)
            held = pods if key == _HOST else snapshot.by_domain(key, pods, eligible)
            weight = math.log(places(domains[rows]) + 2)
            cost += np.where(domains >= 0, held * weight + (spread.max_skew - 1), 0.0)
        ranked: Bools = np.ones(snapshot.rows, np.bool_)
        for key in keys:
            ranked &= snapshot.domains(key) >= 0
        costs, ranked = cost[rows], ranked[rows]
        rates = np.zeros(len(costs))
        if ranked.any():
            most, least = float(costs[ranked].max()), float(costs[ranked].min())
            rates[ranked] = 100.0 if most == 0 else (most + least - costs[ranked]) * (100.0 / most)
        return rates
