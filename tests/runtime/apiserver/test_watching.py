# SPDX-License-Identifier: GPL-3.0-or-later
"""Watches over HTTP: what is sent, in which form, when it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from apiserver_support import Http, Standalone

from navarch.api.core.configmap import ConfigMap
from navarch.client.http import HttpClient
from navarch.client.informer import Informer

MAP: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}


class Frames:
    """The frames of a watch, one by one."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def next(self) -> dict[str, Any] | None:
        """None when the watch ended properly."""
        async with asyncio.timeout(10):
            line = await self.answer.content.readline()
        return json.loads(line) if line else None

    async def told(self) -> tuple[str, str]:
        frame = await self.next()
        assert frame is not None
        return frame["type"], frame["object"]["metadata"]["name"]


@asynccontextmanager
async def watching(http: Http, path: str, **options: Any) -> AsyncIterator[Frames]:
    async with http.session.get(http.url + path, **options) as answer:
        assert answer.status == 200, await answer.text()
        yield Frames(answer)


async def test_changes_after_a_version_in_order(http: Http, namespace: str) -> None:
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    _, empty = await http("GET", maps)
    await http("POST", maps, json=MAP)
    version = empty["metadata"]["resourceVersion"]
    async with watching(http, f"{maps}?watch=true&resourceVersion={version}") as frames:
        assert await frames.told() == ("ADDED", "c")
        await http("PUT", f"{maps}/c", json={**MAP, "data": {"a": "b"}})
        frame = await frames.next()
        assert frame is not None
        assert (frame["type"], frame["object"]["data"]) == ("MODIFIED", {"a": "b"})
        await http("DELETE", f"{maps}/c")
        frame = await frames.next()
        assert frame is not None
        assert frame["type"] == "DELETED"
        assert int(frame["object"]["metadata"]["resourceVersion"]) > int(version)


async def test_who_leaves_its_connections_watches_on_by_new_ones(
    server: Standalone, http: Http, namespace: str
) -> None:
    """As a kubelet does whose host has changed its address: from the old one nothing comes any more."""
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    async with HttpClient.from_kubeconfig(server.kubeconfig) as client:
        known: Informer[ConfigMap] = Informer(client, ConfigMap, namespace=namespace)
        task = asyncio.create_task(known.run())
        try:
            for name in ("one", "two", "three"):
                async with asyncio.timeout(10):
                    await known.synced.wait()
                    await http("POST", maps, json={**MAP, "metadata": {"name": name}})
                    while known.get(name, namespace) is None:
                        await asyncio.sleep(0.01)
                client.reconnect(client.connection, linger=0.0)
                await asyncio.sleep(0.2)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_selector_sees_objects_enter_and_leave(http: Http, namespace: str) -> None:
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    async with watching(http, f"{maps}?watch=1&labelSelector=a%3Db") as frames:
        await http("POST", maps, json=MAP)
        merge = {"Content-Type": "application/merge-patch+json"}
        await http("PATCH", f"{maps}/c", json={"metadata": {"labels": {"a": "b"}}}, headers=merge)
        assert await frames.told() == ("ADDED", "c")
        await http("PATCH", f"{maps}/c", json={"metadata": {"labels": {"a": None}}}, headers=merge)
        assert await frames.told() == ("DELETED", "c")


async def test_initial_events_end_with_a_bookmark(http: Http, namespace: str) -> None:
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    await http("POST", maps, json=MAP)
    query = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    async with watching(http, f"{maps}?{query}") as frames:
        assert await frames.told() == ("ADDED", "c")
        mark = await frames.next()
        assert mark is not None
        assert mark["type"] == "BOOKMARK"
        assert mark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_timeout_ends_a_watch_and_the_connection_goes_on(http: Http, namespace: str) -> None:
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    async with watching(http, f"{maps}?watch=true&timeoutSeconds=1") as frames:
        assert await frames.next() is None
    assert (await http("GET", maps))[0] == 200


async def test_a_version_that_is_not_yet(http: Http, namespace: str) -> None:
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    code, body = await http("GET", f"{maps}?watch=true&resourceVersion=99999999")
    assert (code, body["reason"]) == (504, "Timeout")


async def test_a_watch_as_tables(http: Http, namespace: str) -> None:
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    async with watching(http, f"{maps}?watch=true", headers=accept) as frames:
        for name in ("one", "two"):
            await http("POST", maps, json={**MAP, "metadata": {"name": name}})
            frame = await frames.next()
            assert frame is not None
            table = frame["object"]
            assert table["kind"] == "Table"
            assert table["rows"][0]["cells"][0] == name
            assert bool(table["columnDefinitions"]) == (name == "one")


async def test_many_watchers_get_the_same(http: Http, namespace: str) -> None:
    maps = f"/api/v1/namespaces/{namespace}/configmaps"

    async def follow(started: asyncio.Event) -> list[str]:
        async with watching(http, f"{maps}?watch=true") as frames:
            started.set()
            return [(await frames.told())[1] for _ in range(20)]

    events = [asyncio.Event() for _ in range(20)]
    tasks = [asyncio.create_task(follow(event)) for event in events]
    await asyncio.gather(*(event.wait() for event in events))
    for i in range(20):
        await http("POST", maps, json={**MAP, "metadata": {"name": f"c{i}"}})
    async with asyncio.timeout(20):
        for names in await asyncio.gather(*tasks):
            assert names == [f"c{i}" for i in range(20)]
