# SPDX-License-Identifier: GPL-3.0-or-later
"""Preferred node affinity: the more weight of the terms that a node meets, the better."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from navarch.scheduler.equivalence_class import EquivalenceClass
from navarch.scheduler.filters.node_affinity import term_matches
from navarch.scheduler.framework import Scope
from navarch.scheduler.snapshot import Floats, Rows, Snapshot


class PreferredAffinity:
    name: ClassVar[str] = "NodeAffinity"
    scope: ClassVar[Scope] = Scope.NODE
    weight: ClassVar[float] = 2.0

    def applies(self, eclass: EquivalenceClass, snapshot: Snapshot) -> bool:
        return bool(eclass.preferred)

    def rate(self, eclass: EquivalenceClass, snapshot: Snapshot, rows: Rows) -> Floats:
        selected = np.arange(snapshot.rows)[rows]
        most = sum(term.get("weight", 0) for term in eclass.preferred)
        met = (
            sum(
                term.get("weight", 0)
                for term in eclass.preferred
                if term_matches(term.get("preference") or {}, snapshot.names[row], snapshot.labels[row])
            )
            for row in selected
        )
        rates: Floats = np.fromiter(met, np.float64, len(selected)) * (100.0 / max(most, 1))
        return rates
