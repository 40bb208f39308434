# SPDX-License-Identifier: GPL-3.0-or-later
"""The required anti-affinity of pods that sit already: it keeps others away from their places, too."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from navarch.scheduler.equivalence_class import EquivalenceClass
from navarch.scheduler.framework import Scope
from navarch.scheduler.snapshot import Bools, Rows, Snapshot


class StandingAntiAffinity:
    name: ClassVar[str] = "InterPodAffinity"
    scope: ClassVar[Scope] = Scope.CLUSTER

    def applies(self, eclass: EquivalenceClass, snapshot: Snapshot) -> bool:
        return bool(snapshot.pod_counts.forbidding(eclass, snapshot.rows))

    def mask(self, eclass: EquivalenceClass, snapshot: Snapshot, rows: Rows) -> Bools:
        free: Bools = np.ones(snapshot.rows, np.bool_)
        for bond in snapshot.pod_counts.forbidding(eclass, snapshot.rows):
            free &= snapshot.by_domain(bond.key, bond.holders) == 0
        return free[rows]

    def reasons(self, eclass: EquivalenceClass, snapshot: Snapshot, row: int) -> list[str]:
        return ["node(s) didn't satisfy existing pods anti-affinity rules"]
