# SPDX-License-Identifier: GPL-3.0-or-later
"""The required anti-affinity of pods that sit already: it keeps others away from their places, too."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from navarch.scheduler.framework import Scope
from navarch.scheduler.shape import Shape
from navarch.scheduler.snapshot import Bools, Rows, Snapshot


class StandingAntiAffinity:
    name: ClassVar[str] = "InterPodAffinity"
    scope: ClassVar[Scope] = Scope.CLUSTER

    def applies(self, shape: Shape, snapshot: Snapshot) -> bool:
        return bool(snapshot.census.forbidding(shape, snapshot.rows))

    def mask(self, shape: Shape, snapshot: Snapshot, rows: Rows) -> Bools:
        free: Bools = np.ones(snapshot.rows, np.bool_)
        for bond in snapshot.census.forbidding(shape, snapshot.rows):
            free &= snapshot.by_domain(bond.key, bond.holders) == 0
        return free[rows]

    def reasons(self, shape: Shape, snapshot: Snapshot, row: int) -> list[str]:
        return ["node(s) didn't satisfy existing pods anti-affinity rules"]
