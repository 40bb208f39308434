# SPDX-License-Identifier: GPL-3.0-or-later
"""Cordoned nodes take no pods, but those that tolerate the taint of being cordoned."""

from __future__ import annotations

from typing import ClassVar

from navarch.client.views import Taint
from navarch.scheduler.equivalence_class import EquivalenceClass
from navarch.scheduler.framework import Scope
from navarch.scheduler.snapshot import Bools, Rows, Snapshot

_CORDONED = Taint(key="node.kubernetes.io/unschedulable", effect="NoSchedule")


class NodeUnschedulable:
    name: ClassVar[str] = "NodeUnschedulable"
    scope: ClassVar[Scope] = Scope.NODE

    def applies(self, eclass: EquivalenceClass, snapshot: Snapshot) -> bool:
        return not eclass.tolerates(_CORDONED)

    def mask(self, eclass: EquivalenceClass, snapshot: Snapshot, rows: Rows) -> Bools:
        return ~snapshot.unschedulable[rows]

    def reasons(self, eclass: EquivalenceClass, snapshot: Snapshot, row: int) -> list[str]:
        return ["node(s) were unschedulable"]
