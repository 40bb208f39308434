# SPDX-License-Identifier: GPL-3.0-or-later
"""Preferred pod affinity and anti-affinity, the pod's own and those of pods that sit already: the more weight
of what is wished to be near, and the less of what is not, the better."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from navarch.scheduler.framework import Scope
from navarch.scheduler.shape import Shape
from navarch.scheduler.snapshot import Floats, Rows, Snapshot


class PreferredPodAffinity:
    name: ClassVar[str] = "InterPodAffinity"
    scope: ClassVar[Scope] = Scope.CLUSTER
    weight: ClassVar[float] = 2.0

    def applies(self, shape: Shape, snapshot: Snapshot) -> bool:
        return bool(shape.wishes) or bool(snapshot.census.drawing(shape, snapshot.rows))

    def rate(self, shape: Shape, snapshot: Snapshot, rows: Rows) -> Floats:
        total = np.zeros(snapshot.rows)
        for term, weight in shape.wishes:
            pods = snapshot.census.pods((term.group,), snapshot.rows)
            total += weight * snapshot.by_domain(term.key, pods)
        for bond in snapshot.census.drawing(shape, snapshot.rows):
            total += bond.weight * snapshot.by_domain(bond.key, bond.holders)
        wanted = total[rows]
        if not len(wanted) or wanted.max() == wanted.min():
            return np.zeros(len(wanted))
        rates: Floats = (wanted - wanted.min()) * (100.0 / (wanted.max() - wanted.min()))
        return rates
