# SPDX-License-Identifier: GPL-3.0-or-later
"""Two pods cannot listen on the same port of the same address of one node."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from navarch.scheduler.framework import Scope
from navarch.scheduler.shape import Shape
from navarch.scheduler.snapshot import Bools, Rows, Snapshot


class HostPorts:
    name: ClassVar[str] = "NodePorts"
    scope: ClassVar[Scope] = Scope.USE

    def applies(self, shape: Shape, snapshot: Snapshot) -> bool:
        return bool(shape.host_ports)

    def mask(self, shape: Shape, snapshot: Snapshot, rows: Rows) -> Bools:
        mask = np.ones(len(snapshot.exists), np.bool_)
        for port in shape.host_ports:
            for row in snapshot.host_ports.get(port[:2], {}):
                if snapshot.port_conflict(row, port):
                    mask[row] = False
        selected: Bools = mask[rows]
        return selected

    def reasons(self, shape: Shape, snapshot: Snapshot, row: int) -> list[str]:
        return ["node(s) didn't have free ports for the requested pod ports"]
