# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to a pod's node: logs and streams through the master, to a kubelet that is played by the test."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest_asyncio
from aiohttp import web
from apiserver_support import Http, Standalone

from navarch import pki


class PlayedKubelet:
    """Serves logs of three lines and echoes WebSocket messages; wants the master's certificate."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.user = ""
        self.more = asyncio.Event()
        self.stopped = asyncio.Event()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        subject = dict(part[0] for part in request.transport.get_extra_info("peercert")["subject"])
        assert "organizationName" not in subject
        self.user = subject["commonName"]
        self.asked.append(request.path_qs)
        assert "Authorization" not in request.headers
        if request.path.startswith("/containerLogs/"):
            return await self.log(request)
        socket = web.WebSocketResponse(protocols=["v5.channel.k8s.io"])
        await socket.prepare(request)
        async for message in socket:
            await socket.send_bytes(b"\x01" + message.data)
            if message.data == b"bye":
                break
        await socket.close()
        return socket

    async def log(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/plain"})
        if request.path.endswith("/broken"):
            return web.Response(status=400, text="container is waiting to start")
        await answer.prepare(request)
        await answer.write(b"one\ntwo\n")
        if "follow" in request.query:
            try:
                await self.more.wait()
            except asyncio.CancelledError:
                self.stopped.set()
                raise
        await answer.write(b"three\n")
        return answer


@pytest_asyncio.fixture
async def kubelet(
    server: Standalone, http: Http, namespace: str, tmp_path: Path
) -> AsyncIterator[PlayedKubelet]:
    """With the node `played` and the pod `p` (containers c and broken) on it."""
    data = server.folder / "data"
    ca = pki.Pair((data / "kubelet-ca.crt").read_bytes(), (data / "kubelet-ca.key").read_bytes())
    pair = pki.issue(ca, "system:node:played", names=["127.0.0.1"], usages=["server auth"])
    (tmp_path / "pair").write_bytes(pair.certificate + pair.key)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(data / "ca.crt"))
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_cert_chain(tmp_path / "pair")
    played = PlayedKubelet()
    loop = asyncio.get_running_loop()
    web_server = web.Server(played.handle, handler_cancellation=True)
    listening = await loop.create_server(web_server, "127.0.0.1", 0, ssl=tls)
    port = listening.sockets[0].getsockname()[1]
    status = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    }
    merge = {"Content-Type": "application/merge-patch+json"}
    await http("POST", "/api/v1/nodes", json={"metadata": {"name": "played"}})
    code, body = await http("PATCH", "/api/v1/nodes/played/status", json={"status": status}, headers=merge)
    assert code == 200, body
    containers = [{"name": name, "image": "i"} for name in ("c", "broken")]
    pod = {"metadata": {"name": "p"}, "spec": {"nodeName": "played", "containers": containers}}
    assert (await http("POST", f"/api/v1/namespaces/{namespace}/pods", json=pod))[0] == 201
    try:
        yield played
    finally:
        await http("DELETE", f"/api/v1/namespaces/{namespace}/pods/p?gracePeriodSeconds=0")
        await http("DELETE", "/api/v1/nodes/played")
        listening.close()
        await web_server.shutdown(1)


async def test_logs_come_through(
    server: Standalone, http: Http, kubelet: PlayedKubelet, namespace: str
) -> None:
    log = f"/api/v1/namespaces/{namespace}/pods/p/log"
    assert await http("GET", f"{log}?container=c&tailLines=3") == (200, b"one\ntwo\nthree\n")
    assert kubelet.asked == [f"/containerLogs/{namespace}/p/c?tailLines=3"]
    assert kubelet.user == "kube-apiserver-kubelet-client"
    code, body = await http("GET", log)
    assert (code, body["reason"]) == (400, "BadRequest")
    assert "choose one of: [c broken]" in body["message"]
    code, body = await http("GET", f"{log}?container=none")
    assert (code, body["message"]) == (400, "container none is not valid for pod p")
    code, body = await http("GET", f"{log}?container=broken")
    assert (code, body["message"]) == (400, "container is waiting to start")
    told = await asyncio.to_thread(server.kubectl, "-n", namespace, "logs", "p", "-c", "c")
    assert told == "one\ntwo\nthree\n"


async def test_another_kubelet_at_the_nodes_address_is_told_nothing(
    http: Http, kubelet: PlayedKubelet, namespace: str
) -> None:
    """A node says where it is; who answers there must be that node."""
    node = (await http("GET", "/api/v1/nodes/played"))[1]
    await http("POST", "/api/v1/nodes", json={"metadata": {"name": "liar"}})
    try:
        status = {key: node["status"][key] for key in ("addresses", "daemonEndpoints")}
        merge = {"Content-Type": "application/merge-patch+json"}
        await http("PATCH", "/api/v1/nodes/liar/status", json={"status": status}, headers=merge)
        spec = {"nodeName": "liar", "containers": [{"name": "c", "image": "i"}]}
        pods = f"/api/v1/namespaces/{namespace}/pods"
        assert (await http("POST", pods, json={"metadata": {"name": "q"}, "spec": spec}))[0] == 201
        for path, headers in (
            ("log", {}),
            ("exec?command=x&stdout=1", {"Connection": "Upgrade", "Upgrade": "websocket"}),
        ):
            code, body = await http("GET", f"{pods}/q/{path}", headers=headers)
            assert code == 500
            assert "who answers there is system:node:played, not system:node:liar" in body["message"]
        assert kubelet.asked == []
        # A connection to that address which is the right node's is no way in for the other one.
        assert (await http("GET", f"{pods}/p/log?container=c"))[0] == 200
        assert (await http("GET", f"{pods}/q/log"))[0] == 500
        assert len(kubelet.asked) == 1
    finally:
        await http("DELETE", f"{pods}/q?gracePeriodSeconds=0")
        await http("DELETE", "/api/v1/nodes/liar")


async def test_followed_logs_come_as_they_are_written(
    http: Http, kubelet: PlayedKubelet, namespace: str
) -> None:
    url = f"{http.url}/api/v1/namespaces/{namespace}/pods/p/log?container=c&follow=true"
    async with asyncio.timeout(10), http.session.get(url) as answer:
        assert await answer.content.readline() == b"one\n"
        assert await answer.content.readline() == b"two\n"
        kubelet.more.set()
        assert await answer.content.read() == b"three\n"


async def test_who_stops_following_frees_the_kubelet(
    http: Http, kubelet: PlayedKubelet, namespace: str
) -> None:
    url = f"{http.url}/api/v1/namespaces/{namespace}/pods/p/log?container=c&follow=true"
    async with http.session.get(url) as answer:
        assert await answer.content.readline() == b"one\n"
    async with asyncio.timeout(10):
        await kubelet.stopped.wait()


async def test_exec_is_spliced_through(http: Http, kubelet: PlayedKubelet, namespace: str) -> None:
    url = f"{http.url}/api/v1/namespaces/{namespace}/pods/p/exec?container=c&command=sh&command=-c&stdin=true"
    async with (
        asyncio.timeout(20),
        http.session.ws_connect(url, protocols=["v5.channel.k8s.io"], max_msg_size=0) as socket,
    ):
        assert socket.protocol == "v5.channel.k8s.io"
        for size in (1, 1000, 500_000):
            await socket.send_bytes(b"x" * size)
            assert (await socket.receive_bytes()) == b"\x01" + b"x" * size
        await socket.send_bytes(b"bye")
        assert (await socket.receive_bytes()) == b"\x01bye"
        assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
    assert kubelet.asked == [f"/exec/{namespace}/p/c?command=sh&command=-c&stdin=true"]


async def test_a_pod_without_node_or_with_a_silent_one(http: Http, namespace: str) -> None:
    pods = f"/api/v1/namespaces/{namespace}/pods"
    spec: dict[str, Any] = {"schedulerName": "none", "containers": [{"name": "c", "image": "i"}]}
    await http("POST", pods, json={"metadata": {"name": "q"}, "spec": spec})
    code, body = await http("GET", f"{pods}/q/log")
    assert (code, body["message"]) == (400, "pod q does not have a host assigned")
    code, body = await http("GET", f"{pods}/none/log")
    assert code == 404
    await http("POST", pods, json={"metadata": {"name": "r"}, "spec": {**spec, "nodeName": "sim-0"}})
    for _ in range(200):  # it joins a moment after the server is ready
        node = (await http("GET", "/api/v1/nodes/sim-0"))[1]
        if node.get("kind") == "Node" and node.get("status", {}).get("addresses"):
            break
        await asyncio.sleep(0.05)
    code, body = await http("GET", f"{pods}/r/log")
    # Not 503: asking again does not help.
    assert (code, body["reason"]) == (400, "BadRequest")
    assert "sim-0 runs no kubelet" in body["message"]
