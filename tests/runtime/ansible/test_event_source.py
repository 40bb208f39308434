# SPDX-License-Identifier: GPL-3.0-or-later
"""The event source for rulebooks, run as ansible-rulebook runs it: a coroutine that fills a queue."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import runpy
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from ansible_support import ROOT

Event = dict[str, Any]
Direct = Callable[..., dict[str, Any]]
SOURCE = ROOT / "extensions" / "eda" / "plugins" / "event_source" / "watch.py"


@contextlib.asynccontextmanager
async def watching(**args: Any) -> AsyncIterator[Callable[[], Any]]:
    """next(): the next event of a source with these options, while it runs."""
    queue: asyncio.Queue[Event] = asyncio.Queue()
    source = asyncio.create_task(runpy.run_path(str(SOURCE))["main"](queue, args))

    async def following() -> Event:
        async with asyncio.timeout(20):
            getting = asyncio.create_task(queue.get())
            await asyncio.wait((getting, source), return_when=asyncio.FIRST_COMPLETED)
            if not getting.done():
                getting.cancel()
                source.result()
            return await getting

    try:
        yield following
    finally:
        source.cancel()
        with contextlib.suppress(asyncio.CancelledError, RuntimeError):
            await source


def told(event: Event) -> tuple[str, str]:
    return event["type"], event["resource"]["metadata"]["name"]


async def test_what_comes_changes_and_goes(direct: Direct, kubeconfig: str) -> None:
    def task(module: str, **options: Any) -> Any:
        return asyncio.to_thread(direct, module, **options)

    await task("config_map", name="there", labels={"app": "eda"}, data={"a": "1"})
    options = {"kubeconfig": kubeconfig, "kind": "cm", "namespace": "default", "initial": True}
    async with watching(**options, label_selectors=["app=eda"]) as event:
        assert told(await event()) == ("ADDED", "there")
        await task("config_map", name="other", data={"a": "1"})
        await task("config_map", name="new", labels={"app": "eda"}, data={"a": "1"})
        assert told(await event()) == ("ADDED", "new")
        await task("config_map", name="new", data={"a": "2"})
        changed = await event()
        assert told(changed) == ("MODIFIED", "new")
        assert changed["resource"]["data"] == {"a": "2"}
        await task("config_map", name="new", state="absent")
        assert told(await event()) == ("DELETED", "new")
    for selectors in ("app=eda", {"app": "eda"}):  # which other does not match
        async with watching(**options, label_selectors=selectors) as event:
            assert told(await event()) == ("ADDED", "there")
            await task("config_map", name="other", data={"a": str(selectors)})
            await task("config_map", name="there", data={"a": str(selectors)})
            assert told(await event()) == ("MODIFIED", "there")
    for name in ("there", "other"):
        await task("config_map", name=name, state="absent")


async def test_secrets_are_not_shown(direct: Direct, kubeconfig: str) -> None:
    await asyncio.to_thread(direct, "secret", name="eda", string_data={"k": "hush"})
    options = {"kubeconfig": kubeconfig, "kind": "Secret", "field_selectors": ["metadata.name=eda"]}
    for hidden in ({}, {"reveal": "false"}, {"reveal": "no"}):  # texts, as templates make them
        async with watching(**options, initial="true", **hidden) as event:
            assert (await event())["resource"]["data"] == {"k": "hidden"}
    async with watching(**options, initial=True, reveal=True) as event:
        assert (await event())["resource"]["data"] == {"k": base64.b64encode(b"hush").decode()}
    await asyncio.to_thread(direct, "secret", name="eda", state="absent")


async def test_the_environment_says_where_the_cluster_is(
    direct: Direct, kubeconfig: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.to_thread(direct, "config_map", name="eda-env", data={"a": "1"})
    cluster = yaml.safe_load(Path(kubeconfig).read_text())
    token, server = cluster["users"][0]["user"]["token"], cluster["clusters"][0]["cluster"]["server"]
    ca = base64.b64decode(cluster["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
    options = {"kind": "cm", "field_selectors": ["metadata.name=eda-env"], "initial": True}
    for environment in (
        {"KUBECONFIG": kubeconfig},
        {"HOST": server, "API_KEY": token, "SSL_CA_CERT": ca},
    ):
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(f"K8S_AUTH_{name}", value)
            async with watching(**options) as event:
                assert told(await event()) == ("ADDED", "eda-env")
    await asyncio.to_thread(direct, "config_map", name="eda-env", state="absent")


async def test_what_is_wrong_is_one_line(kubeconfig: str, tmp_path: Any) -> None:
    config = yaml.safe_load(Path(kubeconfig).read_text())
    config["users"][0]["user"]["token"] = "wrong-token"
    for options, beginning in (
        ({"kubeconfig": kubeconfig, "kind": "Nothing"}, "kind: the cluster has no kind Nothing"),
        ({"kubeconfig": config, "kind": "Pod"}, "the cluster answered 401"),
        ({"kubeconfig": str(tmp_path / "none"), "kind": "Pod"}, "kubeconfig: "),
        ({"kubeconfig": kubeconfig}, "kind: this option is missing"),
        ({"kubeconfig": kubeconfig, "kind": 5}, "kind: must be a string, not int"),
        ({"kubeconfig": kubeconfig, "kind": "Pod", "ca_cert": 5}, "ca_cert: must be a string, not int"),
        ({"kubeconfig": kubeconfig, "kind": "Pod", "lable_selectors": []}, "lable_selectors: there is no"),
        ({"kubeconfig": kubeconfig, "kind": "Pod", "namespace": ["default"]}, "namespace: must be a string"),
        ({"kubeconfig": kubeconfig, "kind": "Pod", "reveal": "perhaps"}, "reveal: must be true or false"),
    ):
        async with watching(**options) as event:
            with pytest.raises(RuntimeError) as caught:
                await event()
        assert str(caught.value).startswith(f"navarch.cluster.watch: {beginning}")
        assert "wrong-token" not in str(caught.value)


async def test_a_watch_that_breaks_or_is_too_old_misses_nothing() -> None:
    """Against a server that ends watches as the test wants: one breaks, the next one is told 410."""

    def item(name: str, version: int) -> dict[str, Any]:
        return {"metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": str(version)}}

    lists = [(10, [item("a", 1), item("b", 2)]), (20, [item("a", 1), item("b", 15), item("d", 18)])]
    watches: list[list[dict[str, Any]]] = [
        [{"type": "ADDED", "object": item("c", 11)}, {"type": "BOOKMARK", "object": item("", 12)}],
        [{"type": "ERROR", "object": {"code": 410, "message": "too old"}}],
        [{"type": "DELETED", "object": item("d", 21)}],
    ]
    asked: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/api/v1":
            return web.json_response({"resources": [{"name": "pods", "kind": "Pod", "namespaced": True}]})
        if "watch" not in request.query:
            version, items = lists.pop(0)
            return web.json_response({"metadata": {"resourceVersion": str(version)}, "items": items})
        asked.append(request.query["resourceVersion"])
        stream = web.StreamResponse()
        await stream.prepare(request)
        if not watches:
            await asyncio.sleep(60)
        for event in watches.pop(0):
            await stream.write(web.json_response(event).body + b"\n")
        return stream

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with watching(host=host, kind="Pod", api_version="v1") as event:
            events = [told(await event()) for _ in range(5)]
    finally:
        await runner.cleanup()
    assert events[0] == ("ADDED", "c")
    assert sorted(events[1:4]) == [("ADDED", "d"), ("DELETED", "c"), ("MODIFIED", "b")]
    assert events[4] == ("DELETED", "d")
    assert asked[:3] == ["10", "12", "20"]
