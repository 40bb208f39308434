# SPDX-License-Identifier: GPL-3.0-or-later
"""Rates all nodes for an equivalence class: filters and scores over all rows, cached and updated row by row.

A placement changes one row. Only that row is rated again, and only by rules that read the node's use. Rules
that read the whole cluster run every time, for the equivalence classes that use them.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence

import numpy as np

from navarch.scheduler.equivalence_class import EquivalenceClass
from navarch.scheduler.filters import FILTERS
from navarch.scheduler.framework import Filter, Scope, Score
from navarch.scheduler.scores import SCORES
from navarch.scheduler.snapshot import Bools, Floats, Rows, Snapshot

_REFUSED = -1.0
#: Of rows that changed, so many that asking for all is cheaper.
_MANY = 0.25


class _Rating:
    """One equivalence class's rules and its scores over the rows; `_REFUSED` where it may not go."""

    __slots__ = (
        "best",
        "cluster_filters",
        "cluster_scores",
        "fixed_mask",
        "fixed_rate",
        "node_version",
        "position",
        "use_filters",
        "use_rate",
        "use_scores",
        "wide",
        "wishes_version",
    )

    def __init__(self) -> None:
        self.node_version = -1
        self.wishes_version = -1
        self.position = -1
        self.use_filters: list[Filter] = []
        self.use_scores: list[Score] = []
        self.cluster_filters: list[Filter] = []
        self.cluster_scores: list[Score] = []
        #: Whether a placement anywhere may change the rate of every row.
        self.wide = False
        self.fixed_mask: Bools = np.zeros(0, np.bool_)
        self.fixed_rate: Floats = np.zeros(0)
        #: With what runs on each node.
        self.use_rate: Floats = np.zeros(0)
        #: With what runs anywhere.
        self.best: Floats = np.zeros(0)


class Evaluator:
    def __init__(
        self,
        snapshot: Snapshot,
        *,
        filters: Sequence[Filter] = FILTERS,
        scores: Sequence[Score] = SCORES,
        remembered: int = 256,
    ) -> None:
        self.snapshot = snapshot
        self._filters = filters
        self._scores = scores
        self._ratings: OrderedDict[int, tuple[EquivalenceClass, _Rating]] = OrderedDict()
        self._remembered = remembered

    def pick(self, eclass: EquivalenceClass) -> int | None:
        """The best row, or None when no node will do. Of equals the first."""
        rates = self.rates(eclass)
        if not len(rates):
            return None
        row = int(rates.argmax())
        return row if rates[row] >= 0 else None

    def place(self, eclass: EquivalenceClass, count: int) -> list[int]:
        """Take rooms for up to `count` pods of one class. Returns their rows, fewer when no room is left.

        As if one were placed after the other: the best row first, then every row that is still better than
        the best
        one has become by taking a pod, all at once, and so on.
        """
        placed: list[int] = []
        while len(placed) < count:
            row = self.pick(eclass)
            if row is None:
                break
            self.snapshot.take_rows([row], eclass)
            placed.append(row)
            left = count - len(placed)
            if not left:
                break
            rates = self.rates(eclass)
            if rates[row] < 0 or self._rating(eclass).wide:
                continue  # it is full now and no measure for the others, or those change with each one
            better = np.flatnonzero(rates > rates[row])
            if len(better) > left:
                better = better[np.argpartition(-rates[better], left - 1)[:left]]
            if len(better):
                rows = better.tolist()
                self.snapshot.take_rows(rows, eclass)
                placed += rows
        return placed

    def rates(self, eclass: EquivalenceClass) -> Floats:
        """The weighted sum of scores, a value a row, below 0 where a filter refuses. Not to be changed by
        the caller."""
        rating = self._rating(eclass)
        snapshot = self.snapshot
        if (
            rating.node_version != snapshot.node_version
            or rating.wishes_version != snapshot.pod_counts.version
        ):
            self._rate_all(eclass, rating)
        else:
            changed = snapshot.changed_since(rating.position)
            if changed is None or len(changed) > _MANY * snapshot.rows:
                self._rate_use(eclass, rating, slice(0, snapshot.rows))
            elif changed:
                self._rate_use(eclass, rating, np.array(list(set(changed))))
            else:
                return rating.best
        rating.best = self._rate_cluster(eclass, rating) if rating.wide else rating.use_rate
        rating.position = snapshot.position
        return rating.best

    def refusals(self, eclass: EquivalenceClass) -> dict[int, list[str]]:
        """Why nodes refuse the class, by row: the reasons of the first filter that refuses."""
        snapshot = self.snapshot
        rows = slice(0, snapshot.rows)
        reasons: dict[int, list[str]] = {}
        left = snapshot.exists[rows].copy()
        for rule in self._filters:
            if left.any() and rule.applies(eclass, snapshot):
                refused = left & ~rule.mask(eclass, snapshot, rows)
                for row in np.flatnonzero(refused).tolist():
                    reasons[row] = rule.reasons(eclass, snapshot, row)
                left &= ~refused
        return reasons

    def explain(self, eclass: EquivalenceClass) -> str:
        """Why no node takes the class: `0/3 nodes are available: 2 Insufficient cpu, 1 node(s) were ...`."""
        if not self.snapshot.nodes:
            return "no nodes available to schedule pods"
        reasons = Counter(reason for reasons in self.refusals(eclass).values() for reason in reasons)
        summary = ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
        return f"0/{self.snapshot.nodes} nodes are available: {summary}."

    def _rating(self, eclass: EquivalenceClass) -> _Rating:
        known = self._ratings.get(id(eclass))
        if known is not None:
            self._ratings.move_to_end(id(eclass))
            return known[1]
        rating = _Rating()
        self._ratings[id(eclass)] = (
            eclass,
            rating,
        )  # holding the equivalence class keeps its id from being given to another
        if len(self._ratings) > self._remembered:
            self._ratings.popitem(last=False)
        return rating

    def _rate_all(self, eclass: EquivalenceClass, rating: _Rating) -> None:
        snapshot = self.snapshot
        rows = slice(0, snapshot.rows)
        filters = [rule for rule in self._filters if rule.applies(eclass, snapshot)]
        scores = [rule for rule in self._scores if rule.applies(eclass, snapshot)]
        rating.use_filters = [rule for rule in filters if rule.scope is Scope.USE]
        rating.use_scores = [rule for rule in scores if rule.scope is Scope.USE]
        rating.cluster_filters = [rule for rule in filters if rule.scope is Scope.CLUSTER]
        rating.cluster_scores = [rule for rule in scores if rule.scope is Scope.CLUSTER]
        rating.wide = bool(rating.cluster_filters or rating.cluster_scores)
        mask = snapshot.exists[rows].copy()
        for rule in filters:
            if rule.scope is Scope.NODE:
                mask &= rule.mask(eclass, snapshot, rows)
        rate = np.zeros(snapshot.rows)
        for score in scores:
            if score.scope is Scope.NODE:
                rate += score.weight * score.rate(eclass, snapshot, rows)
        rating.fixed_mask, rating.fixed_rate = mask, rate
        rating.use_rate = np.empty(snapshot.rows)
        rating.node_version, rating.wishes_version = snapshot.node_version, snapshot.pod_counts.version
        self._rate_use(eclass, rating, rows)

    def _rate_use(self, eclass: EquivalenceClass, rating: _Rating, rows: Rows) -> None:
        snapshot = self.snapshot
        mask = rating.fixed_mask[rows]
        for rule in rating.use_filters:
            mask = mask & rule.mask(eclass, snapshot, rows)
        rate = rating.fixed_rate[rows]
        for score in rating.use_scores:
            rate = rate + score.weight * score.rate(eclass, snapshot, rows)
        rating.use_rate[rows] = np.where(mask, rate, _REFUSED)

    def _rate_cluster(self, eclass: EquivalenceClass, rating: _Rating) -> Floats:
        snapshot = self.snapshot
        mask = rating.use_rate >= 0
        for rule in rating.cluster_filters:
            mask &= rule.mask(eclass, snapshot, slice(0, snapshot.rows))
        allowed = np.flatnonzero(mask)
        rate = rating.use_rate[allowed]
        for score in rating.cluster_scores:
            rate = rate + score.weight * score.rate(eclass, snapshot, allowed)
        best = np.full(snapshot.rows, _REFUSED)
        best[allowed] = rate
        return best
