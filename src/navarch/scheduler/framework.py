# SPDX-License-Identifier: GPL-3.0-or-later
"""The protocol of rules. A filter or a score is one class in one file of `filters/` or `scores/`, listed in
the `__init__` of its package.

Rules see whole vectors: `rows` is what numpy takes as an index (a slice over all nodes, or the few rows that
changed).
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar, Protocol

from navarch.scheduler.equivalence_class import EquivalenceClass
from navarch.scheduler.snapshot import Bools, Floats, Rows, Snapshot


class Scope(Enum):
    """What a rule reads of a node, and so when it is run again."""

    #: What the node is: when a node changed.
    NODE = "node"
    #: And what runs on it: after every placement there.
    USE = "use"
    #: And what runs elsewhere: after every placement. Its rates are relative to each other, so it is given
    #: the rows that all filters allow.
    CLUSTER = "cluster"


class Filter(Protocol):
    name: ClassVar[str]
    scope: ClassVar[Scope]

    def applies(self, eclass: EquivalenceClass, snapshot: Snapshot) -> bool:
        """Whether the rule matters to the equivalence class; where not, it is not run."""

    def mask(self, eclass: EquivalenceClass, snapshot: Snapshot, rows: Rows) -> Bools:
        """True where the pod may go, one value a row."""

    def reasons(self, eclass: EquivalenceClass, snapshot: Snapshot, row: int) -> list[str]:
        """Why not there, in the words the reference's events use. Called only for a row the mask refused."""


class Score(Protocol):
    name: ClassVar[str]
    scope: ClassVar[Scope]
    weight: ClassVar[float]

    def applies(self, eclass: EquivalenceClass, snapshot: Snapshot) -> bool:
        """False where the rule would rate all nodes alike."""

    def rate(self, eclass: EquivalenceClass, snapshot: Snapshot, rows: Rows) -> Floats:
        """0 (worst) to 100 (best), one value a row."""
