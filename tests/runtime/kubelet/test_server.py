# SPDX-License-Identifier: GPL-3.0-or-later
"""The node server: who may ask, logs, exec and port-forward, statistics."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from pathlib import Path

import aiohttp
import pytest
from kubelet_support import ADDRESS, NODE, PATIENCE, SERVES, Cluster, Pods, eventually, sleeper, until_lines

from navarch import pki
from navarch.api.core.node.node import Node
from navarch.api.machinery.errors import StatusError

pytestmark = [pytest.mark.docker, pytest.mark.root]

LINES = ["sh", "-c", "echo one; echo two; echo three >&2; trap 'exit 0' TERM; sleep 1000 & wait"]


async def port(pods: Pods) -> int:
    node = await pods.client.get(Node, NODE)
    assert node.status is not None
    assert node.status.daemon_endpoints is not None
    assert node.status.daemon_endpoints.kubelet_endpoint is not None
    return node.status.daemon_endpoints.kubelet_endpoint.port


def tls(cluster: Cluster, name: str = "kubelet-client", *, ca: str = "kubelet-ca") -> ssl.SSLContext:
    folder = cluster.folder / "pki"
    context = ssl.create_default_context(cafile=str(folder / f"{ca}.crt"))
    if name:
        context.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
    return context


async def test_log_options(pods: Pods) -> None:
    await pods.create("talks", {"name": "a", "command": LINES})
    await pods.running("talks")
    assert sorted((await until_lines(pods, "talks", "a", 3)).split()) == ["one", "three", "two"]
    assert len((await pods.logs("talks", "a", tailLines="1")).splitlines()) == 1
    assert await pods.logs("talks", "a", limitBytes="2") in ("on", "th")
    stamped = (await pods.logs("talks", "a", timestamps="true")).splitlines()
    assert all(line[:2] == "20" and "T" in line for line in stamped)
    assert await pods.logs("talks", "a", sinceTime="2100-01-01T00:00:00Z") == ""
    for query in ({"previous": "true"}, {"tailLines": "x"}):
        with pytest.raises(StatusError) as refused:
            await pods.logs("talks", "a", **query)
        assert refused.value.code in (400, 422)
    with pytest.raises(StatusError):
        await pods.logs("talks", "nobody")


async def test_logs_of_the_life_before(pods: Pods) -> None:
    script = (
        "test -e /v/x && { trap 'exit 0' TERM; echo second; sleep 1000 & wait; }; "
        "touch /v/x; echo first; exit 1"
    )
    await pods.create(
        "again",
        {"name": "a", "command": ["sh", "-c", script], "volumeMounts": [{"name": "v", "mountPath": "/v"}]},
        volumes=[{"name": "v", "emptyDir": {}}],
    )
    await pods.until(
        "again", lambda p: p.status and any(s.restart_count for s in p.status.container_statuses or ())
    )
    await pods.running("again")
    assert await until_lines(pods, "again", "a", 1) == "second\n"
    assert await pods.logs("again", "a", previous="true") == "first\n"


async def test_following_ends_with_the_container(cluster: Cluster, pods: Pods) -> None:
    await pods.create(
        "flow", {"name": "a", "command": ["sh", "-c", "echo x; sleep 5; echo y"]}, restartPolicy="Never"
    )
    await pods.until("flow", lambda p: p.status and p.status.phase == "Running")
    assert await pods.logs("flow", "a", follow="true") == "x\ny\n"


async def test_who_follows_a_silent_log_hears_at_once_and_can_leave(cluster: Cluster, pods: Pods) -> None:
    await pods.create("silent", {"name": "a", "command": sleeper()})
    await pods.running("silent")
    where = f"/api/v1/namespaces/{pods.namespace}/pods/silent/log?follow=true"
    master = json.loads(cluster.admin.read_text())["clusters"][0]["cluster"]["server"]
    before = cluster.kubelet_sockets()
    async with aiohttp.ClientSession() as session:
        for _ in range(5):
            async with asyncio.timeout(PATIENCE):
                answer = await session.get(master + where, ssl=tls(cluster, "admin", ca="ca"))
            assert answer.status == 200
            answer.close()
    # A follower costs two: the master's connection and the Engine's.
    await eventually(lambda: cluster.kubelet_sockets() <= before + 2)


async def test_only_the_master_and_administrators_may_ask(
    cluster: Cluster, pods: Pods, tmp_path: object
) -> None:
    await pods.create("any", {"name": "a", "command": sleeper()})
    await pods.running("any")  # the kubelet, which may just have been started, has told its port
    url = f"https://{ADDRESS}:{await port(pods)}/pods"
    async with aiohttp.ClientSession() as session:
        async with session.get(url, ssl=tls(cluster)) as answer:
            assert answer.status == 200
            assert (await answer.json())["kind"] == "PodList"
        with pytest.raises(aiohttp.ClientError):
            await session.get(url, ssl=tls(cluster, ""))
        folder = cluster.folder / "pki"
        ca = pki.Pair((folder / "ca.crt").read_bytes(), (folder / "ca.key").read_bytes())
        stranger = pki.issue(ca, "somebody", organizations=["system:nodes"])
        (folder / "stranger.crt").write_bytes(stranger.certificate)
        (folder / "stranger.key").write_bytes(stranger.key)
        async with session.get(url, ssl=tls(cluster, "stranger")) as answer:
            assert answer.status == 403
            assert (await answer.json())["kind"] == "Status"


async def test_connections_of_strangers_and_of_one_user_are_few(cluster: Cluster, pods: Pods) -> None:
    """They come from the master's own address, and keep it out no more than others."""
    await pods.create("talks", {"name": "a", "command": LINES})
    await pods.running("talks")
    folder = cluster.folder / "pki"
    ca = pki.Pair((folder / "ca.crt").read_bytes(), (folder / "ca.key").read_bytes())
    one = pki.issue(ca, "one", organizations=["system:nodes"])
    (folder / "one.crt").write_bytes(one.certificate)
    (folder / "one.key").write_bytes(one.key)
    number, known = await port(pods), tls(cluster, "one")
    known.check_hostname = False
    before = cluster.kubelet_sockets()
    opened: list[asyncio.StreamWriter] = []

    async def connect(context: ssl.SSLContext | None) -> None:
        with contextlib.suppress(OSError):
            opened.append((await asyncio.open_connection(ADDRESS, number, ssl=context))[1])

    try:
        for context, count in ((None, 400), (known, 200)):
            for _ in range(count // 20):
                await asyncio.gather(*(connect(context) for _ in range(20)))
        assert len(opened) > 500
        await eventually(lambda: cluster.kubelet_sockets() - before <= 64 + 100 + 10)
        assert "one" in await pods.logs("talks", "a")
    finally:
        for writer in opened:
            writer.transport.abort()
    await eventually(lambda: cluster.kubelet_sockets() - before <= 10)


async def test_exec_carries_streams_and_the_exit_code(cluster: Cluster, pods: Pods) -> None:
    await pods.create("box", {"name": "a", "command": sleeper()})
    await pods.running("box")
    base = f"https://{ADDRESS}:{await port(pods)}/exec/{pods.namespace}/box/a"
    query = [
        ("command", "sh"),
        ("command", "-c"),
        ("command", "cat; echo err >&2; exit 3"),
        ("stdin", "1"),
        ("stdout", "1"),
        ("stderr", "1"),
    ]
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(base, params=query, ssl=tls(cluster), protocols=("v5.channel.k8s.io",)) as ws,
    ):
        await ws.send_bytes(b"\x00hello")
        await ws.send_bytes(b"\xff\x00")
        seen: dict[int, bytes] = {}
        async for message in ws:
            seen[message.data[0]] = seen.get(message.data[0], b"") + message.data[1:]
    assert (seen[1], seen[2]) == (b"hello", b"err\n")
    status = json.loads(seen[3])
    assert status["reason"] == "NonZeroExitCode"
    assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]


async def test_forwarding_a_port_reaches_the_pods_own_localhost(cluster: Cluster, pods: Pods) -> None:
    serve = [
        "sh",
        "-c",
        "mkdir -p /www; echo inside > /www/index.html; exec httpd -f -p 127.0.0.1:8080 -h /www",
    ]
    await pods.create("inner", {"name": "a", "command": serve, "readinessProbe": SERVES})
    await pods.running("inner")
    base = f"https://{ADDRESS}:{await port(pods)}/portForward/{pods.namespace}/inner"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(
            base, params={"ports": "8080"}, ssl=tls(cluster), protocols=("v4.channel.k8s.io",)
        ) as ws,
    ):
        assert await ws.receive_bytes() == b"\x00" + (8080).to_bytes(2, "little")
        assert await ws.receive_bytes() == b"\x01" + (8080).to_bytes(2, "little")
        await ws.send_bytes(b"\x00GET / HTTP/1.0\r\n\r\n")
        text = b""
        async for message in ws:
            text += message.data[1:]
            if b"inside" in text:
                break
    assert text.endswith(b"inside\n")


async def test_statistics(cluster: Cluster, pods: Pods) -> None:
    await pods.create("uses", {"name": "a", "command": sleeper()})
    await pods.running("uses")
    url = f"https://{ADDRESS}:{await port(pods)}"
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}/stats/summary", ssl=tls(cluster)) as answer:
            summary = await answer.json()
        async with session.get(f"{url}/metrics", ssl=tls(cluster)) as answer:
            metrics = await answer.text()
        async with session.get(f"{url}/healthz", ssl=tls(cluster)) as answer:
            assert await answer.text() == "ok"
    assert summary["node"]["nodeName"] == NODE
    pod = next(
        p
        for p in summary["pods"]
        if p["podRef"]["name"] == "uses" and p["podRef"]["namespace"] == pods.namespace
    )
    assert pod["containers"][0]["memory"]["workingSetBytes"] > 0
    assert pod["cpu"]["usageCoreNanoSeconds"] > 0
    assert "kubelet_running_pods" in metrics


async def test_the_node_tells_what_it_is(cluster: Cluster, pods: Pods) -> None:
    await pods.create("any", {"name": "a", "command": sleeper()})
    await pods.running("any")  # the kubelet may just have been started
    node = await pods.client.get(Node, NODE)
    assert node.status is not None
    assert node.spec is not None
    assert node.spec.pod_cidr
    conditions = {c.type: c.status for c in node.status.conditions or ()}
    assert conditions == {
        "Ready": "True",
        "MemoryPressure": "False",
        "DiskPressure": "False",
        "PIDPressure": "False",
    }
    assert (node.metadata.labels or {})["kubernetes.io/hostname"] == NODE
    assert node.status.node_info is not None
    assert node.status.node_info.container_runtime_version.startswith("docker://")
    assert set(node.status.capacity or {}) >= {"cpu", "memory", "pods", "ephemeral-storage"}
    total = int(Path("/proc/meminfo").read_text().split()[1])
    assert (node.status.capacity or {})["memory"] == f"{total}Ki"
