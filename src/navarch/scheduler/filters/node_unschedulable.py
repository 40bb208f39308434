# SPDX-License-Identifier: GPL-3.0-or-later
"""Cordoned nodes take no pods, but those that tolerate the taint of being cordoned."""

from __future__ import annotations

from typing import ClassVar

from navarch.client.views import Taint
from navarch.scheduler.framework import Scope
from navarch.scheduler.shape import Shape
from navarch.scheduler.snapshot import Bools, Rows, Snapshot

_CORDONED = Taint(key="node.kubernetes.io/unschedulable", effect="NoSchedule")


class NodeUnschedulable:
    name: ClassVar[str] = "NodeUnschedulable"
    scope: ClassVar[Scope] = Scope.NODE

    def applies(self, shape: Shape, snapshot: Snapshot) -> bool:
        return not shape.tolerates(_CORDONED)

    def mask(self, shape: Shape, snapshot: Snapshot, rows: Rows) -> Bools:
        return ~snapshot.unschedulable[rows]

    def reasons(self, shape: Shape, snapshot: Snapshot, row: int) -> list[str]:
        return ["node(s) were unschedulable"]
