# SPDX-License-Identifier: GPL-3.0-or-later
"""Required pod anti-affinity: no pod that meets a term may be in the same place."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from navarch.scheduler.equivalence_class import EquivalenceClass
from navarch.scheduler.framework import Scope
from navarch.scheduler.snapshot import Bools, Rows, Snapshot


class PodAntiAffinity:
    name: ClassVar[str] = "InterPodAffinity"
    scope: ClassVar[Scope] = Scope.CLUSTER

    def applies(self, eclass: EquivalenceClass, snapshot: Snapshot) -> bool:
        return bool(eclass.apart)

    def mask(self, eclass: EquivalenceClass, snapshot: Snapshot, rows: Rows) -> Bools:
        free: Bools = np.ones(snapshot.rows, np.bool_)
        for term in eclass.apart:
            free &= snapshot.by_domain(term.key, snapshot.pod_counts.pods((term.group,), snapshot.rows)) == 0
        return free[rows]

    def reasons(self, eclass: EquivalenceClass, snapshot: Snapshot, row: int) -> list[str]:
        return ["node(s) didn't match pod anti-affinity rules"]
