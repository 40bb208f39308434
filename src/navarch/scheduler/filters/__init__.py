# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters, in the order in which a refusal is told: one class a file."""

from __future__ import annotations

from navarch.scheduler.filters.host_ports import HostPorts
from navarch.scheduler.filters.node_affinity import NodeAffinity
from navarch.scheduler.filters.node_name import NodeName
from navarch.scheduler.filters.node_resources import NodeResources
from navarch.scheduler.filters.node_unschedulable import NodeUnschedulable
from navarch.scheduler.filters.taints import Taints
from navarch.scheduler.framework import Filter

FILTERS: tuple[Filter, ...] = (
    NodeUnschedulable(),
    NodeName(),
    Taints(),
    NodeAffinity(),
    HostPorts(),
    NodeResources(),
)
