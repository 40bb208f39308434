# SPDX-License-Identifier: GPL-3.0-or-later
"""As many pods as `spec.replicas` says, made from the template, no more and no fewer.

ReplicationController and ReplicaSet are declarations on this.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Generic, TypeVar

from msgspec.structs import replace

from navarch.api.builtin import scheme
from navarch.api.core.pod.pod import Pod
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import Object, now, parse_time
from navarch.api.machinery.selectors import Selector
from navarch.client.informer import Informer
from navarch.client.workqueue import WorkQueue
from navarch.controllers import views
from navarch.controllers.base import Context
from navarch.controllers.lib import conditions
from navarch.controllers.lib.adoption import claim
from navarch.controllers.lib.errors import ignore, namespace_terminating
from navarch.controllers.lib.expectations import FORGET, Expectations
from navarch.controllers.lib.pod_control import PodControl
from navarch.controllers.lib.pod_ranking import spare_first
from navarch.controllers.views import PodView

T = TypeVar("T", bound=Object)
Key = tuple[str, str]  # (namespace, name)

FAILURE = "ReplicaFailure"


class Replicas(Generic[T]):
    """Subclasses say which kind, how it selects, and which types its status is of."""

    object_type: ClassVar[type[Any]]
    status_type: ClassVar[type[Any]]
    condition_type: ClassVar[type[Any]]

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._pods = views.pods(context.informers)
        self._owners: Informer[T] = context.informers.of(self.object_type)
        self._owners.index("namespace", lambda owner: [owner.metadata.namespace or ""])
        self._queue: WorkQueue[Key] = WorkQueue(self.object_type.__name__)
        self._expectations: Expectations[Key] = Expectations()
        self._control = PodControl(context.client, context.events)
        kind = scheme().of(self.object_type)
        self._group = kind.api_version.rpartition("/")[0]
        self._kind = kind.kind
        self._owners.listen(self._on_owner)
        self._pods.listen(self._on_pod)

    async def run(self) -> None:
        await self._queue.run(self._reconcile, workers=8)

    def selector(self, owner: T) -> Selector:
        raise NotImplementedError

    def related(self, owner: T) -> Iterable[PodView]:
        """Active pods of other owners that are spread over nodes together with this one's."""
        return ()

    # What wakes

    def _on_owner(self, old: T | None, new: T | None) -> None:
        owner = new or old
        assert owner is not None
        key = (owner.metadata.namespace or "", owner.metadata.name or "")
        if new is None:
            self._expectations.forget(key)
        self._queue.add(key)

    def _on_pod(self, old: PodView | None, new: PodView | None) -> None:
        pod = new or old
        assert pod is not None
        namespace = pod.metadata.namespace or ""
        ending = new is None or bool(new.metadata.deletion_timestamp)
        for name in self._owners_of(old, new):
            expected = self._expectations.known((namespace, name))
            if expected is not None:
                expected.observed(pod.metadata.name, ending=ending)
            self._queue.add((namespace, name))
        if new is not None and not ending and new.controller is None:
            for candidate in self._owners.by_index("namespace", namespace):
                if self.selector(candidate).matches(new.metadata.labels):
                    self._queue.add((namespace, candidate.metadata.name or ""))

    def _owners_of(self, old: PodView | None, new: PodView | None) -> Collection[str]:
        """The names of the owners of this kind that a pod had and has."""
        before = self._owner(old) if old is not None and old.metadata.owner_references else ""
        after = self._owner(new) if new is not None and new.metadata.owner_references else ""
        return {name for name in (before, after) if name} if before or after else ()

    def _owner(self, pod: PodView) -> str:
        """The name of the owner of this kind, or ""."""
        owner = pod.controller
        if owner is None or owner.kind != self._kind:
            return ""
        return owner.name if owner.api_version.rpartition("/")[0] == self._group else ""

    # The work

    async def _reconcile(self, key: Key) -> None:
        namespace, name = key
        owner = self._owners.get(name, namespace)
        if owner is None:
            return
        expected = self._expectations.of(key)
        expected.expire()
        owned = await claim(
            self._client,
            owner,
            Pod,
            self.selector(owner),
            owned=self._pods.by_index("owner", owner.metadata.uid or ""),
            orphans=lambda: [pod for pod in self._pods.by_index("orphan", namespace) if not pod.finished],
        )
        active, ending = [], 0
        for pod in owned:
            if pod.finished:
                continue
            if pod.metadata.deletion_timestamp or pod.metadata.name in expected.deleted:
                ending += 1
            else:
                active.append(pod)
        failure: StatusError | None = None
        if owner.metadata.deletion_timestamp is None:
            spec: Any = getattr(owner, "spec")  # noqa: B009 - all kinds of this sort have one
            missing = (1 if spec.replicas is None else spec.replicas) - len(active) - len(expected.created)
            try:
                if missing > 0:
                    await self._control.create(owner, spec.template, missing, expected)
                elif missing < 0 and not expected.created:
                    spare = spare_first(active, list(self.related(owner)))
                    await self._control.delete(owner, spare[:-missing], expected)
            except StatusError as error:
                if not namespace_terminating(error):
                    failure = error
        await self._update_status(owner, active, ending, failure)
        if failure is not None:
            raise failure
        if expected:
            self._queue.add_after(key, FORGET + 1.0)

    async def _update_status(
        self, owner: T, active: Sequence[PodView], ending: int, failure: StatusError | None
    ) -> None:
        spec: Any = getattr(owner, "spec")  # noqa: B009
        old: Any = getattr(owner, "status") or self.status_type()  # noqa: B009
        template = spec.template.metadata.labels if spec.template and spec.template.metadata else None
        labels = (template or {}).items()
        ready = [since for pod in active if (since := pod.ready_since) is not None]
        counts = {
            "replicas": len(active),
            "fully_labeled_replicas": sum(labels <= (p.metadata.labels or {}).items() for p in active)
            or None,
            "ready_replicas": len(ready) or None,
            "available_replicas": self._available(owner, ready, spec.min_ready_seconds or 0) or None,
            "observed_generation": owner.metadata.generation,
            "conditions": self._conditions(old.conditions, failure) or None,
        }
        if hasattr(old, "terminating_replicas"):
            counts["terminating_replicas"] = ending or None
        status = replace(old, **counts)
        if status == old:
            return
        # Where a newer version exists, it is on its way through the informer and brings us back here.
        with ignore(404, 409):
            await self._client.update(replace(owner, status=status), subresource="status")

    def _available(self, owner: T, ready: Sequence[str], delay: int) -> int:
        """How many have been ready for `delay` seconds; comes back when the next one will have been."""
        if not delay:
            return len(ready)
        moment = datetime.now(UTC)
        ages = [(moment - parse_time(since)).total_seconds() if since else 0.0 for since in ready]
        waiting = [delay - age for age in ages if age < delay]
        if waiting:
            key = (owner.metadata.namespace or "", owner.metadata.name or "")
            self._queue.add_after(key, min(waiting) + 0.1)
        return len(ages) - len(waiting)

    def _conditions(self, old: Sequence[Any] | None, failure: StatusError | None) -> list[Any]:
        if failure is None:
            return conditions.without(old, FAILURE)
        failed = self.condition_type(
            type=FAILURE,
            status="True",
            reason="FailedCreate",
            message=failure.message,
            last_transition_time=now(),
        )
        return conditions.put(old, failed)
