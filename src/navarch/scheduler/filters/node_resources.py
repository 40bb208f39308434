# SPDX-License-Identifier: GPL-3.0-or-later
"""What a pod requests must be free on the node: cpu, memory, pod slots, and whatever else nodes offer."""

from __future__ import annotations

from typing import ClassVar

from navarch.scheduler.equivalence_class import EquivalenceClass
from navarch.scheduler.framework import Scope
from navarch.scheduler.snapshot import PODS, Bools, Rows, Snapshot


class NodeResources:
    name: ClassVar[str] = "NodeResourcesFit"
    scope: ClassVar[Scope] = Scope.USE

    def applies(self, eclass: EquivalenceClass, snapshot: Snapshot) -> bool:
        return True

    def mask(self, eclass: EquivalenceClass, snapshot: Snapshot, rows: Rows) -> Bools:
        # Only what is asked for is compared: a node that is over its memory still takes a pod that asks for
        # none.
        takes, requested = snapshot.vector(eclass)
        mask: Bools | None = None
        for column in requested:
            fits = snapshot.used[rows, column] + takes[column] <= snapshot.allocatable[rows, column]
            mask = fits if mask is None else mask & fits
        assert mask is not None  # the pod slot is always asked for
        return mask

    def reasons(self, eclass: EquivalenceClass, snapshot: Snapshot, row: int) -> list[str]:
        takes, requested = snapshot.vector(eclass)
        names = {column: name for name, column in snapshot.columns.items()}
        return [
            "Too many pods" if column == PODS else f"Insufficient {names[column]}"
            for column in requested.tolist()
            if snapshot.used[row, column] + takes[column] > snapshot.allocatable[row, column]
        ]
