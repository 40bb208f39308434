# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which kinds a cluster has, and how its API names them. Asked once for a client, and only what is needed.

Belongs here: the discovery documents of the API (``/api``, ``/apis``). Not here: any knowledge of a kind.
"""

from __future__ import annotations

import typing as t

from .client import Client, Kind
from .errors import OptionError, StatusError

Object = t.Dict[str, t.Any]


def kind_of(client: Client, name: str, api_version: str | None = None, option: str = "kind") -> Kind:
    """The kind of this name: as objects write it, or its plural or short name.

    Without ``api_version`` all groups are looked through, the core first, each in the version it prefers.
    """
    versions = [api_version] if api_version else _versions(client)
    for version in versions:
        try:
            kinds = _kinds(client, version)
        except StatusError as problem:
            if api_version or problem.code != 503:
                raise
            continue  # a group whose own server is away has nothing to say of others
        for kind, names in kinds:
            if name == kind.kind or name.lower() in names:
                return kind
    where = " of %s" % api_version if api_version else ""
    raise UnknownKind(option, "the cluster has no kind %s%s" % (name, where))


def api_versions(client: Client) -> list[str]:
    """Every group and version that the cluster serves."""
    groups = client.ask("/apis").get("groups") or []
    return ["v1"] + [version["groupVersion"] for group in groups for version in group["versions"]]


def forget(client: Client) -> None:
    """Asks anew next time: something may have been added."""
    client.known.clear()


class UnknownKind(OptionError):
    """The cluster serves nothing of that name."""


def _versions(client: Client) -> list[str]:
    if "versions" not in client.known:
        groups = client.ask("/apis").get("groups") or []
        client.known["versions"] = ["v1"] + [group["preferredVersion"]["groupVersion"] for group in groups]
    found: list[str] = client.known["versions"]
    return found


def _kinds(client: Client, api_version: str) -> list[tuple[Kind, frozenset[str]]]:
    """The kinds of one group and version, each with its other names."""
    if api_version not in client.known:
        try:
            answer = client.ask(("/apis/" if "/" in api_version else "/api/") + api_version)
        except StatusError as problem:
            if problem.code != 404:
                raise
            answer = {}
        client.known[api_version] = [
            _described(api_version, entry)
            for entry in answer.get("resources") or []
            if "/" not in entry["name"]
        ]
    found: list[tuple[Kind, frozenset[str]]] = client.known[api_version]
    return found


def _described(api_version: str, entry: Object) -> tuple[Kind, frozenset[str]]:
    names = [entry["name"], entry.get("singularName") or "", *(entry.get("shortNames") or [])]
    kind = Kind(api_version, entry["kind"], entry["name"], bool(entry.get("namespaced")), strategic=False)
    return kind, frozenset(name for name in [*names, entry["kind"].lower()] if name)
