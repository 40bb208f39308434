# SPDX-License-Identifier: GPL-3.0-or-later
"""ReplicationController: as many pods as `spec.replicas` says, made from its template, no more and no fewer.

The informer lags behind our own writes, so pods we made or deleted and have not seen yet are remembered by
name and counted.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections import Counter
from datetime import UTC, datetime

import msgspec

from navarch.api.errors import StatusError
from navarch.api.meta import ObjectMeta, OwnerReference, Preconditions, now, parse_time
from navarch.api.pod import Pod
from navarch.api.replicationcontroller import (
    ReplicationController,
    ReplicationControllerCondition,
    ReplicationControllerStatus,
)
from navarch.client.events import Reference
from navarch.client.informer import Informer
from navarch.client.workqueue import WorkQueue
from navarch.controllers import views
from navarch.controllers.base import Context
from navarch.controllers.views import PodView

log = logging.getLogger(__name__)

Key = tuple[str, str]  # (namespace, name)

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
#: An own write that the informer never shows is forgotten after this many seconds.
_UNSEEN = 30.0
#: Pods asked for at once at most, a turn.
_BURST = 500
#: The further a pod has come, the later it is deleted.
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


class _Unseen:
    """Own writes of one controller that the informer has not shown yet: pod name -> when."""

    __slots__ = ("created", "deleted")

    def __init__(self) -> None:
        self.created: dict[str, float] = {}
        self.deleted: dict[str, float] = {}

    def expire(self, before: float) -> None:
        for writes in (self.created, self.deleted):
            for name in [name for name, when in writes.items() if when < before]:
                del writes[name]


class Replication:
    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._events = context.events
        self._pods = views.pods(context.informers)
        self._rcs: Informer[ReplicationController] = context.informers.of(ReplicationController)
        self._queue: WorkQueue[Key] = WorkQueue("replication")
        self._unseen: dict[Key, _Unseen] = {}
        self._rcs.listen(self._on_rc)
        self._pods.listen(self._on_pod)

    async def run(self) -> None:
        await self._queue.run(self._reconcile, workers=8)

    def _on_rc(self, old: ReplicationController | None, new: ReplicationController | None) -> None:
        meta = (new or old).metadata  # type: ignore[union-attr] # one of the two is there
        key = (meta.namespace or "", meta.name or "")
        if new is None:
            self._unseen.pop(key, None)
        self._queue.add(key)

    def _on_pod(self, old: PodView | None, new: PodView | None) -> None:
        seen = set()
        for pod in (old, new):
            owner = pod.controller if pod is not None else None
            if pod is not None and owner is not None and owner.kind == "ReplicationController":
                seen.add((pod.metadata.namespace or "", owner.name))
        pod = new or old
        assert pod is not None
        name = pod.metadata.name
        for key in seen:
            unseen = self._unseen.get(key)
            if unseen is not None:
                unseen.created.pop(name, None)
                if new is None or new.metadata.deletion_timestamp:
                    unseen.deleted.pop(name, None)
            self._queue.add(key)
        if new is not None and new.controller is None and new.metadata.deletion_timestamp is None:
            for rc in self._rcs.items():
                if rc.metadata.namespace == new.metadata.namespace and _matches(rc, new):
                    self._queue.add((rc.metadata.namespace or "", rc.metadata.name or ""))

    async def _reconcile(self, key: Key) -> None:
        namespace, name = key
        rc = self._rcs.get(name, namespace)
        if rc is None:
            return
        unseen = self._unseen.setdefault(key, _Unseen())
        unseen.expire(asyncio.get_running_loop().time() - _UNSEEN)
        owned = self._pods.by_index("owner", rc.metadata.uid or "")
        if rc.metadata.deletion_timestamp is None:
            owned = await self._claim(rc, owned)
        active = [
            pod
            for pod in owned
            if not pod.finished
            and pod.metadata.deletion_timestamp is None
            and pod.metadata.name not in unseen.deleted
        ]
        failure: StatusError | None = None
        if rc.metadata.deletion_timestamp is None:
            assert rc.spec is not None
            wanted = 1 if rc.spec.replicas is None else rc.spec.replicas
            missing = wanted - len(active) - len(unseen.created)
            try:
                if missing > 0:
                    await self._create(rc, min(missing, _BURST), unseen)
                elif missing < 0 and not unseen.created:
                    await self._delete(rc, _spare(active)[: min(-missing, _BURST)], unseen)
            except StatusError as error:
                if not _namespace_goes(error):
                    failure = error
        await self._tell(rc, active, failure)
        if failure is not None:
            raise failure
        if len(unseen.created) or len(unseen.deleted):
            self._queue.add_after(key, _UNSEEN + 1.0)

    async def _claim(self, rc: ReplicationController, owned: list[PodView]) -> list[PodView]:
        """Adopt matching pods that nobody controls, release own pods that match no more."""
        kept = []
        for pod in owned:
            if _matches(rc, pod) or pod.metadata.deletion_timestamp:
                kept.append(pod)
            else:
                await self._set_owners(
                    pod, [_plain(o) for o in pod.metadata.owner_references or () if o.uid != rc.metadata.uid]
                )
        for pod in self._pods.by_index("namespace", rc.metadata.namespace or ""):
            if (
                pod.controller is None
                and not pod.metadata.deletion_timestamp
                and not pod.finished
                and _matches(rc, pod)
            ):
                owners = [_plain(o) for o in pod.metadata.owner_references or ()]
                await self._set_owners(pod, [*owners, msgspec.to_builtins(_owner(rc))])
                kept.append(pod)
        return kept

    async def _set_owners(self, pod: PodView, owners: list[dict[str, object]]) -> None:
        body = {"metadata": {"uid": pod.metadata.uid, "ownerReferences": owners or None}}
        try:
            await self._client.patch(Pod, pod.metadata.name, pod.metadata.namespace, body)
        except StatusError as error:
            if error.code not in (404, 409):
                raise

    async def _create(self, rc: ReplicationController, count: int, unseen: _Unseen) -> None:
        """In growing batches, so that a template that is always refused costs one refusal, not hundreds."""
        batch = 1
        while count > 0:
            size = min(batch, count)
            results = await asyncio.gather(
                *(self._create_one(rc, unseen) for _ in range(size)), return_exceptions=True
            )
            for result in results:
                if isinstance(result, BaseException):
                    raise result
            count -= size
            batch *= 2

    async def _create_one(self, rc: ReplicationController, unseen: _Unseen) -> None:
        assert rc.spec is not None
        assert rc.spec.template is not None
        template = rc.spec.template
        base = template.metadata or ObjectMeta()
        suffix = "".join(secrets.choice(_ALPHABET) for _ in range(5))
        name = f"{(rc.metadata.name or '')[:57]}-{suffix}"
        pod = Pod(
            metadata=ObjectMeta(
                name=name,
                generate_name=f"{rc.metadata.name}-",
                namespace=rc.metadata.namespace,
                labels=base.labels,
                annotations=base.annotations,
                finalizers=base.finalizers,
                owner_references=[_owner(rc)],
            ),
            spec=template.spec,
        )
        unseen.created[name] = asyncio.get_running_loop().time()
        try:
            await self._client.create(pod)
        except BaseException as error:
            unseen.created.pop(name, None)
            if isinstance(error, StatusError) and error.code != 409 and not _namespace_goes(error):
                message = f"Error creating: {error.message}"
                self._events.record(_reference(rc), "Warning", "FailedCreate", message)
            raise
        self._events.record(_reference(rc), "Normal", "SuccessfulCreate", f"Created pod: {name}")

    async def _delete(self, rc: ReplicationController, pods: list[PodView], unseen: _Unseen) -> None:
        async def one(pod: PodView) -> None:
            name = pod.metadata.name
            unseen.deleted[name] = asyncio.get_running_loop().time()
            try:
                await self._client.delete(
                    Pod, name, pod.metadata.namespace, preconditions=Preconditions(uid=pod.metadata.uid)
                )
            except StatusError as error:
                unseen.deleted.pop(name, None)
                if error.code not in (404, 409):
                    raise
            else:
                self._events.record(_reference(rc), "Normal", "SuccessfulDelete", f"Deleted pod: {name}")

        for result in await asyncio.gather(*(one(pod) for pod in pods), return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    async def _tell(
        self, rc: ReplicationController, active: list[PodView], failure: StatusError | None
    ) -> None:
        assert rc.spec is not None
        template_labels = (
            rc.spec.template.metadata.labels if rc.spec.template and rc.spec.template.metadata else None
        ) or {}
        labelled = sum(template_labels.items() <= (pod.metadata.labels or {}).items() for pod in active)
        ready = [since for pod in active if (since := pod.ready_since) is not None]
        delay = rc.spec.min_ready_seconds or 0
        ages = (
            [(datetime.now(UTC) - parse_time(since)).total_seconds() if since else 0.0 for since in ready]
            if delay
            else []
        )
        available = sum(age >= delay for age in ages) if delay else len(ready)
        waiting = [delay - age for age in ages if age < delay]
        if waiting:
            self._queue.add_after((rc.metadata.namespace or "", rc.metadata.name or ""), min(waiting) + 0.1)
        old = rc.status or ReplicationControllerStatus()
        conditions = [c for c in old.conditions or () if c.type != "ReplicaFailure"]
        if failure is not None:
            before = next((c for c in old.conditions or () if c.type == "ReplicaFailure"), None)
            conditions.append(
                ReplicationControllerCondition(
                    type="ReplicaFailure",
                    status="True",
                    reason="FailedCreate",
                    message=failure.message,
                    last_transition_time=before.last_transition_time if before else now(),
                )
            )
        status = ReplicationControllerStatus(
            replicas=len(active),
            fully_labeled_replicas=labelled or None,
            ready_replicas=len(ready) or None,
            available_replicas=available or None,
            observed_generation=rc.metadata.generation,
            conditions=conditions or None,
        )
        if status == old:
            return
        fresh = msgspec.structs.replace(rc, status=status)
        try:
            await self._client.update(fresh, subresource="status")
        except StatusError as error:
            # A newer version is on its way through the informer and brings us back here.
            if error.code not in (404, 409):
                raise


def _namespace_goes(error: StatusError) -> bool:
    """Whether a pod was refused because its namespace is being deleted: we are, too, when its pods are."""
    return "NamespaceTerminating" in str(error.details)


def _matches(rc: ReplicationController, pod: PodView) -> bool:
    selector = rc.spec.selector if rc.spec else None
    return selector is not None and bool(selector) and selector.items() <= (pod.metadata.labels or {}).items()


def _spare(pods: list[PodView]) -> list[PodView]:
    """What can best be spared comes first, as Kubernetes orders it (ActivePodsWithRanks)."""
    on_node = Counter(pod.spec.node_name for pod in pods)

    def usefulness(pod: PodView) -> tuple[object, ...]:
        return (
            bool(pod.spec.node_name),
            _PHASES.get(pod.status.phase or "", 0),
            pod.ready_since is not None,
            _deletion_cost(pod),
            -on_node[pod.spec.node_name],
            _newest_first(pod.ready_since or ""),
            -max((status.restart_count for status in pod.status.container_statuses or ()), default=0),
            _newest_first(pod.metadata.creation_timestamp or ""),
            pod.metadata.name,
        )

    return sorted(pods, key=usefulness)


def _newest_first(moment: str) -> str:
    return "".join(chr(0x7E - ord(c) + 0x20) for c in moment)


def _deletion_cost(pod: PodView) -> int:
    text = (pod.metadata.annotations.deletion_cost if pod.metadata.annotations else None) or ""
    # Anything but an int32 counts as nothing, as in Kubernetes.
    cost = int(text) if re.fullmatch(r"-?(0|[1-9][0-9]{0,9})", text) else 0
    return cost if -(2**31) <= cost < 2**31 else 0


def _owner(rc: ReplicationController) -> OwnerReference:
    return OwnerReference(
        api_version="v1",
        kind="ReplicationController",
        name=rc.metadata.name or "",
        uid=rc.metadata.uid or "",
        controller=True,
        block_owner_deletion=True,
    )


def _plain(owner: views.Owner) -> dict[str, object]:
    plain: dict[str, object] = msgspec.to_builtins(owner)
    return {key: value for key, value in plain.items() if value is not None}


def _reference(rc: ReplicationController) -> Reference:
    meta = rc.metadata
    return Reference(
        kind="ReplicationController", namespace=meta.namespace or "", name=meta.name or "", uid=meta.uid or ""
    )
