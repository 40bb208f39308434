# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""What ``_info`` modules return: objects that options select, and a summary of the cluster. Only reads."""

from __future__ import annotations

import typing as t

from .._api.client import NODE, Client, Kind
from .._api.discovery import api_versions
from .redaction import without_secrets


def find(
    client: Client, kind: Kind, namespace: str | None, params: t.Mapping[str, t.Any]
) -> list[dict[str, t.Any]]:
    """The objects that the options name, label_selectors and field_selectors select, in a lasting order."""
    fields = list(params["field_selectors"])
    if params.get("name") is not None:
        fields.append("metadata.name=%s" % params["name"])
    items, _version = client.list(kind, namespace, params["label_selectors"], fields)
    return sorted(items, key=lambda item: (item["metadata"].get("namespace") or "", item["metadata"]["name"]))


def found(client: Client, kind: Kind, params: t.Mapping[str, t.Any], key: str) -> dict[str, t.Any]:
    """The result of an ``_info`` module, with the objects under ``key``; without what secrets hold where the
    module has the option ``reveal`` and it is not set.
    """
    namespace = params.get("namespace") or ("default" if params.get("name") else None)
    items = find(client, kind, namespace, params)
    if params.get("reveal") is False:
        items = [t.cast("dict[str, t.Any]", without_secrets(item)) for item in items]
    return {"changed": False, key: items}


def cluster(client: Client) -> dict[str, t.Any]:
    """What the cluster says of itself."""
    nodes, _version = client.list(NODE)
    ready = [node for node in nodes if _is_ready(node)]
    free = [node for node in ready if not (node.get("spec") or {}).get("unschedulable")]
    return {
        "changed": False,
        "server": client.connection.server,
        "version": client.ask("/version"),
        "api_versions": api_versions(client),
        "nodes": {"total": len(nodes), "ready": len(ready), "schedulable": len(free)},
    }


def _is_ready(node: t.Mapping[str, t.Any]) -> bool:
    conditions = (node.get("status") or {}).get("conditions") or []
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
