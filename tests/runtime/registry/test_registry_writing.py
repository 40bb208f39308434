# SPDX-License-Identifier: GPL-3.0-or-later
"""create, update and patch: what the server sets, what it refuses, and that nobody's write is lost."""

from __future__ import annotations

import asyncio
import re
from uuid import UUID

import pytest
from registry_support import (
    NOTE,
    QUESTION,
    WIDGET,
    Note,
    Part,
    Question,
    Widget,
    WidgetSpec,
    WidgetStatus,
    ctx,
    make,
    names,
    refused,
    replace,
    stored,
    widget,
)

from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import ObjectMeta, OwnerReference, parse_time
from navarch.registry import metadata
from navarch.registry.context import Context
from navarch.registry.query import Query
from navarch.registry.registry import Registry
from navarch.store.sqlite import SqliteStore


async def test_create_sets_identity_and_times_whatever_was_sent(registry: Registry) -> None:
    sent = widget(
        uid="mine",
        creation_timestamp="2001-01-01T00:00:00Z",
        deletion_timestamp="2001-01-01T00:00:00Z",
        generation=7,
    )
    result = await registry.create(WIDGET, "default", sent, ctx())
    found = WIDGET.decode(result.value)
    assert found == result.obj == stored(registry)
    assert result.value == registry.get(WIDGET, "default", "w", ctx()).value
    assert found.metadata.resource_version == str(result.revision)
    UUID(found.metadata.uid or "")
    assert found.metadata.generation == 1
    assert found.metadata.deletion_timestamp is None
    assert abs(
        parse_time(found.metadata.creation_timestamp or "").timestamp()
        - parse_time("2026-01-01T00:00:00Z").timestamp()
    )
    assert (found.kind, found.api_version, found.metadata.namespace) == (
        "Widget",
        "test.navarch.io/v1",
        "default",
    )
    assert found.spec == WidgetSpec(size=1)
    assert found.status == WidgetStatus(phase="New")


async def test_generate_name(registry: Registry) -> None:
    sent = Widget(metadata=ObjectMeta(generate_name="w-"))
    made = [(await registry.create(WIDGET, "default", sent, ctx())).obj for _ in range(20)]
    assert len({w.metadata.name for w in made}) == 20
    assert all(re.fullmatch(r"w-[b-df-hj-np-tv-z2-9]{5}", w.metadata.name) for w in made)
    long = Widget(metadata=ObjectMeta(generate_name="a" * 70))
    assert len((await registry.create(WIDGET, "default", long, ctx())).obj.metadata.name) == 63


@pytest.mark.parametrize(
    ("meta", "path"),
    [
        (ObjectMeta(), "metadata.name"),
        (ObjectMeta(name="Big_Name"), "metadata.name"),
        (ObjectMeta(name="w", labels={"a b": "c"}), "metadata.labels"),
        (ObjectMeta(name="w", labels={"a": "-"}), "metadata.labels"),
        (ObjectMeta(name="w", annotations={"/x": "c"}), "metadata.annotations"),
        (ObjectMeta(name="w", annotations={"a": "x" * (256 * 1024)}), "metadata.annotations"),
        (ObjectMeta(name="w", finalizers=["nodomain"]), "metadata.finalizers[0]"),
        (
            ObjectMeta(name="w", owner_references=[OwnerReference(kind="X", name="x", uid="u")]),
            "metadata.ownerReferences[0].apiVersion",
        ),
        (
            ObjectMeta(
                name="w",
                owner_references=[
                    OwnerReference(api_version="v1", kind="X", name=n, uid=n, controller=True) for n in "ab"
                ],
            ),
            "metadata.ownerReferences",
        ),
    ],
)
async def test_bad_metadata_is_invalid_and_named(registry: Registry, meta: ObjectMeta, path: str) -> None:
    with refused(422, "Invalid", path) as found:
        await registry.create(WIDGET, "default", Widget(metadata=meta), ctx())
    assert found.error is not None
    assert [c["field"] for c in (found.error.details or {})["causes"]] == [path]
    assert not registry.list(WIDGET, Query("default"), ctx()).entries


async def test_create_refusals(registry: Registry) -> None:
    await make(registry)
    with refused(409, "AlreadyExists", 'widgets.test.navarch.io "w" already exists'):
        await registry.create(WIDGET, "default", widget(), ctx())
    with refused(400, "BadRequest", "does not match the namespace"):
        await registry.create(WIDGET, "default", widget("x", namespace="kube-system"), ctx())
    with refused(400, "BadRequest", "resourceVersion should not be set"):
        await registry.create(WIDGET, "default", widget("x", resource_version="1"), ctx())
    with refused(422, "Invalid", "spec.size"):
        await registry.create(WIDGET, "default", widget("x", size=-1), ctx())


async def test_update_compares_and_swaps(registry: Registry) -> None:
    first = await make(registry)
    second = (
        await registry.update(WIDGET, "default", "w", replace(first, spec=WidgetSpec(size=2)), ctx())
    ).obj
    assert second.metadata.generation == 2
    with refused(
        409, "Conflict", "the object has been modified; please apply your changes to the latest version"
    ):
        await registry.update(WIDGET, "default", "w", replace(first, spec=WidgetSpec(size=3)), ctx())
    unconditional = widget(size=4)
    third = (await registry.update(WIDGET, "default", "w", unconditional, ctx())).obj
    assert third.spec.size == 4
    assert third.metadata.uid == first.metadata.uid
    assert third.metadata.creation_timestamp == first.metadata.creation_timestamp


async def test_update_refusals(registry: Registry) -> None:
    made = await make(registry)
    meta = made.metadata
    with refused(400, "BadRequest", "invalid resource version"):
        await registry.update(
            WIDGET, "default", "w", replace(made, metadata=replace(meta, resource_version="abc")), ctx()
        )
    with refused(400, "BadRequest", "does not match the name on the URL"):
        await registry.update(WIDGET, "default", "other", made, ctx())
    with refused(404, "NotFound"):
        await registry.update(WIDGET, "default", "other", widget("other"), ctx())
    with refused(409, "Conflict", "Precondition failed: UID in precondition: x"):
        await registry.update(WIDGET, "default", "w", widget(uid="x"), ctx())
    with refused(422, "Invalid", "metadata.deletionTimestamp: Invalid value"):
        await registry.update(
            WIDGET, "default", "w", widget(deletion_timestamp="2001-01-01T00:00:00Z"), ctx()
        )
    assert stored(registry) == made


async def test_another_time_of_creation_is_passed_over(registry: Registry) -> None:
    """A copy that was kept elsewhere can be put back."""
    made = await make(registry)
    copy = widget(creation_timestamp="2001-01-01T00:00:00Z", labels={"a": "b"})
    kept = (await registry.update(WIDGET, "default", "w", copy, ctx())).obj.metadata
    assert kept.creation_timestamp == made.metadata.creation_timestamp
    assert kept.labels == {"a": "b"}


async def test_an_update_that_changes_nothing_writes_nothing(registry: Registry, store: SqliteStore) -> None:
    made = await make(registry)
    before = store.revision
    result = await registry.update(WIDGET, "default", "w", made, ctx())
    again = await registry.update(WIDGET, "default", "w", widget(), ctx())
    patched = await registry.patch(WIDGET, "default", "w", {"spec": {"size": 1}}, "merge", ctx())
    assert [result.revision, again.revision, patched.revision] == [before] * 3
    assert store.revision == before


async def test_a_made_up_name_that_was_taken_meanwhile_is_made_up_anew(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_up = iter(["w-1", "w-1", "w-2", "w-1", "w-3"])
    monkeypatch.setattr(metadata, "generate", lambda base: next(made_up))
    sent = Widget(metadata=ObjectMeta(generate_name="w-"))
    made = await asyncio.gather(*(registry.create(WIDGET, "default", sent, ctx()) for _ in range(2)))
    assert sorted(m.obj.metadata.name for m in made) == ["w-1", "w-2"]
    assert (await registry.create(WIDGET, "default", sent, ctx())).obj.metadata.name == "w-3"


async def test_generation_counts_the_spec_alone(registry: Registry) -> None:
    made = await make(registry)
    labelled = await registry.patch(
        WIDGET, "default", "w", {"metadata": {"labels": {"a": "b"}}}, "merge", ctx()
    )
    assert labelled.obj.metadata.generation == 1
    status = replace(made, metadata=ObjectMeta(name="w"), status=WidgetStatus(phase="Up"))
    assert (
        await registry.update(WIDGET, "default", "w", status, ctx(), subresource="status")
    ).obj.metadata.generation == 1
    changed = await registry.patch(WIDGET, "default", "w", {"spec": {"size": 2}}, "merge", ctx())
    assert changed.obj.metadata.generation == 2


async def test_status_and_main_resource_keep_out_of_each_other(registry: Registry) -> None:
    await make(registry, size=1)
    both = replace(widget(size=9), status=WidgetStatus(phase="Up"))
    by_status = (await registry.update(WIDGET, "default", "w", both, ctx(), subresource="status")).obj
    assert by_status.status.phase == "Up"
    assert by_status.spec.size == 1
    by_main = (
        await registry.update(WIDGET, "default", "w", replace(both, status=WidgetStatus(phase="Down")), ctx())
    ).obj
    assert by_main.spec.size == 9
    assert by_main.status.phase == "Up"
    with refused(404, "NotFound"):
        await registry.update(WIDGET, "default", "w", both, ctx(), subresource="nothing")


async def test_metadata_can_be_written_with_the_status(registry: Registry) -> None:
    """As the reference does: a load balancer's controller takes hold of services that way."""
    await make(registry, size=1)
    hold = widget(size=9, labels={"a": "b"}, finalizers=["example.org/hold"])
    held = (await registry.update(WIDGET, "default", "w", hold, ctx(), subresource="status")).obj
    assert held.metadata.labels == {"a": "b"}
    assert held.metadata.finalizers == ["example.org/hold"]
    assert (held.spec.size, held.metadata.generation) == (1, 1)
    with refused(422, "Invalid", "metadata.labels"):
        await registry.update(
            WIDGET, "default", "w", widget(labels={"a": "b c"}), ctx(), subresource="status"
        )


async def test_a_hundred_writers_of_one_version_are_one_winner(registry: Registry) -> None:
    made = await make(registry)

    async def one(i: int) -> int:
        try:
            await registry.update(WIDGET, "default", "w", replace(made, spec=WidgetSpec(size=i + 100)), ctx())
        except StatusError as exc:
            return exc.code
        return i + 100

    answers = await asyncio.gather(*map(one, range(100)))
    winners = [a for a in answers if a != 409]
    assert len(winners) == 1
    spec = stored(registry).spec
    assert spec is not None
    assert spec.size == winners[0]


async def test_a_hundred_patches_without_a_version_all_land_once(
    registry: Registry, store: SqliteStore
) -> None:
    await make(registry)
    before = store.revision

    async def one(i: int) -> None:
        body = {"metadata": {"labels": {f"l{i}": "x"}}}
        await registry.patch(WIDGET, "default", "w", body, "merge", ctx())

    await asyncio.wait_for(asyncio.gather(*map(one, range(100))), 30)
    assert len(stored(registry).metadata.labels or {}) == 100
    assert store.revision == before + 100


async def test_patch_types(registry: Registry) -> None:
    parts = [Part(name="a", colour="red"), Part(name="b", colour="blue")]
    await make(registry, replace(widget(), spec=WidgetSpec(size=1, parts=parts)))
    change = {"spec": {"parts": [{"name": "b", "colour": "green"}]}}
    strategic = (await registry.patch(WIDGET, "default", "w", change, "strategic", ctx())).obj
    assert strategic.spec.parts == [parts[0], Part(name="b", colour="green")]
    operations = [{"op": "test", "path": "/spec/size", "value": 1}, {"op": "remove", "path": "/spec/parts/0"}]
    by_json = (await registry.patch(WIDGET, "default", "w", operations, "json", ctx())).obj
    assert by_json.spec.parts == [Part(name="b", colour="green")]
    merged = (await registry.patch(WIDGET, "default", "w", change, "merge", ctx())).obj
    assert merged.spec.parts == [Part(name="b", colour="green")]
    with refused(422, "Invalid"):
        await registry.patch(
            WIDGET, "default", "w", [{"op": "test", "path": "/spec/size", "value": 2}], "json", ctx()
        )
    with refused(415, "UnsupportedMediaType"):
        await registry.patch(WIDGET, "default", "w", {}, "odd", ctx())
    with refused(400, "BadRequest", "spec.size"):
        await registry.patch(WIDGET, "default", "w", {"spec": {"size": "big"}}, "merge", ctx())
    with refused(409, "Conflict", "has been modified"):
        stale = {"metadata": {"resourceVersion": "1"}, "spec": {"size": 5}}
        await registry.patch(WIDGET, "default", "w", stale, "merge", ctx())


async def test_dry_run_does_everything_but_write(registry: Registry, store: SqliteStore) -> None:
    made = await make(registry)
    before = store.revision
    dry = ctx(dry_run=True)
    created = await registry.create(WIDGET, "default", widget("new"), dry)
    assert created.obj.metadata.uid
    assert WIDGET.decode(created.value).metadata.resource_version is None
    with refused(409, "AlreadyExists"):
        await registry.create(WIDGET, "default", widget(), dry)
    with refused(422, "Invalid"):
        await registry.create(WIDGET, "default", widget("new", size=-1), dry)
    updated = await registry.update(WIDGET, "default", "w", widget(size=5), dry)
    assert updated.obj.spec.size == 5
    assert (
        await registry.patch(WIDGET, "default", "w", {"spec": {"size": 6}}, "merge", dry)
    ).obj.spec.size == 6
    assert (await registry.delete(WIDGET, "default", "w", None, dry)).deleted
    assert store.revision == before
    assert stored(registry) == made


async def test_warnings_reach_the_context(registry: Registry) -> None:
    context: Context = ctx()
    await registry.create(WIDGET, "default", widget(size=13), context)
    assert context.warnings == ["spec.size 13 is unlucky"]
    # Who writes the status cannot mend the spec.
    context = ctx()
    seen = replace(widget(size=13), status=WidgetStatus(phase="Up"))
    await registry.update(WIDGET, "default", "w", seen, context, subresource="status")
    assert context.warnings == []


async def test_create_on_update(registry: Registry) -> None:
    note = Note(metadata=ObjectMeta(name="n"), data={"a": "b"})
    made = (await registry.update(NOTE, None, "n", note, ctx())).obj
    assert made.metadata.uid
    assert made.metadata.generation is None
    with refused(404, "NotFound"):
        versioned = Note(metadata=ObjectMeta(name="m", resource_version="1"))
        await registry.update(NOTE, None, "m", versioned, ctx())


async def test_a_namespace_of_what_is_in_none_is_passed_over(registry: Registry) -> None:
    note = Note(metadata=ObjectMeta(name="x", namespace="default"))
    assert (await registry.create(NOTE, None, note, ctx())).obj.metadata.namespace is None
    changed = replace(note, data={"a": "b"})
    stored = (await registry.update(NOTE, None, "x", changed, ctx())).obj
    assert (stored.metadata.namespace, stored.data) == (None, {"a": "b"})


async def test_a_heartbeat_is_seen_at_once(registry: Registry) -> None:
    note = Note(metadata=ObjectMeta(name="n"), data={"beat": "0"})
    await registry.create(NOTE, None, note, ctx())
    for i in range(1, 20):
        await registry.update(NOTE, None, "n", replace(note, data={"beat": str(i)}), ctx())
    assert NOTE.decode(registry.get(NOTE, None, "n", ctx()).value).data == {"beat": "19"}


async def test_a_kind_that_is_only_asked_is_answered_and_not_stored(
    registry: Registry, store: SqliteStore
) -> None:
    question = Question(metadata=ObjectMeta(), data={"q": "why"})
    with refused(405, "MethodNotAllowed"):
        await registry.create(QUESTION, None, question, ctx())
    before = store.revision

    async def answer(context: Context, asked: Question) -> Question:
        answered: Question = replace(asked, data={**(asked.data or {}), "a": context.user.name})
        return answered

    registry.reviewers[QUESTION] = answer
    result = await registry.create(QUESTION, None, question, ctx())
    assert result.obj.data == {"q": "why", "a": "admin"}
    assert b"resourceVersion" not in result.value
    assert store.revision == before


async def test_the_state_survives_a_restart(registry: Registry, store: SqliteStore) -> None:
    made = await make(registry, size=3, labels={"a": "b"})
    again = Registry(store, registry.scheme)
    await again.start()
    try:
        assert stored(again) == made
        assert names(again.list(WIDGET, Query(), ctx()).entries) == ["w"]
    finally:
        await again.close()
