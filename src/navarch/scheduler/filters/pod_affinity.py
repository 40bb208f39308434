# SPDX-License-Identifier: GPL-3.0-or-later
"""Required pod affinity: in every place that the terms name there must be a pod that meets all of them.

The first pod of a group that wants to be together would wait for ever: one that meets its own terms may go
anywhere while no other pod matches (the reference's rule).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from navarch.scheduler.equivalence_class import EquivalenceClass
from navarch.scheduler.framework import Scope
from navarch.scheduler.snapshot import Bools, Rows, Snapshot


class PodAffinity:
    name: ClassVar[str] = "InterPodAffinity"
    scope: ClassVar[Scope] = Scope.CLUSTER

    def applies(self, eclass: EquivalenceClass, snapshot: Snapshot) -> bool:
        return bool(eclass.near)

    def mask(self, eclass: EquivalenceClass, snapshot: Snapshot, rows: Rows) -> Bools:
        groups = tuple(term.group for term in eclass.near)
        pods = snapshot.pod_counts.pods(groups, snapshot.rows)
        placed: Bools = np.ones(snapshot.rows, np.bool_)
        near = placed.copy()
        anywhere = False
        for term in eclass.near:
            found = snapshot.by_domain(term.key, pods)
            placed &= snapshot.domains(term.key) >= 0
            near &= found > 0
            anywhere = anywhere or bool(found.any())
        if not anywhere and snapshot.pod_counts.belongs(eclass, groups):
            return placed[rows]
        selected: Bools = (placed & near)[rows]
        return selected

    def reasons(self, eclass: EquivalenceClass, snapshot: Snapshot, row: int) -> list[str]:
        return ["node(s) didn't match pod affinity rules"]
