# SPDX-License-Identifier: GPL-3.0-or-later
"""The scores: one class a file."""

from __future__ import annotations

from navarch.scheduler.framework import Score
from navarch.scheduler.scores.balanced_allocation import BalancedAllocation
from navarch.scheduler.scores.least_allocated import LeastAllocated
from navarch.scheduler.scores.pod_affinity import PreferredPodAffinity
from navarch.scheduler.scores.prefer_untainted import PreferUntainted
from navarch.scheduler.scores.preferred_affinity import PreferredAffinity
from navarch.scheduler.scores.topology_spread import SoftTopologySpread

SCORES: tuple[Score, ...] = (
    LeastAllocated(),
    BalancedAllocation(),
    PreferUntainted(),
    PreferredAffinity(),
    PreferredPodAffinity(),
    SoftTopologySpread(),
)
