# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters, in the order in which refusals are reported: one class a file."""

from __future__ import annotations

from navarch.scheduler.filters.host_ports import HostPorts
from navarch.scheduler.filters.node_affinity import NodeAffinity
from navarch.scheduler.filters.node_name import NodeName
from navarch.scheduler.filters.node_resources import NodeResources
from navarch.scheduler.filters.node_unschedulable import NodeUnschedulable
from navarch.scheduler.filters.pod_affinity import PodAffinity
from navarch.scheduler.filters.pod_anti_affinity import PodAntiAffinity
from navarch.scheduler.filters.standing_anti_affinity import StandingAntiAffinity
from navarch.scheduler.filters.taints import Taints
from navarch.scheduler.filters.topology_spread import TopologySpread
from navarch.scheduler.framework import Filter

FILTERS: tuple[Filter, ...] = (
    NodeUnschedulable(),
    NodeName(),
    Taints(),
    NodeAffinity(),
    HostPorts(),
    NodeResources(),
    TopologySpread(),
    PodAffinity(),
    PodAntiAffinity(),
    StandingAntiAffinity(),
)
