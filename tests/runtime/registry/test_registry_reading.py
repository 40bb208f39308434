# SPDX-License-Identifier: GPL-3.0-or-later
"""get, list and watch: selectors, pages, versions, objects that come and go from a watcher's selection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from registry_support import (
    NOTE,
    SCHEME,
    WIDGET,
    WidgetSpec,
    ctx,
    delete,
    make,
    names,
    refused,
    replace,
    stored,
    widget,
)

from navarch.api.core.namespace import NAMESPACE, Namespace
from navarch.api.machinery.meta import DeleteOptions, ObjectMeta
from navarch.api.machinery.selectors import parse_fields, parse_labels
from navarch.registry import reading
from navarch.registry.query import ALL, Query
from navarch.registry.reading import Bookmark, Watching
from navarch.registry.registry import Registry
from navarch.store.sqlite import SqliteStore


async def seen(watching: Watching, count: int) -> list[tuple[str, str]]:
    """The next `count` changes, as (type, name)."""
    found: list[tuple[str, str]] = []
    while len(found) < count:
        batch = await asyncio.wait_for(watching.next(), 5)
        assert not isinstance(batch, Bookmark)
        found += [(c.kind, c.entry.key.rpartition("/")[2]) for c in batch.changes]
    return found


@pytest.fixture
async def open_watch(registry: Registry) -> AsyncIterator[Any]:
    made: list[Watching] = []

    def open(**options: Any) -> Watching:
        kind, namespace = options.pop("kind", WIDGET), options.pop("namespace", "default")
        for name, parse in (("labels", parse_labels), ("fields", parse_fields)):
            if name in options:
                options[name] = parse(options[name])
        made.append(registry.watch(kind, Query(namespace, **options), ctx()))
        return made[-1]

    yield open
    for watching in made:
        watching.close()


def listed(registry: Registry, namespace: str | None = "default", **selectors: str) -> list[str]:
    chosen: dict[str, Any] = {}
    if "labels" in selectors:
        chosen["labels"] = parse_labels(selectors["labels"])
    if "fields" in selectors:
        chosen["fields"] = parse_fields(selectors["fields"])
    return names(registry.list(WIDGET, Query(namespace, **chosen), ctx()).entries)


async def test_selectors_of_lists(registry: Registry) -> None:
    await registry.create(NAMESPACE, None, Namespace(metadata=ObjectMeta(name="other")), ctx())
    for name, node, app in (("a", "n1", "x"), ("b", "n2", "x"), ("c", None, "y")):
        await make(registry, name=name, node=node, labels={"app": app})
    await registry.create(WIDGET, "other", widget("a", node="n1"), ctx())
    assert listed(registry) == ["a", "b", "c"]
    assert len(listed(registry, None)) == 4
    assert listed(registry, labels="app=x") == ["a", "b"]
    assert listed(registry, labels="app!=x,app") == ["c"]
    assert listed(registry, fields="spec.node=n1") == ["a"]
    assert listed(registry, fields="spec.node=") == ["c"]
    assert listed(registry, fields="spec.node!=n1") == ["b", "c"]
    assert listed(registry, fields="metadata.name=b") == ["b"]
    assert listed(registry, None, fields="metadata.name=a") == ["a", "a"]
    assert listed(registry, None, fields="metadata.namespace=other") == ["a"]
    assert listed(registry, None, fields="metadata.namespace!=other,metadata.name!=c") == ["a", "b"]
    assert listed(registry, fields="metadata.name=a,spec.node=n2") == []
    assert listed(registry, labels="app=x", fields="status.phase=New,spec.node=n2") == ["b"]
    with refused(400, "BadRequest", "field label not supported: spec.size"):
        listed(registry, fields="spec.size=1")


async def test_pages_are_of_one_state(registry: Registry) -> None:
    for i in range(10):
        await make(registry, name=f"w{i}")
    first = registry.list(WIDGET, Query("default", limit=4), ctx())
    assert names(first.entries) == ["w0", "w1", "w2", "w3"]
    assert first.remaining == 6
    await delete(registry, "w5")
    await make(registry, name="w55")
    second = registry.list(WIDGET, Query("default", limit=4, continue_=first.continue_), ctx())
    assert names(second.entries) == ["w4", "w5", "w6", "w7"]
    assert second.revision == first.revision
    third = registry.list(WIDGET, Query("default", limit=4, continue_=second.continue_), ctx())
    assert names(third.entries) == ["w8", "w9"]
    assert (third.continue_, third.remaining) == ("", None)
    rest = registry.list(WIDGET, Query("default", continue_=first.continue_), ctx())
    assert len(rest.entries) == 6
    exact = registry.list(WIDGET, Query("default", limit=10), ctx())
    assert (len(exact.entries), exact.continue_) == (10, "")


async def test_page_tokens_are_checked(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(4):
        await make(registry, name=f"w{i}")
        await registry.create(NOTE, None, NOTE.type(metadata=ObjectMeta(name=f"n{i}")), ctx())
    token = registry.list(WIDGET, Query("default", limit=1), ctx()).continue_
    with refused(400, "BadRequest", "continue key is not valid"):
        registry.list(WIDGET, Query("default", continue_="%%%"), ctx())
    with refused(400, "BadRequest", "continue key is not valid"):
        registry.list(NOTE, Query(continue_=token), ctx())
    with refused(400, "BadRequest", "continue key is not valid"):
        registry.list(WIDGET, Query("kube-system", continue_=token), ctx())
    with refused(400, "BadRequest", "not allowed when using continue"):
        registry.list(WIDGET, Query("default", continue_=token, resource_version="5"), ctx())
    selected = registry.list(WIDGET, Query("default", limit=1, labels=parse_labels("!x")), ctx())
    assert selected.remaining is None
    late = reading.monotonic() + reading.SNAPSHOT_SECONDS + 1
    monkeypatch.setattr(reading, "monotonic", lambda: late)
    with refused(410, "Expired", "too old to display a consistent list"):
        registry.list(WIDGET, Query("default", continue_=token), ctx())


async def test_versions_of_lists(registry: Registry, store: SqliteStore) -> None:
    await make(registry, name="a")
    then = store.revision
    await registry.create(NOTE, None, NOTE.type(metadata=ObjectMeta(name="n")), ctx())

    def at(version: str, match: str = "") -> int:
        return registry.list(WIDGET, Query("default", resource_version=version, match=match), ctx()).revision

    assert at("") == at("0") == at(str(then)) == at("1", "NotOlderThan") == store.revision
    assert at(str(then), "Exact") == then, "nothing of this kind changed since"
    await make(registry, name="b")
    with refused(410, "Expired"):
        at(str(then), "Exact")
    with refused(504, "Timeout", "Too large resource version: 999999"):
        at("999999")
    for version, match in (("x", ""), ("", "Exact"), ("0", "Exact"), ("1", "Odd")):
        with refused(400, "BadRequest"):
            at(version, match)


async def test_watch_begins_with_what_there_is(registry: Registry, open_watch: Any) -> None:
    await make(registry, name="a")
    for since in ("", "0"):
        watching = open_watch(resource_version=since)
        assert await seen(watching, 1) == [("ADDED", "a")]
    now = registry.list(WIDGET, Query("default"), ctx()).revision
    later = open_watch(resource_version=str(now))
    await make(registry, name="b")
    assert await seen(later, 1) == [("ADDED", "b")]
    assert await seen(watching, 1) == [("ADDED", "b")]


async def test_watch_resumes_from_a_version(registry: Registry, open_watch: Any) -> None:
    start = str(registry.list(WIDGET, ALL, ctx()).revision)
    made = await make(registry, name="a")
    await registry.update(WIDGET, "default", "a", replace(made, spec=WidgetSpec(size=2)), ctx())
    await delete(registry, "a")
    wanted = [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    assert await seen(open_watch(resource_version=start), 3) == wanted
    assert await seen(open_watch(resource_version=made.metadata.resource_version), 2) == wanted[1:]


async def test_an_object_enters_and_leaves_a_selection(registry: Registry, open_watch: Any) -> None:
    start = str(registry.list(WIDGET, ALL, ctx()).revision)
    on_node = open_watch(resource_version=start, fields="spec.node=n1")
    labelled = open_watch(resource_version=start, labels="on", fields="spec.node!=n1")
    named = open_watch(resource_version=start, namespace=None, fields="metadata.name=w")
    await make(registry)
    await make(registry, name="noise")
    for body in (
        {"spec": {"node": "n1"}},
        {"spec": {"size": 5}},
        {"metadata": {"labels": {"on": "1"}}},
        {"spec": {"node": "n2"}},
        {"spec": {"node": "n1"}},
    ):
        await registry.patch(WIDGET, "default", "w", body, "merge", ctx())
    await delete(registry, grace_period_seconds=0)
    assert [k for k, _ in await seen(on_node, 6)] == [
        "ADDED",
        "MODIFIED",
        "MODIFIED",
        "DELETED",
        "ADDED",
        "DELETED",
    ]
    assert await seen(labelled, 2) == [("ADDED", "w"), ("DELETED", "w")]
    assert [k for k, _ in await seen(named, 7)] == ["ADDED", *["MODIFIED"] * 5, "DELETED"]


async def test_watchers_of_one_selection_share_their_batches(registry: Registry, open_watch: Any) -> None:
    start = str(registry.list(WIDGET, ALL, ctx()).revision)
    one, two = (open_watch(resource_version=start, labels="a=b") for _ in range(2))
    await make(registry, labels={"a": "b"})
    assert await one.next() is await two.next()


async def test_watch_versions_that_cannot_be(store: SqliteStore) -> None:
    registry = Registry(store, SCHEME, window=2)
    await registry.start()
    try:
        start = registry.list(WIDGET, ALL, ctx()).revision
        for i in range(6):
            await make(registry, name=f"w{i}")
        with refused(410, "Expired", f"too old resource version: {start}"):
            registry.watch(WIDGET, Query("default", resource_version=str(start)), ctx())
        with refused(504, "Timeout"):
            registry.watch(WIDGET, Query("default", resource_version="99999"), ctx())
        with refused(400, "BadRequest"):
            registry.watch(WIDGET, Query("default", resource_version="abc"), ctx())
    finally:
        await registry.close()


async def test_bookmarks(registry: Registry, open_watch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await make(registry, name="a")
    current = registry.list(WIDGET, ALL, ctx()).revision
    watching = open_watch(resource_version="", send_initial_events=True, bookmarks=True)
    assert await seen(watching, 1) == [("ADDED", "a")]
    assert await watching.next() == Bookmark(current, True)
    without = open_watch(resource_version="", send_initial_events=False, bookmarks=True)
    without._every = 0.01
    assert await asyncio.wait_for(without.next(), 5) == Bookmark(current, False)
    await registry.create(NOTE, None, NOTE.type(metadata=ObjectMeta(name="n")), ctx())
    assert await asyncio.wait_for(without.next(), 5) == Bookmark(current + 1, False)
    await make(registry, name="b")
    assert await seen(without, 1) == [("ADDED", "b")]


async def test_closing_the_registry_ends_watches(store: SqliteStore) -> None:
    registry = Registry(store, SCHEME)
    await registry.start()
    watching = registry.watch(WIDGET, Query(resource_version=str(store.revision)), ctx())
    waiting = asyncio.ensure_future(watching.next())
    await asyncio.sleep(0)
    await registry.close()
    with refused(503, "ServiceUnavailable"):
        await asyncio.wait_for(waiting, 5)


async def test_one_object_that_cannot_be_read_does_not_stop_the_others(
    store: SqliteStore, caplog: pytest.LogCaptureFixture
) -> None:
    other = b'{"kind":"Gadget","apiVersion":"v1","metadata":{"resourceVersion":"","name":"other"}}'
    await store.create(WIDGET.key("default", "odd"), WIDGET.head + b'","name":7}}')
    await store.create(WIDGET.key("default", "bytes"), WIDGET.head + b'","name":"\xff"}}')
    await store.create(WIDGET.key("default", "other"), other)
    registry = Registry(store, SCHEME)
    await registry.start()
    try:
        await make(registry, name="w")
        assert listed(registry) == listed(registry, fields="status.phase=New") == ["w"]
        for name in ("odd", "bytes", "other"):
            with refused(500, "StorageReadError", f'"{name}" cannot be read from the store'):
                registry.get(WIDGET, "default", name, ctx())
            with refused(500, "StorageReadError", "navarch store repair"):
                await registry.patch(WIDGET, "default", name, {}, "merge", ctx())
            with refused(500, "StorageReadError"):
                await registry.delete(WIDGET, "default", name, None, ctx())
            with refused(500, "StorageReadError"):
                await make(registry, name=name)
            assert f"/default/{name} is damaged" in caplog.text
        unsafe = DeleteOptions(ignore_store_read_error_with_cluster_breaking_potential=True)
        gone = await registry.delete(WIDGET, "default", "odd", unsafe, ctx())
        assert gone.deleted
        with refused(404, "NotFound"):
            registry.get(WIDGET, "default", "odd", ctx())
        await make(registry, name="odd")
        assert listed(registry) == ["odd", "w"]
        assert (await registry.delete(WIDGET, "default", "odd", unsafe, ctx())).value  # as any other
    finally:
        await registry.close()


async def test_get_is_what_was_written(registry: Registry) -> None:
    made = await make(registry)
    assert stored(registry) == made
    with refused(404, "NotFound"):
        registry.get(WIDGET, "default", "none", ctx())
    with refused(404, "NotFound"):
        registry.get(WIDGET, "kube-system", "w", ctx())
