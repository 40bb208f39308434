# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts of placed pods by node and group, for rules that look at other pods (affinity, spread).

Counts are kept by node (a value a row) and only for groups that a rule has used. Other pods cost one number
an equivalence class and node.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from navarch.scheduler.equivalence_class import EquivalenceClass, Group, Term

Ints = NDArray[np.int64]

#: So many distinct questions or wishes, and all are forgotten: those of interest are asked again, those of
#: pods that still sit are read again.
_MANY = 4096


class _Count:
    """One number a row. It grows when a row beyond its end is counted."""

    __slots__ = ("by_row",)

    def __init__(self, rows: int) -> None:
        self.by_row: Ints = np.zeros(rows, np.int64)

    def add(self, row: int, number: int) -> None:
        if row >= len(self.by_row):
            self.by_row = self.upto(2 * (row + 1))
        self.by_row[row] += number

    def upto(self, rows: int) -> Ints:
        """A value for each of the first `rows` rows."""
        missing = rows - len(self.by_row)
        return self.by_row[:rows] if missing <= 0 else np.pad(self.by_row, (0, missing))


class _Concern(NamedTuple):
    """What one equivalence class adds to, as far as the lists of counts were looked through."""

    groups: list[tuple[bool, _Count]]  # (only pods that stay, the count)
    held: list[_Count]
    counted: int


class Bond(NamedTuple):
    """Pods that sit somewhere want others near or far: the place is by `key`, the wish has `weight`."""

    key: str
    weight: int
    holders: Ints


class PodCounts:
    def __init__(self) -> None:
        #: Counts kinds of wishes seen on pods that sit: a rule may then apply that did not before.
        self.version = 0
        self._seats: dict[EquivalenceClass, dict[int, int]] = {}
        self._leaving: dict[EquivalenceClass, dict[int, int]] = {}
        self._namespaces: dict[str, dict[str, str]] = {}
        self._forget()

    def _forget(self) -> None:
        self._counted: dict[tuple[tuple[Group, ...], bool], _Count] = {}
        self._counted_list: list[tuple[tuple[Group, ...], bool, _Count]] = []
        self._held: dict[tuple[Term, int], _Count] = {}  # weight 0: the term forbids
        self._concerns: dict[EquivalenceClass, _Concern] = {}
        self._bonds: dict[EquivalenceClass, tuple[int, list[tuple[Term, int, _Count]]]] = {}
        self.version += 1
        for eclass, seats in self._seats.items():
            for term, weight in eclass.held:
                count = self._holders(term, weight)
                for row, number in seats.items():
                    count.add(row, number)
        self._limit = max(_MANY, 2 * len(self._held))

    # What sits.

    def take(self, row: int, eclass: EquivalenceClass) -> None:
        if len(self._held) > self._limit:
            self._forget()
        self._add(self._seats, row, eclass, 1)
        self._count(row, eclass, 1, everyone=True, staying=True)

    def leave(self, row: int, eclass: EquivalenceClass) -> None:
        """The pod is being deleted: it still sits, but does not stay."""
        self._add(self._leaving, row, eclass, 1)
        self._count(row, eclass, -1, everyone=False, staying=True)

    def give_back(self, row: int, eclass: EquivalenceClass, *, leaving: bool = False) -> None:
        self._add(self._seats, row, eclass, -1)
        if leaving:
            self._add(self._leaving, row, eclass, -1)
        self._count(row, eclass, -1, everyone=True, staying=not leaving)

    def clear(self) -> None:
        self._seats.clear()
        self._leaving.clear()
        self._forget()

    def set_namespaces(self, namespaces: Mapping[str, dict[str, str] | None]) -> bool:
        """The labels namespaces have now; one without any may be left out. Returns whether that changes
        something."""
        labels = {name: labels for name, labels in namespaces.items() if labels}
        changed, self._namespaces = labels != self._namespaces, labels
        groups = [group for key, _ in self._counted for group in key] + [term.group for term, _ in self._held]
        if not changed or all(group.namespace_selector.nothing for group in groups):
            return False
        self._forget()
        return True

    def copy(self) -> PodCounts:
        other = PodCounts()
        other._namespaces = self._namespaces
        other._seats = {eclass: rows.copy() for eclass, rows in self._seats.items()}
        other._leaving = {eclass: rows.copy() for eclass, rows in self._leaving.items()}
        other._forget()
        return other

    # What rules ask.

    def pods(self, groups: tuple[Group, ...], rows: int, *, staying: bool = False) -> Ints:
        """How many pods that are in all these groups sit on each of the first `rows` rows; staying: without
        those being deleted. Not to be changed by the caller."""
        count = self._counted.get((groups, staying))
        if count is None:
            if len(self._counted) >= _MANY:
                self._forget()
            count = self._counted[groups, staying] = _Count(rows)
            self._counted_list.append((groups, staying, count))
            for eclass, seats in self._seats.items():
                if self.belongs(eclass, groups):
                    for row, number in seats.items():
                        count.add(row, number)
                    for row, number in self._leaving.get(eclass, {}).items() if staying else ():
                        count.add(row, -number)
        return count.upto(rows)

    def belongs(self, eclass: EquivalenceClass, groups: tuple[Group, ...]) -> bool:
        """Whether pods of this equivalence class are in all these groups."""
        return all(group.has(eclass, self._namespaces.get(eclass.namespace)) for group in groups)

    def forbidding(self, eclass: EquivalenceClass, rows: int) -> list[Bond]:
        """What pods that sit forbid pods of this equivalence class."""
        return [
            Bond(term.key, 0, count.upto(rows)) for term, weight, count in self._about(eclass) if not weight
        ]

    def drawing(self, eclass: EquivalenceClass, rows: int) -> list[Bond]:
        """How strongly placed pods want pods of this class near them (weight above 0) or far (below)."""
        return [
            Bond(term.key, weight, count.upto(rows)) for term, weight, count in self._about(eclass) if weight
        ]

    # Inside.

    def _about(self, eclass: EquivalenceClass) -> list[tuple[Term, int, _Count]]:
        """The wishes of pods that sit which are about pods of this equivalence class."""
        known = self._bonds.get(eclass)
        if known is None or known[0] != self.version:
            found = [
                (term, weight, count)
                for (term, weight), count in self._held.items()
                if self.belongs(eclass, (term.group,))
            ]
            if len(self._bonds) >= _MANY:
                self._bonds.clear()
            known = self._bonds[eclass] = (self.version, found)
        return known[1]

    @staticmethod
    def _add(
        seats: dict[EquivalenceClass, dict[int, int]], row: int, eclass: EquivalenceClass, number: int
    ) -> None:
        rows = seats.setdefault(eclass, {})
        left = rows.get(row, 0) + number
        if left:
            rows[row] = left
        else:
            del rows[row]
            if not rows:
                del seats[eclass]

    def _count(
        self, row: int, eclass: EquivalenceClass, number: int, *, everyone: bool, staying: bool
    ) -> None:
        """everyone: in the counts of all pods that sit; staying: in the counts of those that stay."""
        if not self._counted_list and not eclass.held:
            return
        concern = self._concern(eclass)
        for only_staying, count in concern.groups:
            if staying if only_staying else everyone:
                count.add(row, number)
        if everyone:
            for count in concern.held:
                count.add(row, number)

    def _concern(self, eclass: EquivalenceClass) -> _Concern:
        known = self._concerns.get(eclass)
        if known is None:
            known = _Concern([], [self._holders(term, weight) for term, weight in eclass.held], 0)
        elif known.counted == len(self._counted_list):
            return known
        for groups, staying, count in self._counted_list[known.counted :]:
            if self.belongs(eclass, groups):
                known.groups.append((staying, count))
        if len(self._concerns) >= _MANY:
            self._concerns.clear()
        known = self._concerns[eclass] = known._replace(counted=len(self._counted_list))
        return known

    def _holders(self, term: Term, weight: int) -> _Count:
        count = self._held.get((term, weight))
        if count is None:
            count = self._held[term, weight] = _Count(0)
            self.version += 1
        return count
