# SPDX-License-Identifier: GPL-3.0-or-later
"""Where may a shape go, and where best: all filters and scores over all nodes, remembered, and kept fresh
row by row.

After a placement only the row it changed is asked again, and only by the rules that look at what runs there;
rules that look at the whole cluster are asked every time, of shapes that have such.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence

import numpy as np

from navarch.scheduler.filters import FILTERS
from navarch.scheduler.framework import Filter, Scope, Score
from navarch.scheduler.scores import SCORES
from navarch.scheduler.shape import Shape
from navarch.scheduler.snapshot import Bools, Floats, Rows, Snapshot

_REFUSED = -1.0
#: Of rows that changed, so many that asking for all is cheaper.
_MANY = 0.25


class _Rating:
    """One shape's rules and its scores over the rows; `_REFUSED` where it may not go."""

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
        self._ratings: OrderedDict[int, tuple[Shape, _Rating]] = OrderedDict()
        self._remembered = remembered

    def pick(self, shape: Shape) -> int | None:
        """The best row, or None when no node will do. Of equals the first."""
        rates = self.rates(shape)
        if not len(rates):
            return None
        row = int(rates.argmax())
        return row if rates[row] >= 0 else None

    def place(self, shape: Shape, count: int) -> list[int]:
        """Take rooms for up to `count` pods of one shape. Returns their rows, fewer when there is no more
        room.

        As if one were placed after the other: the best row first, then every row that is still better than
        the best
        one has become by taking a pod, all at once, and so on.
        """
        placed: list[int] = []
        while len(placed) < count:
            row = self.pick(shape)
            if row is None:
                break
            self.snapshot.take_rows([row], shape)
            placed.append(row)
            left = count - len(placed)
            if not left:
                break
            rates = self.rates(shape)
            if rates[row] < 0 or self._rating(shape).wide:
                continue  # it is full now and no measure for the others, or those change with each one
            better = np.flatnonzero(rates > rates[row])
            if len(better) > left:
                better = better[np.argpartition(-rates[better], left - 1)[:left]]
            if len(better):
                rows = better.tolist()
                self.snapshot.take_rows(rows, shape)
                placed += rows
        return placed

    def rates(self, shape: Shape) -> Floats:
        """The weighted sum of scores, a value a row, below 0 where a filter refuses. Not to be changed by
        the caller."""
        rating = self._rating(shape)
        snapshot = self.snapshot
        if rating.node_version != snapshot.node_version or rating.wishes_version != snapshot.census.version:
            self._rate_all(shape, rating)
        else:
            changed = snapshot.changed_since(rating.position)
            if changed is None or len(changed) > _MANY * snapshot.rows:
                self._rate_use(shape, rating, slice(0, snapshot.rows))
            elif changed:
                self._rate_use(shape, rating, np.array(list(set(changed))))
            else:
                return rating.best
        rating.best = self._rate_cluster(shape, rating) if rating.wide else rating.use_rate
        rating.position = snapshot.position
        return rating.best

    def refusals(self, shape: Shape) -> dict[int, list[str]]:
        """Why the shape may not go to a node, by row, for those that refuse it: the words of the first filter
        that does."""
        snapshot = self.snapshot
        rows = slice(0, snapshot.rows)
        reasons: dict[int, list[str]] = {}
        left = snapshot.exists[rows].copy()
        for rule in self._filters:
            if left.any() and rule.applies(shape, snapshot):
                refused = left & ~rule.mask(shape, snapshot, rows)
                for row in np.flatnonzero(refused).tolist():
                    reasons[row] = rule.reasons(shape, snapshot, row)
                left &= ~refused
        return reasons

    def explain(self, shape: Shape) -> str:
        """For all nodes, why the shape goes to none: `0/3 nodes are available: 2 Insufficient cpu, 1 node(s)
        were ...`."""
        if not self.snapshot.nodes:
            return "no nodes available to schedule pods"
        reasons = Counter(reason for told in self.refusals(shape).values() for reason in told)
        told = ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
        return f"0/{self.snapshot.nodes} nodes are available: {told}."

    def _rating(self, shape: Shape) -> _Rating:
        known = self._ratings.get(id(shape))
        if known is not None:
            self._ratings.move_to_end(id(shape))
            return known[1]
        rating = _Rating()
        self._ratings[id(shape)] = (
            shape,
            rating,
        )  # holding the shape keeps its id from being given to another
        if len(self._ratings) > self._remembered:
            self._ratings.popitem(last=False)
        return rating

    def _rate_all(self, shape: Shape, rating: _Rating) -> None:
        snapshot = self.snapshot
        rows = slice(0, snapshot.rows)
        filters = [rule for rule in self._filters if rule.applies(shape, snapshot)]
        scores = [rule for rule in self._scores if rule.applies(shape, snapshot)]
        rating.use_filters = [rule for rule in filters if rule.scope is Scope.USE]
        rating.use_scores = [rule for rule in scores if rule.scope is Scope.USE]
        rating.cluster_filters = [rule for rule in filters if rule.scope is Scope.CLUSTER]
        rating.cluster_scores = [rule for rule in scores if rule.scope is Scope.CLUSTER]
        rating.wide = bool(rating.cluster_filters or rating.cluster_scores)
        mask = snapshot.exists[rows].copy()
        for rule in filters:
            if rule.scope is Scope.NODE:
                mask &= rule.mask(shape, snapshot, rows)
        rate = np.zeros(snapshot.rows)
        for score in scores:
            if score.scope is Scope.NODE:
                rate += score.weight * score.rate(shape, snapshot, rows)
        rating.fixed_mask, rating.fixed_rate = mask, rate
        rating.use_rate = np.empty(snapshot.rows)
        rating.node_version, rating.wishes_version = snapshot.node_version, snapshot.census.version
        self._rate_use(shape, rating, rows)

    def _rate_use(self, shape: Shape, rating: _Rating, rows: Rows) -> None:
        snapshot = self.snapshot
        mask = rating.fixed_mask[rows]
        for rule in rating.use_filters:
            mask = mask & rule.mask(shape, snapshot, rows)
        rate = rating.fixed_rate[rows]
        for score in rating.use_scores:
            rate = rate + score.weight * score.rate(shape, snapshot, rows)
        rating.use_rate[rows] = np.where(mask, rate, _REFUSED)

    def _rate_cluster(self, shape: Shape, rating: _Rating) -> Floats:
        snapshot = self.snapshot
        mask = rating.use_rate >= 0
        for rule in rating.cluster_filters:
            mask &= rule.mask(shape, snapshot, slice(0, snapshot.rows))
        allowed = np.flatnonzero(mask)
        rate = rating.use_rate[allowed]
        for score in rating.cluster_scores:
            rate = rate + score.weight * score.rate(shape, snapshot, allowed)
        best = np.full(snapshot.rows, _REFUSED)
        best[allowed] = rate
        return best
