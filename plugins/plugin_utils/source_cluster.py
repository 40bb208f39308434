# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Inventory source: the nodes that a cluster itself knows. Reads Node objects, and nothing else."""

from __future__ import annotations

import typing as t

from ansible_collections.navarch.cluster.plugins.module_utils.client import NODE, Client
from ansible_collections.navarch.cluster.plugins.plugin_utils.node_records import NodeRecord

#: Where a connection is best made to, first to last.
_REACHABLE = ("InternalIP", "ExternalIP", "InternalDNS", "Hostname", "ExternalDNS")
_ZONES = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")


def records(options: t.Mapping[str, t.Any]) -> list[NodeRecord]:
    """All nodes that match ``label_selectors``, by name."""
    client = Client.from_params(options)
    try:
        nodes, _version = client.list(NODE, labels=options["label_selectors"])
    finally:
        client.close()
    return sorted((record(node) for node in nodes), key=lambda found: found.name)


def record(node: t.Mapping[str, t.Any]) -> NodeRecord:
    metadata, spec, status = node["metadata"], node.get("spec") or {}, node.get("status") or {}
    addresses = [
        {"type": str(a.get("type")), "address": str(a.get("address"))} for a in status.get("addresses") or []
    ]
    labels = metadata.get("labels") or {}
    conditions = {c.get("type"): c.get("status") for c in status.get("conditions") or []}
    variables = {
        "addresses": addresses,
        "labels": labels,
        "annotations": metadata.get("annotations") or {},
        "ready": conditions.get("Ready") == "True",
        "schedulable": not spec.get("unschedulable", False),
        "taints": spec.get("taints") or [],
        "capacity": status.get("capacity") or {},
        "allocatable": status.get("allocatable") or {},
        "zone": next((labels[name] for name in _ZONES if labels.get(name)), None),
    }
    reachable = (a["address"] for kind in _REACHABLE for a in addresses if a["type"] == kind)
    return NodeRecord(metadata["name"], next(reachable, None), variables)
