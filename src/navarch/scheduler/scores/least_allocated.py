# SPDX-License-Identifier: GPL-3.0-or-later
"""The emptier a node would be with the pod on it, the better: the mean of free cpu and free memory."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from navarch.scheduler.shape import Shape
from navarch.scheduler.snapshot import Floats, Rows, Snapshot


def fractions(shape: Shape, snapshot: Snapshot, rows: Rows) -> Floats:
    """Used share of cpu and memory with the pod placed, 0 to 1, one row a node. A node that offers none of
    one is full."""
    offered = snapshot.allocatable[rows, :2]
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = (snapshot.counted[rows] + np.array(shape.nonzero)) / offered
    result: Floats = np.minimum(np.nan_to_num(shares, nan=1.0, posinf=1.0), 1.0)
    return result


class LeastAllocated:
    name: ClassVar[str] = "LeastAllocated"
    dynamic: ClassVar[bool] = True
    weight: ClassVar[float] = 1.0

    def applies(self, shape: Shape, snapshot: Snapshot) -> bool:
        return True

    def rate(self, shape: Shape, snapshot: Snapshot, rows: Rows) -> Floats:
        shares = fractions(shape, snapshot, rows)
        rates: Floats = 100.0 - 50.0 * (shares[:, 0] + shares[:, 1])
        return rates
