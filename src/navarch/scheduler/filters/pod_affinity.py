# SPDX-License-Identifier: GPL-3.0-or-later
"""Required pod affinity: in every place that the terms name there must be a pod that meets all of them.

The first pod of a group that wants to be together would wait for ever: one that meets its own terms may go
anywhere while nobody else does (the reference's rule).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from navarch.scheduler.framework import Scope
from navarch.scheduler.shape import Shape
from navarch.scheduler.snapshot import Bools, Rows, Snapshot


class PodAffinity:
    name: ClassVar[str] = "InterPodAffinity"
    scope: ClassVar[Scope] = Scope.CLUSTER

    def applies(self, shape: Shape, snapshot: Snapshot) -> bool:
        return bool(shape.near)

    def mask(self, shape: Shape, snapshot: Snapshot, rows: Rows) -> Bools:
        groups = tuple(term.group for term in shape.near)
        pods = snapshot.census.pods(groups, snapshot.rows)
        placed: Bools = np.ones(snapshot.rows, np.bool_)
        near = placed.copy()
        anywhere = False
        for term in shape.near:
            found = snapshot.by_domain(term.key, pods)
            placed &= snapshot.domains(term.key) >= 0
            near &= found > 0
            anywhere = anywhere or bool(found.any())
        if not anywhere and snapshot.census.belongs(shape, groups):
            return placed[rows]
        selected: Bools = (placed & near)[rows]
        return selected

    def reasons(self, shape: Shape, snapshot: Snapshot, row: int) -> list[str]:
        return ["node(s) didn't match pod affinity rules"]
