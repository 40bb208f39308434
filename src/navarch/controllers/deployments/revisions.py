# SPDX-License-Identifier: GPL-3.0-or-later
"""Which replica set is of which template: the new one, the old ones, their revisions and annotations."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from navarch.api.apps.deployment import Deployment
from navarch.api.apps.replicaset import ReplicaSet, ReplicaSetSpec
from navarch.api.core.pod.spec import PodTemplateSpec
from navarch.api.machinery.meta import LabelSelector, ObjectMeta
from navarch.controllers.deployments import sizes
from navarch.controllers.lib.owners import controller_reference
from navarch.controllers.lib.pod_control import ALPHABET

#: Label that tells the pods of one template from those of another.
TEMPLATE_HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
#: Revisions that a replica set had before, when a rollback made an old one the newest again.
HISTORY = "deployment.kubernetes.io/revision-history"
#: Replicas of the deployment when the replica set was scaled, and that with its surge.
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"
_HISTORY_LENGTH = 2000
#: Annotations of a deployment that are its own business.
_OWN = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        "deprecated.deployment.rollback.to",
        REVISION,
        HISTORY,
        DESIRED,
        MAXIMUM,
    }
)


def by_age(sets: Sequence[ReplicaSet]) -> list[ReplicaSet]:
    """The oldest first."""
    return sorted(sets, key=lambda rs: (rs.metadata.creation_timestamp or "", rs.metadata.name or ""))


def new_of(deployment: Deployment, sets: Sequence[ReplicaSet]) -> ReplicaSet | None:
    """The replica set of the present template: the oldest, should there be several."""
    template = deployment.spec.template
    for rs in by_age(sets):
        if rs.spec.template is not None and _same(rs.spec.template, template):
            return rs
    return None


def _same(one: PodTemplateSpec, other: PodTemplateSpec) -> bool:
    return one.spec == other.spec and _without_hash(one.metadata) == _without_hash(other.metadata)


def _without_hash(meta: ObjectMeta | None) -> ObjectMeta:
    meta = meta or ObjectMeta()
    labels = {key: value for key, value in (meta.labels or {}).items() if key != TEMPLATE_HASH}
    return replace(meta, labels=labels or None, creation_timestamp=None)


def template_hash(template: PodTemplateSpec, collisions: int) -> str:
    """Ten letters and digits. collisions: how often the name that follows from it was found taken."""
    digest = hashlib.sha256(msgspec.json.encode(template) + b"%d" % collisions).digest()
    return "".join(ALPHABET[byte % len(ALPHABET)] for byte in digest[:10])


def made_for(deployment: Deployment) -> ReplicaSet:
    """A replica set of the deployment's template, without pods yet."""
    meta, spec = deployment.metadata, deployment.spec
    collisions = (deployment.status.collision_count if deployment.status else None) or 0
    hash = template_hash(spec.template, collisions)
    base = spec.template.metadata or ObjectMeta()
    labels = {**(base.labels or {}), TEMPLATE_HASH: hash}
    selector: LabelSelector = spec.selector
    return ReplicaSet(
        metadata=ObjectMeta(
            name=f"{(meta.name or '')[:242]}-{hash}",
            namespace=meta.namespace,
            labels=labels,
            owner_references=[controller_reference(deployment)],
        ),
        spec=ReplicaSetSpec(
            replicas=0,
            min_ready_seconds=spec.min_ready_seconds,
            selector=replace(selector, match_labels={**(selector.match_labels or {}), TEMPLATE_HASH: hash}),
            template=replace(spec.template, metadata=replace(base, labels=labels)),
        ),
    )


def revision(obj: ReplicaSet | Deployment) -> int:
    text = (obj.metadata.annotations or {}).get(REVISION, "")
    return int(text) if text.isascii() and text.isdigit() else 0


def next_revision(old: Sequence[ReplicaSet]) -> int:
    return max(map(revision, old), default=0) + 1


def annotated(rs: ReplicaSet, deployment: Deployment, number: int, *, exists: bool) -> ReplicaSet:
    """The new replica set with the deployment's annotations and revision; the same object if it has them.

    exists: it was made before, so a new revision means that the deployment was rolled back to it.
    """
    before = rs.metadata.annotations or {}
    annotations = {
        **before,
        **{key: value for key, value in (deployment.metadata.annotations or {}).items() if key not in _OWN},
    }
    old = revision(rs)
    if old < number:
        annotations[REVISION] = str(number)
        if exists and old:
            annotations[HISTORY] = _appended(before.get(HISTORY, ""), old)
    if not exists:
        annotations.update(sized(deployment))
    if annotations == before:
        return rs
    return replace(rs, metadata=replace(rs.metadata, annotations=annotations))


def _appended(history: str, number: int) -> str:
    """Comma-separated revisions, the oldest dropped when the text grows too long."""
    parts = [part for part in history.split(",") if part and part != str(number)] + [str(number)]
    while len(",".join(parts)) > _HISTORY_LENGTH:
        del parts[0]
    return ",".join(parts)


def sized(deployment: Deployment) -> dict[str, str]:
    """The deployment's size, remembered on a replica set: scaling in mid-rollout keeps proportions by it."""
    replicas = sizes.wanted(deployment)
    return {DESIRED: str(replicas), MAXIMUM: str(replicas + sizes.max_surge(deployment))}


def remembered(rs: ReplicaSet, name: str) -> int | None:
    text = (rs.metadata.annotations or {}).get(name, "")
    return int(text) if text.isascii() and text.isdigit() else None


def surplus(deployment: Deployment, old: Sequence[ReplicaSet]) -> list[ReplicaSet]:
    """Old replica sets beyond the history that is kept, which have no pods: the lowest revisions first."""
    limit = deployment.spec.revision_history_limit
    cleanable = [rs for rs in old if not rs.metadata.deletion_timestamp]
    if limit is None or len(cleanable) <= limit:
        return []
    cleanable.sort(key=lambda rs: (revision(rs), rs.metadata.creation_timestamp or ""))
    return [rs for rs in cleanable[: len(cleanable) - limit] if _idle(rs)]


def _idle(rs: ReplicaSet) -> bool:
    status = rs.status
    observed = (status.observed_generation if status else None) or 0
    return (
        not rs.spec.replicas
        and not (status and status.replicas)
        and (rs.metadata.generation or 0) <= observed
    )
