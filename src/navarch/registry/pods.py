# SPDX-License-Identifier: GPL-3.0-or-later
"""What pods alone can do: be bound to a node, be evicted."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from navarch.api.core.pod.pod import POD, Pod
from navarch.api.core.pod.spec import PodSpec
from navarch.api.core.pod.status import PodCondition, PodStatus
from navarch.api.machinery.errors import StatusError, conflict, invalid_object, not_supported, required
from navarch.api.machinery.meta import DeleteOptions
from navarch.registry import metadata, stamps
from navarch.registry.admission import Request
from navarch.registry.context import Context, Stored, versioned
from navarch.registry.core import Core, refused
from navarch.registry.deletion import Deletion
from navarch.store import base as store

_encode = msgspec.json.Encoder().encode


class Pods:
    def __init__(self, core: Core, deletion: Deletion) -> None:
        self._core = core
        self._deletion = deletion

    async def bind(self, namespace: str | None, name: str, binding: Any, ctx: Context) -> Stored:
        """Create a v1 Binding: the target becomes spec.nodeName. Raises StatusError 404, 409, 422."""
        target = binding.target
        errors = []
        if target.kind not in (None, "", "Node", "Minion"):
            errors.append(not_supported("target.kind", target.kind, ["Node", "<empty>"]))
        if not target.name:
            errors.append(required("target.name"))
        if errors:
            raise invalid_object("Binding", name, errors)
        meta = binding.metadata
        return await self.assign(
            namespace, name, target.name, ctx, uid=meta.uid, annotations=meta.annotations
        )

    async def assign(
        self,
        namespace: str | None,
        name: str,
        node: str,
        ctx: Context,
        *,
        uid: str | None = None,
        annotations: dict[str, str] | None = None,
    ) -> Stored:
        """Give a pod its node."""
        res = self._core.resource(POD)
        while True:
            entry = res.entry(namespace, name)
            pod: Pod = res.object(entry)
            _check(pod, name, uid)
            new = _assigned(pod, node, annotations)
            request = Request("CREATE", POD, namespace, name, "binding", new, pod, ctx)
            try:
                res.validate(request)
                if ctx.dry_run:
                    return Stored(entry.value, entry.revision, pod)
                value = _encode(new)
                revision = await self._core.store.update(entry.key, value, expected=entry.revision, hint=new)
            except (store.Conflict, store.Missing):
                continue  # Another writer came first; the cache has its state by now.
            except store.Unavailable as exc:
                raise refused(exc) from exc
            finally:
                request.close()
            return Stored(POD.splice(value, revision), revision, versioned(new, revision))

    async def evict(self, namespace: str | None, name: str, eviction: Any, ctx: Context) -> Stored:
        """Create a policy/v1 Eviction: a deletion that disruption budgets may refuse (there are none yet)."""
        options = eviction.delete_options or DeleteOptions()
        return await self._deletion.delete(POD, namespace, name, options, ctx, says=_evicted)


def _evicted(pod: Pod) -> Pod:
    """Its end is the cluster's doing: who counts failures leaves it out."""
    if pod.metadata.deletion_timestamp is not None:
        return pod
    return _with_condition(
        pod,
        PodCondition(
            type="DisruptionTarget",
            status="True",
            reason="EvictionByEvictionAPI",
            message="Eviction API: evicting",
            last_transition_time=stamps.second(),
        ),
    )


def _with_condition(pod: Pod, condition: PodCondition) -> Pod:
    status = pod.status or PodStatus()
    others = [c for c in status.conditions or () if c.type != condition.type]
    return replace(pod, status=replace(status, conditions=[*others, condition]))


def _check(pod: Pod, name: str, uid: str | None) -> None:
    """Raises StatusError 409."""
    meta, spec = pod.metadata, pod.spec
    if uid and uid != meta.uid:
        raise _refused(name, metadata.precondition_failed("UID", uid, meta.uid or ""))
    if meta.deletion_timestamp is not None:
        raise _refused(name, f"pod {name} is being deleted, cannot be assigned to a host")
    if spec is not None and spec.node_name:
        raise _refused(name, f'pod {name} is already assigned to node "{spec.node_name}"')
    if spec is not None and spec.scheduling_gates:
        raise _refused(name, f"pod {name} has non-empty .spec.schedulingGates")


def _refused(name: str, why: str) -> StatusError:
    return conflict("pods/binding", name, why)


def _assigned(pod: Pod, node: str, annotations: dict[str, str] | None) -> Pod:
    meta = replace(pod.metadata, resource_version="")
    if annotations:
        meta = replace(meta, annotations={**(meta.annotations or {}), **annotations})
    scheduled = PodCondition(type="PodScheduled", status="True", last_transition_time=stamps.second())
    pod = replace(pod, metadata=meta, spec=replace(pod.spec or PodSpec(), node_name=node))
    return _with_condition(pod, scheduled)
