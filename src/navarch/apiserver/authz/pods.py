# SPDX-License-Identifier: GPL-3.0-or-later
"""What is bound to a node, and what that names: the node authorizer's `NodePods`, read from the registry's
cache.
"""

from __future__ import annotations

from typing import Any

from navarch.api import selectors
from navarch.api.scheme import Kind
from navarch.registry.context import SYSTEM, Context
from navarch.registry.registry import Registry


class PodsOfNodes:
    """What is bound to a node and what that names, from the registry's cache: the node authorizer's
    `NodePods`.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        kind = registry.scheme.resource("", "v1", "pods")
        assert kind is not None
        self._kind: Kind[Any] = kind

    async def has_pod(self, node: str, namespace: str, name: str) -> bool:
        fields = selectors.FieldSelector([("metadata.name", False, name), ("spec.nodeName", False, node)])
        found = self._registry.list(self._kind, namespace, Context(SYSTEM), fields=fields)
        return bool(found.entries)

    async def names_object(self, node: str, resource: str, namespace: str, name: str) -> bool:
        fields = selectors.FieldSelector([("spec.nodeName", False, node)])
        wanted = name.encode()
        for entry in self._registry.list(self._kind, namespace, Context(SYSTEM), fields=fields).entries:
            # The name as bytes is a cheap first look: most pods do not name it and are never decoded.
            if wanted in entry.value:
                pod = self._registry.object(self._kind, entry)
                if pod.spec is not None and name in named(pod.spec, resource):
                    return True
        return False


def named(spec: Any, resource: str) -> set[str]:
    """Names of the secrets, configmaps or service accounts that a PodSpec names, wherever it does."""
    found: set[str] = set()
    if resource == "serviceaccounts":
        _add(found, spec, "service_account_name")
        return found
    key = "secret" if resource == "secrets" else "config_map"
    containers = [*(spec.init_containers or ()), *(spec.containers or ()), *(spec.ephemeral_containers or ())]
    for container in containers:
        for source in container.env_from or ():
            _add(found, getattr(source, f"{key}_ref", None), "name")
        for variable in container.env or ():
            _add(found, getattr(variable.value_from, f"{key}_key_ref", None), "name")
    for volume in spec.volumes or ():
        _volume(found, volume, key)
        projected = getattr(volume, "projected", None)
        for source in (projected.sources or ()) if projected is not None else ():
            _add(found, getattr(source, key, None), "name")
    if key == "secret":
        for reference in spec.image_pull_secrets or ():
            _add(found, reference, "name")
    return found


def _volume(found: set[str], volume: Any, key: str) -> None:
    if key == "config_map":
        _add(found, getattr(volume, "config_map", None), "name")
        return
    _add(found, getattr(volume, "secret", None), "secret_name")
    for source in ("cephfs", "rbd", "iscsi", "flex_volume", "scale_io", "storageos", "azure_file"):
        held = getattr(volume, source, None)
        _add(found, held, "secret_name")
        _add(found, getattr(held, "secret_ref", None), "name")
    csi = getattr(volume, "csi", None)
    _add(found, getattr(csi, "node_publish_secret_ref", None), "name")


def _add(found: set[str], holder: Any, field: str) -> None:
    name = getattr(holder, field, None)
    if name:
        found.add(name)
