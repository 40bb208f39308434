# SPDX-License-Identifier: GPL-3.0-or-later
"""What a kubelet may: its node, its lease, the pods bound to it, and what those pods name.

A kubelet is a user `system:node:NAME` in the group `system:nodes`. After the API reference's "Node
authorization". `NodePods` answers which pods are on a node.
"""

from __future__ import annotations

from typing import Protocol

from navarch.api.core.node.identity import is_node, node_of
from navarch.api.machinery import selectors
from navarch.api.machinery.errors import StatusError
from navarch.auth.authz import ALLOWED, NO_OPINION, Attributes, Decision

LEASES = "kube-node-lease"

_READ = ("get", "list", "watch")
_CSR = "certificates.k8s.io"


class NodePods(Protocol):
    async def node_of_pod(self, namespace: str, name: str) -> str | None:
        """The node that the pod is bound to, "" before it is; None when there is no such pod.

        Raises StatusError 500 for a pod that is stored and cannot be read.
        """

    async def names_object(self, node: str, resource: str, namespace: str, name: str) -> bool:
        """Whether a pod bound to the node names the object (secrets, configmaps, persistentvolumeclaims,
        serviceaccounts).
        """


class NodeAuthorizer:
    def __init__(self, pods: NodePods) -> None:
        self._pods = pods

    async def authorize(self, attributes: Attributes) -> Decision:
        a = attributes
        if not is_node(a.user.name, a.user.groups) or not a.resource:
            return NO_OPINION
        node = node_of(a.user.name, a.user.groups)
        if node is None:
            return Decision(None, "the name of the node is not valid")
        if a.group == "":
            return await self._core(node, a)
        if a.group == "coordination.k8s.io" and a.resource == "leases":
            return self._lease(node, a)
        if a.group == _CSR and a.resource == "certificatesigningrequests" and not a.subresource:
            # Which requests of a kubelet are signed is the csr controller's decision.
            return _yes(a.verb in ("create", *_READ), "a kubelet may only create and read signing requests")
        if a.group == "events.k8s.io" and a.resource == "events":
            return _yes(a.verb in ("create", "patch", "update"), "a kubelet may only write events")
        if a.group in ("authentication.k8s.io", "authorization.k8s.io"):
            return _yes(
                a.verb == "create" and a.resource in ("tokenreviews", "subjectaccessreviews"),
                "a kubelet may only ask for reviews",
            )
        if a.resource in ("csinodes", "runtimeclasses", "endpointslices", "csidrivers"):
            return _yes(a.verb in _READ, "a kubelet may only read these")
        return NO_OPINION

    async def _core(self, node: str, a: Attributes) -> Decision:
        match a.resource:
            case "nodes":
                return self._node(node, a)
            case "pods":
                return await self._pod(node, a)
            case "secrets" | "configmaps":
                return await self._named(node, a)
            case "services" | "endpoints" | "namespaces":
                return _yes(a.verb in _READ and not a.subresource, f"a kubelet may only read {a.resource}")
            case "serviceaccounts":
                return await self._token(node, a)
            case "events":
                return _yes(a.verb in ("create", "patch", "update"), "a kubelet may only write events")
        return NO_OPINION

    async def _token(self, node: str, a: Attributes) -> Decision:
        """For which of its pods a token may be is looked at when it is made."""
        if a.verb != "create" or a.subresource != "token" or not a.name:
            return Decision(None, "a kubelet may only create tokens of service accounts that its pods run as")
        found = await self._pods.names_object(node, "serviceaccounts", a.namespace, a.name)
        return _yes(found, f"no pod bound to node {node} runs as it")

    def _node(self, node: str, a: Attributes) -> Decision:
        if a.verb in _READ and not a.subresource:
            return ALLOWED
        if a.verb == "create" and not a.subresource:
            # The body's name is not known here; node names come from certificates, and admission of the rest
            # is the registry's.
            return _yes(a.name in ("", node), "a kubelet may only register its own node")
        own = a.name == node
        if a.verb in ("update", "patch") and a.subresource in ("", "status"):
            return _yes(own, "a kubelet may only change its own node")
        return Decision(None, f"a kubelet may not {a.verb} nodes")

    def _lease(self, node: str, a: Attributes) -> Decision:
        own = a.namespace == LEASES and (a.name == node or (a.verb == "create" and not a.name))
        return _yes(
            own and a.verb in ("get", "create", "update", "patch", "delete"),
            "a kubelet may only use its own lease",
        )

    async def _pod(self, node: str, a: Attributes) -> Decision:
        if a.verb in ("list", "watch") and not a.name:
            return _yes(
                _selected(a.fields, "spec.nodeName") == node,
                f"a kubelet may only list and watch pods with the field selector spec.nodeName={node}",
            )
        if a.verb == "create" and not a.subresource:
            return Decision(None, "mirror pods are not supported")
        allowed = (
            (a.verb in ("get", "watch") and a.subresource in ("", "status"))
            or (a.verb == "delete" and not a.subresource)
            or (a.verb in ("update", "patch") and a.subresource == "status")
            or (a.verb == "create" and a.subresource == "eviction")
        )
        if not allowed:
            return Decision(None, f"a kubelet may not {a.verb} {a.full_resource}")
        # A pod that is not there is answered 404, as to everybody: a kubelet ends what runs only when
        # it knows that its pod is gone. Names of pods are no secret to nodes, which read all endpoints.
        bound = await self._pods.node_of_pod(a.namespace, a.name)
        return _yes(bound in (None, node), f"the pod is not bound to node {node}")

    async def _named(self, node: str, a: Attributes) -> Decision:
        name = a.name or _selected(a.fields, "metadata.name")
        if a.verb not in _READ or a.subresource or not name or not a.namespace:
            return Decision(None, f"a kubelet may only read single {a.resource} that its pods name")
        found = await self._pods.names_object(node, a.resource, a.namespace, name)
        return _yes(found, f"no pod bound to node {node} names it")


def _yes(condition: bool, otherwise: str) -> Decision:
    return ALLOWED if condition else Decision(None, otherwise)


def _selected(fields: str, path: str) -> str:
    """The value a field selector fixes for a path, or ""."""
    if not fields:
        return ""
    try:
        return selectors.parse_fields(fields).exact().get(path, "")
    except StatusError:
        return ""
