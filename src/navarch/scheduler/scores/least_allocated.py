# SPDX-License-Identifier: GPL-3.0-or-later
"""The emptier a node would be with the pod on it, the better: the mean of free cpu and free memory."""

from __future__ import annotations

from typing import ClassVar

from navarch.scheduler.equivalence_class import EquivalenceClass
from navarch.scheduler.framework import Scope
from navarch.scheduler.snapshot import CPU, MEMORY, Floats, Rows, Snapshot


class LeastAllocated:
    name: ClassVar[str] = "LeastAllocated"
    scope: ClassVar[Scope] = Scope.USE
    weight: ClassVar[float] = 1.0

    def applies(self, eclass: EquivalenceClass, snapshot: Snapshot) -> bool:
        return True

    def rate(self, eclass: EquivalenceClass, snapshot: Snapshot, rows: Rows) -> Floats:
        both = snapshot.used_share(eclass, rows, CPU) + snapshot.used_share(eclass, rows, MEMORY)
        rates: Floats = 100.0 - 50.0 * both
        return rates
