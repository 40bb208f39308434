# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rule is. A filter or a score is one class in one file of `filters/` or `scores/`, listed in that
package's `__init__`.

Rules see whole vectors: `rows` is what numpy takes as an index (a slice over all nodes, or the few rows that
changed). A rule with
`dynamic = True` depends on what already runs on a node and is asked again after every placement there; the
others depend on
the node alone.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

from navarch.scheduler.shape import Shape
from navarch.scheduler.snapshot import Bools, Floats, Rows, Snapshot


class Filter(Protocol):
    name: ClassVar[str]
    dynamic: ClassVar[bool]

    def applies(self, shape: Shape) -> bool:
        """False where the shape asks nothing of this rule: it is then not asked at all."""

    def mask(self, shape: Shape, snapshot: Snapshot, rows: Rows) -> Bools:
        """True where the pod may go, one value a row."""

    def reasons(self, shape: Shape, snapshot: Snapshot, row: int) -> list[str]:
        """Why not there, in the words the reference's events use. Called only for a row the mask refused."""


class Score(Protocol):
    name: ClassVar[str]
    dynamic: ClassVar[bool]
    weight: ClassVar[float]

    def applies(self, shape: Shape, snapshot: Snapshot) -> bool:
        """False where the rule would rate all nodes alike."""

    def rate(self, shape: Shape, snapshot: Snapshot, rows: Rows) -> Floats:
        """0 (worst) to 100 (best), one value a row."""
