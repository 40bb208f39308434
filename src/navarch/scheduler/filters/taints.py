# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes with a NoSchedule or NoExecute taint take only pods that tolerate it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from navarch.client.views import Taint
from navarch.scheduler.framework import Scope
from navarch.scheduler.shape import Shape
from navarch.scheduler.snapshot import Bools, Rows, Snapshot


def _refusing(shape: Shape, taints: tuple[Taint, ...]) -> Taint | None:
    for taint in taints:
        if taint.effect in ("NoSchedule", "NoExecute") and not shape.tolerates(taint):
            return taint
    return None


class Taints:
    name: ClassVar[str] = "TaintToleration"
    scope: ClassVar[Scope] = Scope.NODE

    def applies(self, shape: Shape, snapshot: Snapshot) -> bool:
        return True

    def mask(self, shape: Shape, snapshot: Snapshot, rows: Rows) -> Bools:
        # Nodes share few distinct sets of taints: judge each set once, then look every node up.
        fine = np.fromiter((_refusing(shape, taints) is None for taints in snapshot.taint_sets), np.bool_)
        mask: Bools = fine[snapshot.taint_set[rows]]
        return mask

    def reasons(self, shape: Shape, snapshot: Snapshot, row: int) -> list[str]:
        taint = _refusing(shape, snapshot.taint_sets[snapshot.taint_set[row]])
        if taint is None:
            return []
        return [f"node(s) had untolerated taint {{{taint.key}: {taint.value or ''}}}"]
