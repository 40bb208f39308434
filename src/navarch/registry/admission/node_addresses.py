# SPDX-License-Identifier: GPL-3.0-or-later
"""A kubelet reports no address or name that is the master's, a service's, a pod's or another node's.

The rule is `api.core.node.address`. Which address belongs to which node is read from the nodes themselves
(the store's events). Addresses that a node has already are not checked again. Administrators and cloud
controllers may write any address.
"""

from __future__ import annotations

from typing import Any

from navarch.api.core.node import address as node_address
from navarch.api.core.node.address import Holder, Reserved
from navarch.api.core.node.identity import node_of
from navarch.api.core.node.node import Node
from navarch.api.machinery.errors import forbidden_request
from navarch.api.machinery.scheme import Kind
from navarch.registry.admission import Operation, Request
from navarch.registry.admission.followed import FollowsKind


class NodeAddresses(FollowsKind[Node]):
    resource = "nodes"

    def __init__(self, reserved: Reserved) -> None:
        super().__init__()
        self._reserved = reserved
        #: By what they have (as `node_address.key` writes it), then by the key of the node.
        self._holders: dict[str, dict[str, Holder]] = {}
        self._held: dict[str, set[str]] = {}
        #: What writes under way ask for -> the node.
        self._claims: dict[str, str] = {}

    def learn(self, key: str, node: Node | None) -> None:
        for value in self._held.pop(key, ()):
            holders = self._holders[value]
            del holders[key]
            if not holders:
                del self._holders[value]
        if node is None:
            return
        meta = node.metadata
        name = meta.name or ""
        holder = Holder(name, meta.creation_timestamp or "", _living(node))
        held = {node_address.key(value) for value in [name, *_addresses(node)]}
        for value in held:
            self._holders.setdefault(value, {})[key] = holder
        self._held[key] = held

    def handles(self, kind: Kind[Any], operation: Operation) -> bool:
        return kind.type is Node and operation in ("CREATE", "UPDATE")

    def validate(self, request: Request) -> None:
        node = node_of(request.ctx.user.name, request.ctx.user.groups)
        if node is None or node != request.name:
            return
        old = (
            {node_address.key(value) for value in _addresses(request.old)} if request.old is not None else ()
        )
        for value in _addresses(request.obj):
            key = node_address.key(value)
            if key in old:
                continue
            why = self._reserved.refusal(value, node)
            if not why and key != node_address.key(node):
                why = node_address.taken(value, node, self._holders.get(key, {}).values())
                if not why and self._claims.get(key, node) != node:
                    why = f"{value} belongs to node {self._claims[key]}"
            if why:
                raise forbidden_request(
                    request.kind.resource, request.name, f'node "{node}" cannot have that address: {why}'
                )
            self._claim(key, node, request)

    def _claim(self, key: str, node: str, request: Request) -> None:
        """Keep it for this write until it has ended."""
        if key not in self._claims:
            self._claims[key] = node
            request.on_done(lambda: self._release(key))

    def _release(self, key: str) -> None:
        del self._claims[key]


def _addresses(node: Node) -> list[str]:
    return [
        a.address for a in (node.status.addresses if node.status is not None else None) or () if a.address
    ]


def _living(node: Node) -> bool:
    conditions = (node.status.conditions if node.status is not None else None) or ()
    return not any(c.type == "Ready" and c.status == "Unknown" for c in conditions)
