# SPDX-License-Identifier: GPL-3.0-or-later
"""The in-process client: the same interface as over HTTP, with views and batches."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from registry_support import ADMIN, Widget, WidgetSpec, WidgetStatus, ctx, refused, replace, widget

from navarch.api.machinery.meta import ObjectMeta, Preconditions
from navarch.client.base import Client, WatchEvent
from navarch.client.local import LocalClient
from navarch.registry.query import Query
from navarch.registry.registry import Registry


class _Meta(msgspec.Struct):
    name: str


class _Spec(msgspec.Struct):
    node: str = ""


class NodeOf(msgspec.Struct):
    """A view: the name, and where it is."""

    metadata: _Meta
    spec: _Spec


@pytest.fixture
def client(registry: Registry) -> LocalClient:
    return LocalClient(registry, ADMIN)


async def collect(watch: Any, count: int) -> list[WatchEvent[Any]]:
    found: list[WatchEvent[Any]] = []

    async def read() -> None:
        async for batch in watch:
            found.extend(batch)
            if len(found) >= count:
                return

    await asyncio.wait_for(read(), 5)
    await watch.close()
    return found


async def test_it_is_a_client(client: LocalClient) -> None:
    typed: Client = client
    await typed.close()


async def test_verbs(client: LocalClient) -> None:
    made = await client.create(widget(size=1), "default")
    assert made.metadata.resource_version
    assert await client.get(Widget, "w", "default") == made
    changed = await client.update(replace(made, spec=WidgetSpec(size=2)))
    assert changed.spec.size == 2
    with refused(409, "Conflict"):
        await client.update(replace(made, spec=WidgetSpec(size=3)))
    status = await client.update(replace(changed, status=WidgetStatus(phase="Up")), subresource="status")
    assert status.status.phase == "Up"
    patched = await client.patch(Widget, "w", "default", {"metadata": {"labels": {"a": "b"}}})
    assert patched.metadata.labels == {"a": "b"}
    with refused(409, "Conflict"):
        await client.delete(Widget, "w", "default", preconditions=Preconditions(uid="x"))
    await client.delete(Widget, "w", "default", grace=0)
    with refused(404, "NotFound"):
        await client.get(Widget, "w", "default")


async def test_views(client: LocalClient) -> None:
    await client.create(widget(node="n1"), "default")
    assert await client.get(Widget, "w", "default", view=NodeOf) == NodeOf(_Meta("w"), _Spec("n1"))
    listing = await client.list(Widget, fields="spec.node=n1", view=NodeOf)
    assert listing.items == [NodeOf(_Meta("w"), _Spec("n1"))]
    assert (await client.list(Widget, labels="none")).items == []


async def test_watch_has_versions_and_batches(client: LocalClient) -> None:
    start = (await client.list(Widget)).resource_version
    watch = await client.watch(Widget, since=start)
    names = [f"w{i}" for i in range(40)]
    made = await asyncio.gather(*(client.create(widget(name), "default") for name in names))
    events = await collect(watch, 40)
    assert [e.type for e in events] == ["ADDED"] * 40
    assert sorted((e.object for e in events), key=lambda w: w.metadata.name) == sorted(
        made, key=lambda w: w.metadata.name
    )
    assert all(e.object.metadata.resource_version == e.resource_version for e in events)


async def test_watch_of_a_selection_in_a_view(client: LocalClient) -> None:
    start = (await client.list(Widget)).resource_version
    watch = await client.watch(Widget, "default", since=start, fields="spec.node=n1", view=NodeOf)
    await client.create(widget(), "default")
    await client.patch(Widget, "w", "default", {"spec": {"node": "n1"}})
    await client.delete(Widget, "w", "default", grace=0)
    events = await collect(watch, 2)
    assert [(e.type, e.object) for e in events] == [
        ("ADDED", NodeOf(_Meta("w"), _Spec("n1"))),
        ("DELETED", NodeOf(_Meta("w"), _Spec("n1"))),
    ]


async def test_watch_ends_when_the_registry_does_and_refuses_old_versions(
    client: LocalClient, registry: Registry
) -> None:
    with refused(504, "Timeout"):
        await client.watch(Widget, since="99999")
    watch = await client.watch(Widget, since="0")

    async def read() -> int:
        return sum([len(batch) async for batch in watch])

    reading = asyncio.ensure_future(read())
    await asyncio.sleep(0)
    await registry.close()
    assert await asyncio.wait_for(reading, 5) == 0


async def test_where_an_object_goes(client: LocalClient, registry: Registry) -> None:
    made = await client.create(Widget(metadata=ObjectMeta(name="w", namespace="kube-system")), "default")
    assert made.metadata.namespace == "kube-system"
    assert registry.list(registry.scheme.of(Widget), Query("default"), ctx()).entries == []
