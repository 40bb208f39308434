# SPDX-License-Identifier: GPL-3.0-or-later
"""Namespace deletion: everything in a terminating namespace is deleted, then the namespace is let go.

Pods go first, and the rest when none is left (KEP-5080), so that none runs without what was to guard it.

What is left meanwhile, and whose finalizers hold it, stands in its conditions.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

import msgspec

from navarch.api.builtin import scheme
from navarch.api.core.namespace import Namespace, NamespaceCondition, NamespaceStatus
from navarch.api.core.pod.pod import Pod
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import Preconditions, now
from navarch.api.machinery.scheme import Kind
from navarch.client.informer import Informer
from navarch.client.workqueue import WorkQueue
from navarch.controllers import views
from navarch.controllers.base import Context
from navarch.controllers.views import Meta, ObjectView, PodView

log = logging.getLogger(__name__)

_FINALIZER = "kubernetes"
_PERIOD = 2.0


class Namespaces:
    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._namespaces: Informer[Namespace] = context.informers.of(Namespace)
        self._queue: WorkQueue[str] = WorkQueue("namespaces")
        self._namespaces.listen(self._on_namespace)
        self._pods = views.pods(context.informers)
        self._pods.listen(self._on_pod)
        kinds = [
            kind
            for kind in scheme()
            if kind.namespaced and kind.stored and "delete" in kind.verbs and "list" in kind.verbs
        ]
        self._kinds: list[Kind[Any]] = sorted(kinds, key=lambda kind: kind.type is not Pod)

    async def run(self) -> None:
        await self._queue.run(self._reconcile, workers=2)

    def _on_namespace(self, old: Namespace | None, new: Namespace | None) -> None:
        if new is not None and new.metadata.deletion_timestamp:
            self._queue.add(new.metadata.name or "")

    def _on_pod(self, old: PodView | None, new: PodView | None) -> None:
        if new is None and old is not None:
            name = old.metadata.namespace or ""
            if not self._pods.count("namespace", name):
                self._on_namespace(None, self._namespaces.get(name))

    async def _reconcile(self, name: str) -> None:
        namespace = self._namespaces.get(name)
        if namespace is None or not namespace.metadata.deletion_timestamp:
            return
        left: dict[str, list[Meta]] = {}
        for kind in self._kinds:
            if rest := await self._empty(kind, name):
                left[kind.full_resource] = rest
                if kind.type is Pod:
                    break
        if left:
            self._queue.add_after(name, _PERIOD if sum(map(len, left.values())) < 100 else _PERIOD * 2)
            await self._update_status(namespace, left)
            return
        finalizers = [
            f for f in (namespace.spec.finalizers if namespace.spec else None) or () if f != _FINALIZER
        ]
        spec = (
            msgspec.structs.replace(namespace.spec, finalizers=finalizers or None) if namespace.spec else None
        )
        try:
            await self._client.update(msgspec.structs.replace(namespace, spec=spec), subresource="finalize")
        except StatusError as error:
            if error.code == 409:
                self._queue.add_after(name, 0.1)
            elif error.code != 404:
                raise

    async def _update_status(self, namespace: Namespace, left: dict[str, list[Meta]]) -> None:
        """Write what is left into the conditions, where it changed."""
        present = {c.type: c for c in (namespace.status.conditions if namespace.status else None) or ()}
        wanted = []
        for type, reason, message in _reasons(left):
            known = present.get(type)
            status = "True" if message else "False"
            if known is not None and (known.status, known.message) == (status, message):
                wanted.append(known)
                continue
            since = known.last_transition_time if known is not None and known.status == status else now()
            if message or known is not None:
                wanted.append(
                    NamespaceCondition(
                        type=type,
                        status=status,
                        reason=reason if message else "NoneRemain",
                        message=message,
                        last_transition_time=since,
                    )
                )
        if wanted == list(present.values()):
            return
        status_ = NamespaceStatus(phase="Terminating", conditions=wanted)
        try:
            await self._client.update(
                msgspec.structs.replace(namespace, status=status_), subresource="status"
            )
        except StatusError as error:
            if error.code not in (404, 409):
                raise

    async def _empty(self, kind: Kind[Any], namespace: str) -> list[Meta]:
        """Delete what is there. Returns what is not gone yet."""
        listing = await self._client.list(kind.type, namespace, view=ObjectView)
        for obj in listing.items:
            meta = obj.metadata
            if not meta.deletion_timestamp:
                try:
                    await self._client.delete(
                        kind.type,
                        meta.name,
                        namespace,
                        preconditions=Preconditions(uid=meta.uid),
                        propagation="Background",  # all objects go: none must be orphaned first
                    )
                except StatusError as error:
                    if error.code not in (404, 409):
                        raise
        if not listing.items:
            return []
        # Most kinds are gone by now; only what ends gracefully or has finalizers is worth coming back for.
        return [
            obj.metadata for obj in (await self._client.list(kind.type, namespace, view=ObjectView)).items
        ]


def _reasons(left: dict[str, list[Meta]]) -> list[tuple[str, str, str]]:
    """Type, reason and message of each condition; the message is empty where it does not hold."""
    resources = ", ".join(f"{name} has {len(metas)}" for name, metas in sorted(left.items()))
    held = Counter(f for metas in left.values() for meta in metas for f in meta.finalizers or ())
    finalizers = ", ".join(f"{name} in {count}" for name, count in sorted(held.items()))
    return [
        ("NamespaceContentRemaining", "SomeResourcesRemain", f"Some resources are remaining: {resources}"),
        (
            "NamespaceFinalizersRemaining",
            "SomeFinalizersRemain",
            f"Some content in the namespace has finalizers remaining: {finalizers}" if finalizers else "",
        ),
    ]
