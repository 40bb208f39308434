# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Inventory source: the nodes that a cluster itself knows, and the pods on them."""

from __future__ import annotations

import typing as t
from dataclasses import astuple

from ansible_collections.navarch.cluster.plugins.module_utils._api.client import NODE, POD, Client
from ansible_collections.navarch.cluster.plugins.module_utils._api.kubeconfig import connect_params
from ansible_collections.navarch.cluster.plugins.module_utils._api.kubeconfig import (
    secrets as kubeconfig_secrets,
)
from ansible_collections.navarch.cluster.plugins.module_utils._module.args import Spec, auth_spec
from ansible_collections.navarch.cluster.plugins.plugin_utils.node_records import NodeRecord
from ansible_collections.navarch.cluster.plugins.plugin_utils.provider_ids import of_node

#: Where a connection is best made to, first to last.
_REACHABLE = ("InternalIP", "ExternalIP", "InternalDNS", "Hostname", "ExternalDNS")
_NUMBERED = ("InternalIP", "ExternalIP")
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


def identity(options: t.Mapping[str, t.Any]) -> t.Any:
    """The cluster's address and the credentials, which the environment and kubeconfigs tell of too."""
    return astuple(connect_params(options))


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
    provider, ids = of_node(str(spec.get("providerID") or ""), metadata["name"])
    return NodeRecord(
        name=metadata["name"],
        address=next(reachable, None),
        variables=variables,
        ids=ids,
        addresses=tuple(dict.fromkeys(a["address"] for a in addresses if a["type"] in _NUMBERED)),
        host_names=tuple(dict.fromkeys(a["address"] for a in addresses if a["type"] not in _NUMBERED)),
        provider=provider,
        node=True,
    )
