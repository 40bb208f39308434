# SPDX-License-Identifier: GPL-3.0-or-later
"""The fewer PreferNoSchedule taints the pod does not tolerate, the better."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from navarch.client.views import Taint
from navarch.scheduler.equivalence_class import EquivalenceClass
from navarch.scheduler.framework import Scope
from navarch.scheduler.snapshot import Floats, Rows, Snapshot


def _disliked(eclass: EquivalenceClass, taints: tuple[Taint, ...]) -> int:
    return sum(1 for taint in taints if taint.effect == "PreferNoSchedule" and not eclass.tolerates(taint))


class PreferUntainted:
    name: ClassVar[str] = "TaintToleration"
    scope: ClassVar[Scope] = Scope.NODE
    weight: ClassVar[float] = 3.0

    def applies(self, eclass: EquivalenceClass, snapshot: Snapshot) -> bool:
        return any(_disliked(eclass, taints) for taints in snapshot.taint_sets)

    def rate(self, eclass: EquivalenceClass, snapshot: Snapshot, rows: Rows) -> Floats:
        counts = np.fromiter((_disliked(eclass, taints) for taints in snapshot.taint_sets), np.float64)
        rates: Floats = (100.0 - 100.0 * counts / max(counts.max(), 1.0))[snapshot.taint_set[rows]]
        return rates
