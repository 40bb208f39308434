# SPDX-License-Identifier: GPL-3.0-or-later
"""Discovery: which groups, versions and resources there are, in the classic form and as one aggregated
document (v2).

Made from the scheme once; the scheme does not change while the server runs.
"""

from __future__ import annotations

from functools import cached_property
from hashlib import sha256
from typing import Any

import msgspec

from navarch import API_LEVEL, GIT_VERSION
from navarch.api.machinery.scheme import Kind, Scheme

_encode = msgspec.json.encode

#: Kind (and its group and version, where these are not the resource's own) and verbs of subresources.
_SUBRESOURCES: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "scale": ("Scale", "autoscaling", "v1", ("get", "patch", "update")),
    "binding": ("Binding", "", "v1", ("create",)),
    "eviction": ("Eviction", "policy", "v1", ("create",)),
    "token": ("TokenRequest", "authentication.k8s.io", "v1", ("create",)),
    "log": ("Pod", "", "v1", ("get",)),
    "exec": ("PodExecOptions", "", "v1", ("create", "get")),
    "attach": ("PodAttachOptions", "", "v1", ("create", "get")),
    "portforward": ("PodPortForwardOptions", "", "v1", ("create", "get")),
    "finalize": ("", "", "", ("update",)),
    "ephemeralcontainers": ("", "", "", ("get", "patch", "update")),
    "resize": ("", "", "", ("get", "patch", "update")),
}
_STATUS = ("", "", "", ("get", "patch", "update"))

#: Names of machines as the API has them.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def _subresource(name: str) -> tuple[str, str, str, tuple[str, ...]]:
    return _SUBRESOURCES.get(name, _STATUS)


def verbs_of(subresource: str) -> tuple[str, ...]:
    """What may be done to a subresource of this name."""
    return _subresource(subresource)[3]


def _storage_hash(kind: Kind[Any]) -> str:
    return sha256(kind.root.encode()).hexdigest()[:11]


class Discovery:
    def __init__(self, scheme: Scheme) -> None:
        self._scheme = scheme
        self._groups: dict[str, list[str]] = {}
        for group, version in sorted({(k.group, k.version) for k in scheme if k.verbs}):
            self._groups.setdefault(group, []).append(version)

    def _kinds(self, group: str, version: str) -> list[Kind[Any]]:
        found = [k for k in self._scheme if (k.group, k.version) == (group, version) and k.verbs]
        return sorted(found, key=lambda k: k.resource)

    @cached_property
    def version(self) -> bytes:
        """`/version`."""
        import platform

        return _encode(
            {
                "major": API_LEVEL[0],
                "minor": API_LEVEL[1],
                "gitVersion": GIT_VERSION,
                "gitCommit": "",
                "gitTreeState": "clean",
                "buildDate": "",
                "goVersion": f"python{platform.python_version()}",
                "compiler": platform.python_implementation(),
                "platform": f"linux/{_ARCHITECTURES.get(platform.machine(), platform.machine())}",
            }
        )

    @cached_property
    def core_versions(self) -> bytes:
        """`/api`."""
        return _encode(
            {
                "kind": "APIVersions",
                "versions": self._groups.get("", ["v1"]),
                "serverAddressByClientCIDRs": [],
            }
        )

    def _group(self, group: str) -> dict[str, Any]:
        versions = [{"groupVersion": f"{group}/{v}", "version": v} for v in self._groups[group]]
        return {"name": group, "versions": versions, "preferredVersion": versions[0]}

    @cached_property
    def groups(self) -> bytes:
        """`/apis`."""
        named = [self._group(g) for g in self._groups if g]
        return _encode({"kind": "APIGroupList", "apiVersion": "v1", "groups": named})

    def group(self, group: str) -> bytes | None:
        """`/apis/GROUP`."""
        if not group or group not in self._groups:
            return None
        return _encode({"kind": "APIGroup", "apiVersion": "v1", **self._group(group)})

    def resources(self, group: str, version: str) -> bytes | None:
        """`/api/v1`, `/apis/GROUP/VERSION`: an APIResourceList."""
        kinds = self._kinds(group, version)
        if not kinds:
            return None
        found: list[dict[str, Any]] = []
        for kind in kinds:
            entry: dict[str, Any] = {
                "name": kind.resource,
                "singularName": kind.singular,
                "namespaced": kind.namespaced,
                "kind": kind.kind,
                "verbs": sorted(kind.verbs),
            }
            if kind.short_names:
                entry["shortNames"] = list(kind.short_names)
            if kind.categories:
                entry["categories"] = list(kind.categories)
            if kind.stored:
                entry["storageVersionHash"] = _storage_hash(kind)
            found.append(entry)
            for name in sorted(kind.subresources):
                other, other_group, other_version, verbs = _subresource(name)
                entry = {
                    "name": f"{kind.resource}/{name}",
                    "singularName": "",
                    "namespaced": kind.namespaced,
                    "kind": other or kind.kind,
                    "verbs": list(verbs),
                }
                if other and (other_group, other_version) != (kind.group, kind.version):
                    entry["group"] = other_group
                    entry["version"] = other_version
                found.append(entry)
        version_name = f"{group}/{version}" if group else version
        return _encode(
            {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version_name, "resources": found}
        )

    @cached_property
    def aggregated_core(self) -> bytes:
        """`/api` as an APIGroupDiscoveryList."""
        return self._aggregated([""])

    @cached_property
    def aggregated_groups(self) -> bytes:
        """`/apis` as an APIGroupDiscoveryList."""
        return self._aggregated([g for g in self._groups if g])

    def _aggregated(self, groups: list[str]) -> bytes:
        items = []
        for group in groups:
            versions = []
            for version in self._groups.get(group, ()):
                resources = [self._aggregated_resource(k) for k in self._kinds(group, version)]
                versions.append({"version": version, "resources": resources, "freshness": "Current"})
            items.append({"metadata": {"name": group} if group else {}, "versions": versions})
        return _encode(
            {
                "kind": "APIGroupDiscoveryList",
                "apiVersion": "apidiscovery.k8s.io/v2",
                "metadata": {},
                "items": items,
            }
        )

    def _aggregated_resource(self, kind: Kind[Any]) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "resource": kind.resource,
            "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "singularResource": kind.singular,
            "verbs": sorted(kind.verbs),
        }
        if kind.short_names:
            entry["shortNames"] = list(kind.short_names)
        if kind.categories:
            entry["categories"] = list(kind.categories)
        if kind.subresources:
            entry["subresources"] = [self._aggregated_subresource(kind, s) for s in sorted(kind.subresources)]
        return entry

    def _aggregated_subresource(self, kind: Kind[Any], name: str) -> dict[str, Any]:
        other, group, version, verbs = _subresource(name)
        if not other:
            other, group, version = kind.kind, kind.group, kind.version
        return {
            "subresource": name,
            "responseKind": {"group": group, "version": version, "kind": other},
            "verbs": list(verbs),
        }
