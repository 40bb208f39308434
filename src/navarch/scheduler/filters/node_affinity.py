# SPDX-License-Identifier: GPL-3.0-or-later
"""nodeSelector and required node affinity: the node's labels (and its name) must match."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from navarch.scheduler.equivalence_class import EquivalenceClass
from navarch.scheduler.framework import Scope
from navarch.scheduler.snapshot import Bools, Rows, Snapshot


def _holds(expression: dict[str, Any], labels: dict[str, str]) -> bool:
    key, operator, values = (
        expression.get("key", ""),
        expression.get("operator"),
        expression.get("values") or [],
    )
    found = labels.get(key)
    match operator:
        case "In":
            return found in values
        case "NotIn":
            return found not in values
        case "Exists":
            return found is not None
        case "DoesNotExist":
            return found is None
        case "Gt" | "Lt":
            try:
                number, bound = int(found or ""), int(values[0])
            except (ValueError, IndexError):
                return False
            return number > bound if operator == "Gt" else number < bound
    return False


def _matches(eclass: EquivalenceClass, name: str, labels: dict[str, str]) -> bool:
    if any(labels.get(key) != value for key, value in eclass.selector.items()):
        return False
    if eclass.affinity is None:
        return True
    terms = eclass.affinity.get("nodeSelectorTerms") or []
    return any(term_matches(term, name, labels) for term in terms)


def term_matches(term: dict[str, Any], name: str, labels: dict[str, str]) -> bool:
    """Whether a node meets a NodeSelectorTerm; one without requirements matches nothing (API reference)."""
    by_label, by_field = term.get("matchExpressions") or [], term.get("matchFields") or []
    fields = {"metadata.name": name}
    return (
        bool(by_label or by_field)
        and all(_holds(expression, labels) for expression in by_label)
        and all(_holds(expression, fields) for expression in by_field)
    )


class NodeAffinity:
    name: ClassVar[str] = "NodeAffinity"
    scope: ClassVar[Scope] = Scope.NODE

    def applies(self, eclass: EquivalenceClass, snapshot: Snapshot) -> bool:
        return bool(eclass.selector) or eclass.affinity is not None

    def mask(self, eclass: EquivalenceClass, snapshot: Snapshot, rows: Rows) -> Bools:
        selected = np.arange(snapshot.rows)[rows]
        return np.fromiter(
            (_matches(eclass, snapshot.names[row], snapshot.labels[row]) for row in selected),
            np.bool_,
            len(selected),
        )

    def reasons(self, eclass: EquivalenceClass, snapshot: Snapshot, row: int) -> list[str]:
        return ["node(s) didn't match Pod's node affinity/selector"]
