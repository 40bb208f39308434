# SPDX-License-Identifier: GPL-3.0-or-later
"""Cpu and memory should run out together: the closer their used shares, the better."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from navarch.scheduler.framework import Scope
from navarch.scheduler.scores.least_allocated import share
from navarch.scheduler.shape import Shape
from navarch.scheduler.snapshot import CPU, MEMORY, Floats, Rows, Snapshot


class BalancedAllocation:
    name: ClassVar[str] = "BalancedAllocation"
    scope: ClassVar[Scope] = Scope.USE
    weight: ClassVar[float] = 1.0

    def applies(self, shape: Shape, snapshot: Snapshot) -> bool:
        return True

    def rate(self, shape: Shape, snapshot: Snapshot, rows: Rows) -> Floats:
        # The standard deviation of two numbers is half their distance.
        apart = np.abs(share(shape, snapshot, rows, CPU) - share(shape, snapshot, rows, MEMORY))
        rates: Floats = 100.0 - 50.0 * apart
        return rates
