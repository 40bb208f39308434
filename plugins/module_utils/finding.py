# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Finding objects for the modules that only look. Not here: looking at more than objects (``info``)."""

from __future__ import annotations

import typing as t

from .client import Client, Kind


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
    """The result of an ``_info`` module, with the objects under ``key``."""
    namespace = params.get("namespace") or ("default" if params.get("name") else None)
    return {"changed": False, key: find(client, kind, namespace, params)}
