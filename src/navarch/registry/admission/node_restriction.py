# SPDX-License-Identifier: GPL-3.0-or-later
"""A kubelet touches its own node, the pods on it and its lease, and nothing else.

The rules are those of the reference's NodeRestriction, and a few more: what a node says of itself is not
taken as proof. Which addresses a kubelet may give its pods is `pod_addresses`.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from navarch.api.core.node.identity import is_node, node_of
from navarch.api.core.node.node import NodeSpec
from navarch.api.core.pod.references import named
from navarch.api.core.pod.update import MIRROR
from navarch.api.machinery.errors import StatusError, forbidden_request
from navarch.api.machinery.meta import ObjectMeta
from navarch.api.machinery.scheme import Kind
from navarch.registry.admission import Admission, Operation, Request

LEASES = "kube-node-lease"
_RESTRICTED = "node-restriction.kubernetes.io"

_LABELS = frozenset(
    {
        "kubernetes.io/hostname",
        "kubernetes.io/arch",
        "kubernetes.io/os",
        "beta.kubernetes.io/arch",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/instance-type",
        "node.kubernetes.io/instance-type",
        "failure-domain.beta.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "failure-domain.kubernetes.io/region",
        "failure-domain.kubernetes.io/zone",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    }
)
_OPEN = ("kubelet.kubernetes.io", "node.kubernetes.io")
_CLOSED = ("kubernetes.io", "k8s.io")


class NodeRestriction(Admission):
    def handles(self, kind: Kind[Any], operation: Operation) -> bool:
        return (kind.group, kind.resource) in (
            ("", "pods"),
            ("", "nodes"),
            ("coordination.k8s.io", "leases"),
        )

    def validate(self, request: Request) -> None:
        user = request.ctx.user
        if not is_node(user.name, user.groups):
            return
        node = node_of(user.name, user.groups)
        if node is None:
            raise _refused(request, f'could not determine node from user "{user.name}"')
        match request.kind.resource:
            case "pods":
                why = _pod(request, node)
            case "nodes":
                why = _node(request, node)
            case _:
                why = _lease(request, node)
        if why:
            raise _refused(request, why)


def _refused(request: Request, why: str) -> StatusError:
    return forbidden_request(request.kind.resource, request.name, why, request.kind.group)


def _pod(request: Request, node: str) -> str | None:
    match request.operation, request.subresource:
        case "CREATE", "":
            return _mirror_pod(request.obj, node)
        case "UPDATE", "status":
            if request.old.spec is None or request.old.spec.node_name != node:
                return f'node "{node}" can only update pod status for pods with spec.nodeName set to itself'
            new, old = request.obj.metadata, request.old.metadata
            if (new.labels or {}) != (old.labels or {}):
                return f'node "{node}" cannot update labels through pod status'
            if (new.finalizers or []) != (old.finalizers or []):
                return f'node "{node}" cannot update finalizers through pod status'
            return None
        case "DELETE", _:
            if request.old.spec is None or request.old.spec.node_name != node:
                return f'node "{node}" can only delete pods with spec.nodeName set to itself'
            return None
    return f'node "{node}" can only create and delete mirror pods and update the status of its pods'


def _mirror_pod(pod: Any, node: str) -> str | None:
    """A pod that a kubelet makes must stand for one it runs anyway, and give it nothing it could not have."""
    if MIRROR not in (pod.metadata.annotations or ()):
        return f'pod does not have "{MIRROR}" annotation, node "{node}" can only create mirror pods'
    spec = pod.spec
    if spec.node_name != node:
        return f'node "{node}" can only create pods with spec.nodeName set to itself'
    for owner in pod.metadata.owner_references or ():
        if owner.api_version != "v1" or owner.kind != "Node" or owner.name != node:
            return f'node "{node}" can only create pods with an owner reference set to itself'
    if spec.service_account_name or spec.service_account:
        return f'node "{node}" can not create pods that reference a service account'
    # Environment and pull secrets too. Resource claims: CVE-2025-4563.
    refers = named(spec, "secrets") or named(spec, "configmaps") or spec.resource_claims
    for volume in spec.volumes or ():
        for source in ("projected", "persistent_volume_claim", "ephemeral", "csi"):
            refers = refers or getattr(volume, source, None) is not None
    if refers:
        return f'node "{node}" can not create pods that reference secrets, config maps or claims'
    return None


def _node(request: Request, node: str) -> str | None:
    if request.name != node:
        return f'node "{node}" is not allowed to modify node "{request.name}"'
    if request.operation == "DELETE":
        return None
    new, old = request.obj, request.old
    meta, before = new.metadata, old.metadata if old is not None else ObjectMeta()
    # The garbage collector deletes a node whose owner is gone, and it comes back without its taints
    # (CVE-2025-5187).
    if (meta.owner_references or []) != (before.owner_references or []):
        return f'node "{node}" is not allowed to modify ownerReferences'
    if (meta.finalizers or []) != (before.finalizers or []):
        return f'node "{node}" is not allowed to modify finalizers'
    spec = new.spec or NodeSpec()
    if old is None:
        # Taints are its own to choose now: they keep pods away until somebody has prepared the node.
        kept = NodeSpec(taints=spec.taints, unschedulable=spec.unschedulable)
    else:
        kept = old.spec or NodeSpec()
        if (spec.taints or []) != (kept.taints or []):
            return f'node "{node}" is not allowed to modify taints'
        kept = replace(kept, taints=spec.taints)
    # What the kubelet of a cloud may say of itself: the id of its machine.
    if spec != replace(kept, provider_id=spec.provider_id):
        return f'node "{node}" is not allowed to modify the spec of its node'
    return _changed_labels(meta.labels, before.labels, node)


def _changed_labels(new: dict[str, str] | None, old: dict[str, str] | None, node: str) -> str | None:
    now, then = new or {}, old or {}
    changed = sorted(key for key in now.keys() | then.keys() if now.get(key) != then.get(key))
    wrong = [key for key in changed if not _own_label(key)]
    if wrong:
        return f'node "{node}" is not allowed to modify labels: {", ".join(wrong)}'
    return None


def _own_label(key: str) -> bool:
    """Whether a kubelet may set this label of its node."""
    domain, slash, _ = key.rpartition("/")
    if not slash or key in _LABELS:
        return True
    if _within(domain, (_RESTRICTED,)):
        return False
    return _within(domain, _OPEN) or not _within(domain, _CLOSED)


def _within(domain: str, zones: tuple[str, ...]) -> bool:
    return any(domain == zone or domain.endswith(f".{zone}") for zone in zones)


def _lease(request: Request, node: str) -> str | None:
    if request.namespace != LEASES:
        return f'can only access leases in the "{LEASES}" system namespace'
    if request.name != node:
        return "can only access node lease with the same name as the requesting node"
    return None
