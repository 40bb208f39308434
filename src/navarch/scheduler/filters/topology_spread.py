# SPDX-License-Identifier: GPL-3.0-or-later
"""Topology spread with DoNotSchedule: no place may come to hold more than maxSkew pods above the emptiest."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from navarch.scheduler.equivalence_class import EquivalenceClass, Spread
from navarch.scheduler.filters.node_affinity import NodeAffinity
from navarch.scheduler.filters.taints import Taints
from navarch.scheduler.framework import Scope
from navarch.scheduler.snapshot import Bools, Ints, Rows, Snapshot, places


def counting(eclass: EquivalenceClass, spread: Spread, keys: tuple[str, ...], snapshot: Snapshot) -> Bools:
    """The rows whose pods count and whose places are compared: they have all these labels, and the node
    affinity and, where asked, the taints would let the pod there."""

    def judge() -> Bools:
        everywhere = slice(0, snapshot.rows)
        fine: Bools = snapshot.exists[everywhere].copy()
        for key in keys:
            fine &= snapshot.domains(key) >= 0
        for honored, rule in ((spread.honor_affinity, NodeAffinity()), (spread.honor_taints, Taints())):
            if honored and rule.applies(eclass, snapshot):
                fine &= rule.mask(eclass, snapshot, everywhere)
        return fine

    return snapshot.of_nodes((eclass, spread, keys), judge)


def staying(spread: Spread, snapshot: Snapshot) -> Ints:
    """The pods that the constraint counts, a number a row; those being deleted make room already."""
    return snapshot.pod_counts.pods((spread.term.group,), snapshot.rows, staying=True)


class TopologySpread:
    name: ClassVar[str] = "PodTopologySpread"
    scope: ClassVar[Scope] = Scope.CLUSTER

    def applies(self, eclass: EquivalenceClass, snapshot: Snapshot) -> bool:
        return any(spread.hard for spread in eclass.spread)

    def mask(self, eclass: EquivalenceClass, snapshot: Snapshot, rows: Rows) -> Bools:
        hard = [spread for spread in eclass.spread if spread.hard]
        keys = tuple(spread.term.key for spread in hard)
        allowed: Bools = np.ones(snapshot.rows, np.bool_)
        for spread in hard:
            eligible = counting(eclass, spread, keys, snapshot)
            domains = snapshot.domains(spread.term.key)
            held = snapshot.by_domain(spread.term.key, staying(spread, snapshot), eligible)
            enough = places(domains[eligible]) >= spread.min_domains
            least = int(held[eligible].min()) if enough else 0
            itself = int(snapshot.pod_counts.belongs(eclass, (spread.term.group,)))
            allowed &= (domains >= 0) & (held + itself - least <= spread.max_skew)
        return allowed[rows]

    def reasons(self, eclass: EquivalenceClass, snapshot: Snapshot, row: int) -> list[str]:
        labels = snapshot.labels[row]
        lacking = any(spread.hard and spread.term.key not in labels for spread in eclass.spread)
        words = "node(s) didn't match pod topology spread constraints"
        return [f"{words} (missing required label)" if lacking else words]
