# SPDX-License-Identifier: GPL-3.0-or-later
"""Cpu and memory should run out together: the closer their used shares, the better."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from navarch.scheduler.equivalence_class import EquivalenceClass
from navarch.scheduler.framework import Scope
from navarch.scheduler.snapshot import CPU, MEMORY, Floats, Rows, Snapshot


class BalancedAllocation:
    name: ClassVar[str] = "BalancedAllocation"
    scope: ClassVar[Scope] = Scope.USE
    weight: ClassVar[float] = 1.0

    def applies(self, eclass: EquivalenceClass, snapshot: Snapshot) -> bool:
        return True

    def rate(self, eclass: EquivalenceClass, snapshot: Snapshot, rows: Rows) -> Floats:
        # The standard deviation of two numbers is half their distance.
        apart = np.abs(snapshot.used_share(eclass, rows, CPU) - snapshot.used_share(eclass, rows, MEMORY))
        rates: Floats = 100.0 - 50.0 * apart
        return rates
