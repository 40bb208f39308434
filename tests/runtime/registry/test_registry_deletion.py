# SPDX-License-Identifier: GPL-3.0-or-later
"""delete: finalizers, grace, preconditions, policies, collections, and how namespaces end."""

from __future__ import annotations

from registry_support import (
    WIDGET,
    ctx,
    delete,
    gone,
    make,
    names,
    refused,
    replace,
    stored,
    widget,
)

from navarch.api.core.namespace import NAMESPACE, Namespace, NamespaceSpec
from navarch.api.machinery.meta import DeleteOptions, ObjectMeta, Preconditions, parse_time
from navarch.api.machinery.selectors import parse_labels
from navarch.registry.query import ALL, Query
from navarch.registry.registry import Registry
from navarch.store.sqlite import SqliteStore

FINALIZER = "test.navarch.io/hold"


async def test_delete_removes_at_once_without_grace_and_finalizers(registry: Registry) -> None:
    made = await make(registry)
    result = await delete(registry)
    assert result.deleted
    assert result.obj.metadata.uid == made.metadata.uid
    assert gone(registry)
    with refused(404, "NotFound", 'widgets.test.navarch.io "w" not found'):
        await delete(registry)


async def test_finalizers_hold_an_object_until_the_last_one_is_removed(registry: Registry) -> None:
    await make(registry, finalizers=[FINALIZER, "test.navarch.io/other"])
    result = await delete(registry)
    assert not result.deleted
    held = stored(registry)
    assert held.metadata.deletion_timestamp
    assert held.metadata.deletion_grace_period_seconds == 0
    assert held.metadata.generation == 2
    before = result.revision
    assert (await delete(registry)).revision == before, "a second deletion changes nothing"
    with refused(422, "Invalid", "no new finalizers can be added"):
        body = {"metadata": {"finalizers": [FINALIZER, "test.navarch.io/new"]}}
        await registry.patch(WIDGET, "default", "w", body, "merge", ctx())
    one = {"metadata": {"finalizers": [FINALIZER]}}
    assert not (await registry.patch(WIDGET, "default", "w", one, "merge", ctx())).deleted
    last = await registry.patch(WIDGET, "default", "w", {"metadata": {"finalizers": None}}, "merge", ctx())
    assert last.deleted
    assert gone(registry)


async def test_grace_can_only_get_shorter(registry: Registry) -> None:
    await make(registry, node="n1")
    assert not (await delete(registry)).deleted
    first = stored(registry).metadata
    assert first.deletion_grace_period_seconds == 30
    assert not (await delete(registry, grace_period_seconds=60)).deleted
    assert stored(registry).metadata == first
    assert not (await delete(registry, grace_period_seconds=10)).deleted
    second = stored(registry).metadata
    assert second.deletion_grace_period_seconds == 10
    ends = [parse_time(m.deletion_timestamp or "") for m in (first, second)]
    assert (ends[0] - ends[1]).total_seconds() == 20
    assert (await delete(registry, grace_period_seconds=0)).deleted
    assert gone(registry)


async def test_grace_ends_before_finalizers_do(registry: Registry) -> None:
    await make(registry, node="n1", finalizers=[FINALIZER])
    await delete(registry)
    freed = await registry.patch(WIDGET, "default", "w", {"metadata": {"finalizers": None}}, "merge", ctx())
    assert not freed.deleted, "it still has its grace period"
    assert (await delete(registry, grace_period_seconds=0)).deleted

    await make(registry, node="n1", finalizers=[FINALIZER])
    await delete(registry)
    assert not (await delete(registry, grace_period_seconds=0)).deleted, "its finalizer still holds it"
    freed = await registry.patch(WIDGET, "default", "w", {"metadata": {"finalizers": None}}, "merge", ctx())
    assert freed.deleted


async def test_preconditions(registry: Registry) -> None:
    made = await make(registry)
    with refused(409, "Conflict", "Precondition failed: UID in precondition: x, UID in object meta:"):
        await delete(registry, preconditions=Preconditions(uid="x"))
    with refused(409, "Conflict", "Precondition failed: ResourceVersion in precondition: 1,"):
        await delete(registry, preconditions=Preconditions(resource_version="1"))
    right = Preconditions(uid=made.metadata.uid, resource_version=made.metadata.resource_version)
    assert (await delete(registry, preconditions=right)).deleted


async def test_propagation_policies_are_recorded_as_finalizers(registry: Registry) -> None:
    for policy, finalizer in (("Orphan", "orphan"), ("Foreground", "foregroundDeletion")):
        await make(registry, name=policy.lower())
        assert not (await delete(registry, policy.lower(), propagation_policy=policy)).deleted
        assert stored(registry, policy.lower()).metadata.finalizers == [finalizer]
    assert (await delete(registry, "orphan", propagation_policy="Background")).deleted
    await make(registry)
    assert not (await delete(registry, orphan_dependents=True)).deleted
    assert stored(registry).metadata.finalizers == ["orphan"]
    with refused(422, "Invalid", "propagationPolicy"):
        await delete(registry, propagation_policy="Sideways")
    with refused(422, "Invalid", "cannot be both set"):
        await delete(registry, propagation_policy="Orphan", orphan_dependents=True)


async def test_dry_run_in_the_options(registry: Registry, store: SqliteStore) -> None:
    await make(registry)
    before = store.revision
    assert (await delete(registry, dry_run=["All"])).deleted
    assert store.revision == before
    with refused(422, "Invalid", "dryRun"):
        await delete(registry, dry_run=["Some"])


async def test_delete_collection_takes_what_is_selected(registry: Registry) -> None:
    for i in range(150):
        await make(registry, name=f"w{i:03}", labels={"odd": str(i % 2)})
    found = await registry.delete_collection(
        WIDGET, Query("default", labels=parse_labels("odd=1")), None, ctx()
    )
    assert len(found.entries) == 75
    left = names(registry.list(WIDGET, Query("default"), ctx()).entries)
    assert left == [f"w{i:03}" for i in range(0, 150, 2)]


async def test_the_system_namespaces_exist_and_cannot_be_deleted(registry: Registry) -> None:
    wanted = ["default", "kube-node-lease", "kube-public", "kube-system"]
    assert names(registry.list(NAMESPACE, ALL, ctx()).entries) == wanted
    for name in wanted:
        with refused(
            403, "Forbidden", f'namespaces "{name}" is forbidden: this namespace may not be deleted'
        ):
            await registry.delete(NAMESPACE, None, name, None, ctx())


async def test_nothing_is_made_in_a_namespace_that_is_missing_or_ends(registry: Registry) -> None:
    with refused(404, "NotFound", 'namespaces "a" not found'):
        await registry.create(WIDGET, "a", widget(), ctx())
    a = Namespace(metadata=ObjectMeta(name="a", finalizers=[FINALIZER]))
    await registry.create(NAMESPACE, None, a, ctx())
    await registry.create(WIDGET, "a", widget(), ctx())
    assert not (await registry.delete(NAMESPACE, None, "a", None, ctx())).deleted
    words = (
        'widgets.test.navarch.io "x" is forbidden: unable to create new content in namespace a '
        "because it is being terminated"
    )
    with refused(403, "Forbidden", words) as found:
        await registry.create(WIDGET, "a", widget("x"), ctx())
    assert found.error is not None
    assert (found.error.details or {})["causes"][0]["reason"] == "NamespaceTerminating"
    # What is there can still be changed, so that it can be cleaned up.
    await registry.update(WIDGET, "a", "w", widget(size=2), ctx())
    await registry.delete(WIDGET, "a", "w", None, ctx())


async def test_a_namespace_goes_when_its_last_hold_is_finalized(registry: Registry) -> None:
    sent = Namespace(metadata=ObjectMeta(name="a"), spec=NamespaceSpec(finalizers=["kubernetes"]))
    await registry.create(NAMESPACE, None, sent, ctx())
    assert not (await registry.delete(NAMESPACE, None, "a", DeleteOptions(), ctx())).deleted
    ending = NAMESPACE.decode(registry.get(NAMESPACE, None, "a", ctx()).value)
    assert ending.metadata.deletion_timestamp
    assert ending.status is not None
    assert ending.status.phase == "Terminating"
    done = replace(ending, spec=NamespaceSpec())
    result = await registry.update(NAMESPACE, None, "a", done, ctx(), subresource="finalize")
    assert result.deleted
    with refused(404, "NotFound"):
        registry.get(NAMESPACE, None, "a", ctx())
