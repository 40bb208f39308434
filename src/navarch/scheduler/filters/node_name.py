# SPDX-License-Identifier: GPL-3.0-or-later
"""A pod that names its node goes there or nowhere."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from navarch.scheduler.equivalence_class import EquivalenceClass
from navarch.scheduler.framework import Scope
from navarch.scheduler.snapshot import Bools, Rows, Snapshot


class NodeName:
    name: ClassVar[str] = "NodeName"
    scope: ClassVar[Scope] = Scope.NODE

    def applies(self, eclass: EquivalenceClass, snapshot: Snapshot) -> bool:
        return bool(eclass.node_name)

    def mask(self, eclass: EquivalenceClass, snapshot: Snapshot, rows: Rows) -> Bools:
        mask = np.zeros(len(snapshot.exists), np.bool_)
        row = snapshot.index.get(eclass.node_name)
        if row is not None:
            mask[row] = True
        selected: Bools = mask[rows]
        return selected

    def reasons(self, eclass: EquivalenceClass, snapshot: Snapshot, row: int) -> list[str]:
        return ["node(s) didn't match the requested node name"]
