# SPDX-License-Identifier: GPL-3.0-or-later
"""The emptier a node would be with the pod on it, the better: the mean of free cpu and free memory."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from navarch.scheduler.equivalence_class import EquivalenceClass
from navarch.scheduler.framework import Scope
from navarch.scheduler.snapshot import CPU, MEMORY, Floats, Rows, Snapshot


def share(eclass: EquivalenceClass, snapshot: Snapshot, rows: Rows, column: int) -> Floats:
    """Used share of a column (CPU, MEMORY) with the pod placed, 0 to 1, one value a row. What offers none is
    full."""
    shares: Floats = (snapshot.counted[rows, column] + eclass.nonzero[column]) * snapshot.inverse[
        rows, column
    ]
    return np.minimum(shares, 1.0, out=shares)


class LeastAllocated:
    name: ClassVar[str] = "LeastAllocated"
    scope: ClassVar[Scope] = Scope.USE
    weight: ClassVar[float] = 1.0

    def applies(self, eclass: EquivalenceClass, snapshot: Snapshot) -> bool:
        return True

    def rate(self, eclass: EquivalenceClass, snapshot: Snapshot, rows: Rows) -> Floats:
        both = share(eclass, snapshot, rows, CPU) + share(eclass, snapshot, rows, MEMORY)
        rates: Floats = 100.0 - 50.0 * both
        return rates
