# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods bound to a node and the objects they name: the node authorizer's `NodePods`, from the cache."""

from __future__ import annotations

from typing import Any

from navarch.api.core.pod.references import named
from navarch.api.machinery import selectors
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.scheme import Kind
from navarch.auth.user import SYSTEM
from navarch.registry.context import Context
from navarch.registry.query import Query
from navarch.registry.registry import Registry


class PodsOfNodes:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        kind = registry.scheme.resource("", "v1", "pods")
        assert kind is not None
        self._kind: Kind[Any] = kind

    async def node_of_pod(self, namespace: str, name: str) -> str | None:
        try:
            entry = self._registry.entry(self._kind, namespace, name)
        except StatusError as error:
            if error.code != 404:
                raise
            return None
        return entry.field("spec.nodeName") or ""

    async def names_object(self, node: str, resource: str, namespace: str, name: str) -> bool:
        fields = selectors.FieldSelector([("spec.nodeName", False, node)])
        wanted = name.encode()
        for entry in self._registry.list(
            self._kind, Query(namespace, fields=fields), Context(SYSTEM)
        ).entries:
            # The name as bytes is a cheap first look: most pods do not name it and are never decoded.
            if wanted in entry.value:
                pod = self._registry.object(self._kind, entry)
                if pod.spec is not None and name in named(pod.spec, resource):
                    return True
        return False
