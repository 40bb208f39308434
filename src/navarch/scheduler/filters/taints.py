# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes with a NoSchedule or NoExecute taint take only pods that tolerate it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from navarch.client.views import Taint
from navarch.scheduler.equivalence_class import EquivalenceClass
from navarch.scheduler.framework import Scope
from navarch.scheduler.snapshot import Bools, Rows, Snapshot


def _refusing(eclass: EquivalenceClass, taints: tuple[Taint, ...]) -> Taint | None:
    for taint in taints:
        if taint.effect in ("NoSchedule", "NoExecute") and not eclass.tolerates(taint):
            return taint
    return None


class Taints:
    name: ClassVar[str] = "TaintToleration"
    scope: ClassVar[Scope] = Scope.NODE

    def applies(self, eclass: EquivalenceClass, snapshot: Snapshot) -> bool:
        return True

    def mask(self, eclass: EquivalenceClass, snapshot: Snapshot, rows: Rows) -> Bools:
        # Nodes share few distinct sets of taints: judge each set once, then look every node up.
        fine = np.fromiter((_refusing(eclass, taints) is None for taints in snapshot.taint_sets), np.bool_)
        mask: Bools = fine[snapshot.taint_set[rows]]
        return mask

    def reasons(self, eclass: EquivalenceClass, snapshot: Snapshot, row: int) -> list[str]:
        taint = _refusing(eclass, snapshot.taint_sets[snapshot.taint_set[row]])
        if taint is None:
            return []
        return [f"node(s) had untolerated taint {{{taint.key}: {taint.value or ''}}}"]
