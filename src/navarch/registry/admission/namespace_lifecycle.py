# SPDX-License-Identifier: GPL-3.0-or-later
"""Namespaces must exist and not be ending for something to be made in them, and some never end."""

from __future__ import annotations

from typing import Any

from navarch.api.machinery.errors import forbidden_request
from navarch.api.machinery.scheme import Kind
from navarch.registry.admission import Admission, Operation, Request
from navarch.registry.core import Core, Resource

#: Made at the first start, and not to be deleted.
IMMORTAL = ("default", "kube-system", "kube-public", "kube-node-lease")


class NamespaceLifecycle(Admission):
    def __init__(self) -> None:
        self._namespaces: Resource | None = None
        #: name -> (revision looked at, whether the namespace was ending)
        self._known: dict[str, tuple[int, bool]] = {}

    async def start(self, core: Core) -> None:
        self._namespaces = core.named("", "v1", "namespaces")

    def handles(self, kind: Kind[Any], operation: Operation) -> bool:
        if kind.resource == "namespaces" and not kind.group:
            return operation == "DELETE"
        return kind.namespaced and operation == "CREATE"

    def mutate(self, request: Request) -> Any:
        # Changes nothing; checked here because a missing namespace is reported before anything else.
        kind, namespace = request.kind, request.namespace
        if self._namespaces is None or namespace is None or request.subresource:
            return request.obj
        ending = self._ending(self._namespaces, namespace)
        if ending is None:
            raise self._namespaces.absent(None, namespace)
        if ending:
            refusal = forbidden_request(
                kind.resource,
                request.name,
                f"unable to create new content in namespace {namespace} because it is being terminated",
                kind.group,
            )
            cause = {
                "reason": "NamespaceTerminating",
                "message": f"namespace {namespace} is being terminated",
                "field": "metadata.namespace",
            }
            refusal.details = {**(refusal.details or {}), "causes": [cause]}
            raise refusal
        return request.obj

    def _ending(self, namespaces: Resource, name: str) -> bool | None:
        """None when there is no such namespace."""
        entry = namespaces.cache.get(namespaces.kind.root + name)
        if entry is None:
            self._known.pop(name, None)
            return None
        known = self._known.get(name)
        if known is None or known[0] != entry.revision:
            found = namespaces.object(entry)
            phase = found.status.phase if found.status is not None else None
            ending = found.metadata.deletion_timestamp is not None or phase == "Terminating"
            known = self._known[name] = (entry.revision, ending)
        return known[1]

    def validate(self, request: Request) -> None:
        if request.operation == "DELETE" and request.name in IMMORTAL:
            raise forbidden_request("namespaces", request.name, "this namespace may not be deleted")
