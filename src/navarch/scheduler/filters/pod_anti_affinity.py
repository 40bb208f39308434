# SPDX-License-Identifier: GPL-3.0-or-later
"""Required pod anti-affinity: no pod that meets a term may be in the same place."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from navarch.scheduler.framework import Scope
from navarch.scheduler.shape import Shape
from navarch.scheduler.snapshot import Bools, Rows, Snapshot


class PodAntiAffinity:
    name: ClassVar[str] = "InterPodAffinity"
    scope: ClassVar[Scope] = Scope.CLUSTER

    def applies(self, shape: Shape, snapshot: Snapshot) -> bool:
        return bool(shape.apart)

    def mask(self, shape: Shape, snapshot: Snapshot, rows: Rows) -> Bools:
        free: Bools = np.ones(snapshot.rows, np.bool_)
        for term in shape.apart:
            free &= snapshot.by_domain(term.key, snapshot.census.pods((term.group,), snapshot.rows)) == 0
        return free[rows]

    def reasons(self, shape: Shape, snapshot: Snapshot, row: int) -> list[str]:
        return ["node(s) didn't match pod anti-affinity rules"]
