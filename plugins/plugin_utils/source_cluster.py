# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Inventory source: the nodes that a cluster itself knows, and the pods on them."""

from __future__ import annotations

import typing as t

from ansible_collections.navarch.cluster.plugins.module_utils.args import Spec, auth_spec
from ansible_collections.navarch.cluster.plugins.module_utils.client import NODE, POD, Client
from ansible_collections.navarch.cluster.plugins.module_utils.kubeconfig import secrets as kubeconfig_secrets
from ansible_collections.navarch.cluster.plugins.plugin_utils.node_records import NodeRecord

#: Where a connection is best made to, first to last.
_REACHABLE = ("InternalIP", "ExternalIP", "InternalDNS", "Hostname", "ExternalDNS")
_ZONES = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")
_FINISHED = ("Succeeded", "Failed")


def spec() -> Spec:
    return dict(
        auth_spec(),
        label_selectors={"type": "list", "elements": "str", "default": []},
        pods={"type": "bool", "default": True},
    )


def secrets(options: t.Mapping[str, t.Any]) -> set[str]:
    return set(kubeconfig_secrets(options))


def records(options: t.Mapping[str, t.Any], problem: t.Callable[[str], None]) -> list[NodeRecord]:
    """All nodes that match ``label_selectors``, by name."""
    client = Client.from_params(options)
    try:
        nodes, _version = client.list(NODE, labels=options["label_selectors"])
        pods = _pods(client) if options["pods"] else {}
    finally:
        client.close()
    return sorted((record(node, pods) for node in nodes), key=lambda found: found.name)


def _pods(client: Client) -> dict[str, list[str]]:
    """By node, the pods that have not finished, as namespace/name."""
    found: dict[str, list[str]] = {}
    for pod in client.list(POD)[0]:
        node = (pod.get("spec") or {}).get("nodeName")
        if node and (pod.get("status") or {}).get("phase") not in _FINISHED:
            found.setdefault(node, []).append("%(namespace)s/%(name)s" % pod["metadata"])
    return found


def record(node: t.Mapping[str, t.Any], pods: t.Mapping[str, list[str]]) -> NodeRecord:
    metadata, spec, status = node["metadata"], node.get("spec") or {}, node.get("status") or {}
    addresses = [
        {"type": str(a.get("type")), "address": str(a.get("address"))} for a in status.get("addresses") or []
    ]
    labels = metadata.get("labels") or {}
    conditions = {c.get("type"): c.get("status") for c in status.get("conditions") or []}
    variables = {
        "node_name": metadata["name"],
        "addresses": addresses,
        "labels": labels,
        "annotations": metadata.get("annotations") or {},
        "ready": conditions.get("Ready") == "True",
        "schedulable": not spec.get("unschedulable", False),
        "taints": spec.get("taints") or [],
        "capacity": status.get("capacity") or {},
        "allocatable": status.get("allocatable") or {},
        "pods": sorted(pods.get(metadata["name"], [])),
        "zone": next((labels[name] for name in _ZONES if labels.get(name)), None),
    }
    reachable = (a["address"] for kind in _REACHABLE for a in addresses if a["type"] == kind)
    return NodeRecord(
        name=metadata["name"],
        address=next(reachable, None),
        variables=variables,
        ids=_identities(str(spec.get("providerID") or "")),
        addresses=tuple(dict.fromkeys(a["address"] for a in addresses)),
    )


def _identities(provider_id: str) -> tuple[str, ...]:
    """By which a cloud may know the node. An instance's id ends a providerID, except for Google, where its
    name does."""
    if not provider_id:
        return ()
    ending = () if provider_id.startswith("gce://") else (provider_id.rpartition("/")[2],)
    return (provider_id, *ending)
