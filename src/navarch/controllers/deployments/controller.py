# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller of Deployments makes, scales and removes replica sets, by the rules of the files beside."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from msgspec.structs import replace

from navarch.api.apps.deployment import RECREATE, Deployment, DeploymentStatus
from navarch.api.apps.replicaset import ReplicaSet
from navarch.api.machinery import selectors
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import Preconditions
from navarch.client.informer import Informer
from navarch.client.workqueue import WorkQueue
from navarch.controllers import views
from navarch.controllers.base import Context
from navarch.controllers.deployments import revisions, sizes, status
from navarch.controllers.lib import conditions
from navarch.controllers.lib.adoption import claim
from navarch.controllers.lib.errors import ignore, namespace_terminating
from navarch.controllers.lib.owners import controller_of, event_reference
from navarch.controllers.views import PodView

log = logging.getLogger(__name__)

Key = tuple[str, str]  # (namespace, name)


class Deployments:
    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._events = context.events
        self._pods = views.pods(context.informers)
        self._sets: Informer[ReplicaSet] = context.informers.of(ReplicaSet)
        self._sets.index("owner", lambda rs: [owner.uid] if (owner := controller_of(rs)) else [])
        self._sets.index("orphan", lambda rs: [] if controller_of(rs) else [rs.metadata.namespace or ""])
        self._deployments: Informer[Deployment] = context.informers.of(Deployment)
        self._deployments.index("namespace", lambda d: [d.metadata.namespace or ""])
        self._queue: WorkQueue[Key] = WorkQueue("deployments")
        self._deployments.listen(self._on_deployment)
        self._sets.listen(self._on_set)
        self._pods.listen(self._on_pod)

    async def run(self) -> None:
        await self._queue.run(self._reconcile, workers=4)

    # What wakes

    def _on_deployment(self, old: Deployment | None, new: Deployment | None) -> None:
        if new is not None:
            self._queue.add((new.metadata.namespace or "", new.metadata.name or ""))

    def _on_set(self, old: ReplicaSet | None, new: ReplicaSet | None) -> None:
        for rs in (old, new):
            owner = controller_of(rs) if rs is not None else None
            if rs is not None and owner is not None and owner.kind == "Deployment":
                self._queue.add((rs.metadata.namespace or "", owner.name))
        if new is not None and controller_of(new) is None and not new.metadata.deletion_timestamp:
            for deployment in self._deployments.by_index("namespace", new.metadata.namespace or ""):
                if selectors.from_struct(deployment.spec.selector).matches(new.metadata.labels):
                    self._queue.add((new.metadata.namespace or "", deployment.metadata.name or ""))

    def _on_pod(self, old: PodView | None, new: PodView | None) -> None:
        """Recreate waits for the old pods to be gone; otherwise replica sets say all there is to know."""
        if new is not None and not new.finished:
            return
        pod = new or old
        owner = pod.controller if pod is not None else None
        if pod is None or owner is None or owner.kind != "ReplicaSet":
            return
        rs = self._sets.get(owner.name, pod.metadata.namespace)
        deployment = controller_of(rs) if rs is not None else None
        if deployment is not None:
            self._queue.add((pod.metadata.namespace or "", deployment.name))

    # The work

    async def _reconcile(self, key: Key) -> None:
        deployment = self._deployments.get(key[1], key[0])
        if deployment is None:
            return
        sets = await claim(
            self._client,
            deployment,
            ReplicaSet,
            selectors.from_struct(deployment.spec.selector),
            owned=self._sets.by_index("owner", deployment.metadata.uid or ""),
            orphans=lambda: self._sets.by_index("orphan", key[0]),
        )
        sets = revisions.by_age(sets)
        with ignore(404, 409):
            # On a conflict a newer version is on its way through an informer, which brings us back here.
            if deployment.metadata.deletion_timestamp:
                new = revisions.new_of(deployment, sets)
                await self._write(deployment, status.counted(deployment, new, sets))
            else:
                await self._sync(key, deployment, sets)

    async def _sync(self, key: Key, deployment: Deployment, sets: list[ReplicaSet]) -> None:
        if await self._noted_pause(deployment):
            return
        if deployment.spec.paused or self._scaled(deployment, sets):
            new = await self._existing(deployment, sets)
            sets = await self._scale_all(deployment, new, sets)
            new = revisions.new_of(deployment, sets)
            if deployment.spec.paused:
                await self._clean(deployment, [rs for rs in sets if rs is not new])
            await self._write(deployment, status.counted(deployment, new, sets))
        elif deployment.spec.strategy is not None and deployment.spec.strategy.type == RECREATE:
            await self._recreate(key, deployment, sets)
        else:
            await self._roll(key, deployment, sets)

    async def _noted_pause(self, deployment: Deployment) -> bool:
        """Tell that the deployment was paused or resumed, so that the deadline does not count meanwhile."""
        if not status.has_deadline(deployment):
            return False
        present = status.of(deployment)
        progressing = conditions.find(present.conditions, status.PROGRESSING)
        if progressing is not None and progressing.reason == status.TIMED_OUT:
            return False
        noted = progressing is not None and progressing.reason == status.PAUSED
        if bool(deployment.spec.paused) == noted:
            return False
        if noted:
            reason = (status.RESUMED, "Deployment is resumed")
        else:
            reason = (status.PAUSED, "Deployment is paused")
        fresh = status.condition(status.PROGRESSING, "Unknown", *reason)
        return await self._write(deployment, status.with_condition(present, fresh))

    def _scaled(self, deployment: Deployment, sets: Sequence[ReplicaSet]) -> bool:
        """Whether the deployment's number of replicas changed since its sets were sized."""
        wanted = sizes.wanted(deployment)
        return any(
            desired is not None and desired != wanted
            for rs in sizes.active(sets)
            for desired in [revisions.remembered(rs, revisions.DESIRED)]
        )

    # Strategies

    async def _roll(self, key: Key, deployment: Deployment, sets: list[ReplicaSet]) -> None:
        new = await self._new_set(deployment, sets)
        if new is None:
            return
        old = [rs for rs in sets if rs.metadata.uid != new.metadata.uid]
        size = sizes.new_size(deployment, new, [new, *old])
        if size != sizes.size(new):
            new = await self._scale(deployment, new, size)
        else:
            for rs, smaller in sizes.old_sizes(deployment, new, sizes.active(old)):
                await self._scale(deployment, rs, smaller)
        await self._finish(key, deployment, new, old)

    async def _recreate(self, key: Key, deployment: Deployment, sets: list[ReplicaSet]) -> None:
        new = revisions.new_of(deployment, sets)
        old = [rs for rs in sets if new is None or rs.metadata.uid != new.metadata.uid]
        shrinking = sizes.active(old)
        for rs in shrinking:
            await self._scale(deployment, rs, 0)
        if not shrinking and not any(self._has_pods(rs) for rs in old):
            new = await self._new_set(deployment, sets)
            if new is None:
                return
            if sizes.size(new) != sizes.wanted(deployment):
                new = await self._scale(deployment, new, sizes.wanted(deployment))
        elif new is not None:
            new = await self._existing(deployment, sets)
        await self._finish(key, deployment, new, old)

    def _has_pods(self, rs: ReplicaSet) -> bool:
        """Whether pods of it run or end."""
        return any(not pod.finished for pod in self._pods.by_index("owner", rs.metadata.uid or ""))

    async def _finish(
        self, key: Key, deployment: Deployment, new: ReplicaSet | None, old: Sequence[ReplicaSet]
    ) -> None:
        if status.complete(deployment, status.of(deployment)):
            await self._clean(deployment, old)
        sets = [*old, new] if new is not None else list(old)
        fresh = status.rolled_out(deployment, new, sets)
        await self._write(deployment, fresh)
        left = status.seconds_left(deployment, fresh)
        if left is not None and left > 0:
            self._queue.add_after(key, left + 1.0)

    # Replica sets

    async def _existing(self, deployment: Deployment, sets: Sequence[ReplicaSet]) -> ReplicaSet | None:
        """The replica set of the template, if there is one, with annotations of the deployment."""
        new = revisions.new_of(deployment, sets)
        if new is None:
            return None
        number = revisions.next_revision([rs for rs in sets if rs is not new])
        fresh = revisions.annotated(new, deployment, number, exists=True)
        if fresh.spec.min_ready_seconds != deployment.spec.min_ready_seconds:
            fresh = replace(
                fresh, spec=replace(fresh.spec, min_ready_seconds=deployment.spec.min_ready_seconds)
            )
        if fresh is not new:
            new = await self._client.update(fresh)
        await self._note_revision(deployment, new)
        present = status.of(deployment)
        if status.has_deadline(deployment) and not conditions.find(present.conditions, status.PROGRESSING):
            message = f'Found new replica set "{new.metadata.name}"'
            found = status.condition(status.PROGRESSING, "True", "FoundNewReplicaSet", message)
            await self._write(deployment, status.with_condition(present, found))
        return new

    async def _new_set(self, deployment: Deployment, sets: Sequence[ReplicaSet]) -> ReplicaSet | None:
        """The replica set of the template, made when it is not there; None when the next turn goes on."""
        if (new := await self._existing(deployment, sets)) is not None:
            return new
        made = revisions.made_for(deployment)
        made = replace(
            made, spec=replace(made.spec, replicas=sizes.new_size(deployment, made, [*sets, made]))
        )
        made = revisions.annotated(made, deployment, revisions.next_revision(sets), exists=False)
        try:
            new = await self._client.create(made)
        except StatusError as error:
            return await self._not_made(deployment, made, error)
        if sizes.size(new):
            self._scaling_event(deployment, new, 0, sizes.size(new))
        await self._note_revision(deployment, new)
        if status.has_deadline(deployment):
            message = f'Created new replica set "{new.metadata.name}"'
            fresh = status.condition(status.PROGRESSING, "True", "NewReplicaSetCreated", message)
            await self._write(deployment, status.with_condition(status.of(deployment), fresh))
        return None

    async def _not_made(
        self, deployment: Deployment, made: ReplicaSet, error: StatusError
    ) -> ReplicaSet | None:
        if namespace_terminating(error):
            return None
        if error.code == 409:
            taken = await self._client.get(ReplicaSet, made.metadata.name or "", made.metadata.namespace)
            owner = controller_of(taken)
            if (
                owner is not None
                and owner.uid == deployment.metadata.uid
                and revisions.new_of(deployment, [taken]) is not None
            ):
                return taken  # made by an earlier turn that the informer has not shown yet
            present = status.of(deployment)
            count = (present.collision_count or 0) + 1
            log.info("replica set %s is taken, choosing another name", made.metadata.name)
            await self._write(deployment, replace(present, collision_count=count))
            return None
        message = f'Failed to create new replica set "{made.metadata.name}": {error.message}'
        fresh = status.condition(status.PROGRESSING, "False", "ReplicaSetCreateError", message)
        await self._write(deployment, status.with_condition(status.of(deployment), fresh))
        raise error

    async def _note_revision(self, deployment: Deployment, new: ReplicaSet) -> None:
        number = str(revisions.revision(new))
        if (deployment.metadata.annotations or {}).get(revisions.REVISION) != number:
            # By the status, as the reference does: generation counts changes that users make.
            meta = deployment.metadata
            body = {"metadata": {"uid": meta.uid, "annotations": {revisions.REVISION: number}}}
            await self._client.patch(Deployment, meta.name or "", meta.namespace, body, subresource="status")

    async def _scale_all(
        self, deployment: Deployment, new: ReplicaSet | None, sets: list[ReplicaSet]
    ) -> list[ReplicaSet]:
        """After a change of the deployment's size, in mid-rollout or paused. Returns the sets of now."""
        current = {rs.metadata.name: rs for rs in sets}
        if new is not None:
            current[new.metadata.name] = new
        active = sizes.active(list(current.values()))
        wanted = sizes.wanted(deployment)
        if len(active) <= 1:
            latest = active[0] if active else new or (sets[-1] if sets else None)
            targets = [(latest, wanted)] if latest is not None else []
        elif new is not None and sizes.size(new) == wanted == sizes.available(new):
            targets = [(rs, 0) for rs in active if rs is not new]
        elif sizes.rolling(deployment):
            most = {
                rs.metadata.name or "": revisions.remembered(rs, revisions.MAXIMUM)
                or (status.of(deployment).replicas or 0)
                for rs in active
            }
            targets = sizes.proportional(deployment, active, most)
        else:
            targets = []
        for rs, size in targets:
            current[rs.metadata.name] = await self._scale(deployment, rs, size)
        return list(current.values())

    async def _scale(self, deployment: Deployment, rs: ReplicaSet, size: int) -> ReplicaSet:
        before = sizes.size(rs)
        annotations = {**(rs.metadata.annotations or {}), **revisions.sized(deployment)}
        if before == size and annotations == rs.metadata.annotations:
            return rs
        fresh = replace(
            rs,
            metadata=replace(rs.metadata, annotations=annotations),
            spec=replace(rs.spec, replicas=size),
        )
        stored = await self._client.update(fresh)
        if before != size:
            self._scaling_event(deployment, rs, before, size)
        return stored

    def _scaling_event(self, deployment: Deployment, rs: ReplicaSet, before: int, after: int) -> None:
        way = "up" if after > before else "down"
        message = f"Scaled {way} replica set {rs.metadata.name} from {before} to {after}"
        self._events.record(event_reference(deployment), "Normal", "ScalingReplicaSet", message)

    async def _clean(self, deployment: Deployment, old: Sequence[ReplicaSet]) -> None:
        async def remove(rs: ReplicaSet) -> None:
            with ignore(404, 409):
                await self._client.delete(
                    ReplicaSet,
                    rs.metadata.name or "",
                    rs.metadata.namespace,
                    preconditions=Preconditions(uid=rs.metadata.uid),
                    propagation="Background",
                )

        await asyncio.gather(*(remove(rs) for rs in revisions.surplus(deployment, old)))

    async def _write(self, deployment: Deployment, fresh: DeploymentStatus) -> bool:
        """Returns whether there was something to write."""
        if fresh == status.of(deployment):
            return False
        await self._client.update(replace(deployment, status=fresh), subresource="status")
        return True
