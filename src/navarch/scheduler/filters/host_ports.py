# SPDX-License-Identifier: GPL-3.0-or-later
"""Two pods cannot listen on the same port of the same address of one node."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from navarch.scheduler.equivalence_class import EquivalenceClass
from navarch.scheduler.framework import Scope
from navarch.scheduler.snapshot import Bools, Rows, Snapshot


class HostPorts:
    name: ClassVar[str] = "NodePorts"
    scope: ClassVar[Scope] = Scope.USE

    def applies(self, eclass: EquivalenceClass, snapshot: Snapshot) -> bool:
        return bool(eclass.host_ports)

    def mask(self, eclass: EquivalenceClass, snapshot: Snapshot, rows: Rows) -> Bools:
        mask = np.ones(len(snapshot.exists), np.bool_)
        for port in eclass.host_ports:
            for row in snapshot.host_ports.get(port[:2], {}):
                if snapshot.port_conflict(row, port):
                    mask[row] = False
        selected: Bools = mask[rows]
        return selected

    def reasons(self, eclass: EquivalenceClass, snapshot: Snapshot, row: int) -> list[str]:
        return ["node(s) didn't have free ports for the requested pod ports"]
