# SPDX-License-Identifier: GPL-3.0-or-later
"""Preferred pod affinity and anti-affinity, the pod's own and those of pods that sit already: the more weight
of what is wished to be near, and the less of what is not, the better."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from navarch.scheduler.equivalence_class import EquivalenceClass
from navarch.scheduler.framework import Scope
from navarch.scheduler.snapshot import Floats, Rows, Snapshot


class PreferredPodAffinity:
    name: ClassVar[str] = "InterPodAffinity"
    scope: ClassVar[Scope] = Scope.CLUSTER
    weight: ClassVar[float] = 2.0

    def applies(self, eclass: EquivalenceClass, snapshot: Snapshot) -> bool:
        return bool(eclass.wishes) or bool(snapshot.pod_counts.drawing(eclass, snapshot.rows))

    def rate(self, eclass: EquivalenceClass, snapshot: Snapshot, rows: Rows) -> Floats:
        total = np.zeros(snapshot.rows)
        for term, weight in eclass.wishes:
            pods = snapshot.pod_counts.pods((term.group,), snapshot.rows)
            total += weight * snapshot.by_domain(term.key, pods)
        for bond in snapshot.pod_counts.drawing(eclass, snapshot.rows):
            total += bond.weight * snapshot.by_domain(bond.key, bond.holders)
        wanted = total[rows]
        if not len(wanted) or wanted.max() == wanted.min():
            return np.zeros(len(wanted))
        rates: Floats = (wanted - wanted.min()) * (100.0 / (wanted.max() - wanted.min()))
        return rates
