# SPDX-License-Identifier: GPL-3.0-or-later
"""Random requests after our own OpenAPI documents, from several connections. Whatever comes, the server
answers: no 5xx but the two that are meant, no connection dropped, no answer that takes two seconds without
what the machine gave to others, memory that stays, and a store that is whole at the end.

FUZZ_REQUESTS: how many (`make fuzz N=...`). FUZZ_SEED: another run. FUZZ_FIRST: the number to begin with; a
failure names it. Every request follows from the seed and its number alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from apiserver_support import Standalone
from fuzz_requests import NAMES, NAMESPACES, Generator, Request, operations, seed
from fuzz_values import Schemas
from fuzz_wire import Client, Dropped, queued_seconds, resident

REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "20000"))
FIRST = int(os.environ.get("FUZZ_FIRST", "0"))
CONNECTIONS = 4
#: Seconds of an answer, without those in which server and test waited for a processor.
SLOW = 2.0
#: Of a pod's node, which cannot be asked: where the node is not there or has no address.
TO_NODES = re.compile(r"/api/v1/namespaces/[^/]+/pods/[^/]+/(log|exec|attach|portforward)\?")
NO_NODE = re.compile(r"node \S+ of pod \S+ is not registered|node \S+ has reported no address")
#: What may be there at the end beside what was there after the first quarter.
GROWTH, GROWN = 1.25, 64 * 1024 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    folder = tmp_path_factory.mktemp("fuzzed")
    options = ("--nodes", "2", "--data-dir", str(folder / "data"), "--watch-history", "4Mi")
    standalone = Standalone(folder, *options).start()
    try:
        yield standalone
    finally:
        standalone.stop()


class Api:
    """The server as an administrator's client sees it."""

    def __init__(self, server: Standalone) -> None:
        self.server = server
        self.port = int(server.url.rpartition(":")[2])
        self.tls: ssl.SSLContext = server.tls()
        self._client = Client(self.port, self.tls)

    async def __call__(self, method: str, path: str, document: Any = None) -> tuple[int, Any]:
        body = b"" if document is None else json.dumps(document).encode()
        request = Request(method, path, [("Content-Type", b"application/json")], body, b"", False)
        status, answer = await self._client.exchange(request.raw(self.server.token))
        return status, json.loads(answer) if answer[:1] == b"{" else answer

    async def lists(self) -> AsyncIterator[tuple[str, list[Any]]]:
        """(path, objects) of every resource that can be listed."""
        groups = [("/api/v1", (await self("GET", "/api/v1"))[1])]
        for group in (await self("GET", "/apis"))[1]["groups"]:
            for version in group["versions"]:
                path = f"/apis/{version['groupVersion']}"
                groups.append((path, (await self("GET", path))[1]))
        for path, found in groups:
            for resource in found["resources"]:
                if "list" in resource["verbs"]:
                    status, answer = await self("GET", f"{path}/{resource['name']}")
                    assert status == 200, (path, resource["name"], answer)
                    for item in answer["items"]:
                        item.setdefault("apiVersion", answer["apiVersion"])
                        item.setdefault("kind", answer["kind"].removesuffix("List"))
                    yield f"{path}/{resource['name']}", answer["items"]


POD = {"containers": [{"name": "a", "image": "i", "ports": [{"containerPort": 80}], "env": [{"name": "A"}]}]}
BEGIN: list[tuple[str, dict[str, Any]]] = [
    ("configmaps", {"data": {"a": "b"}}),
    ("secrets", {"data": {"a": "YQ=="}}),
    ("pods", {"spec": POD}),
    ("pods", {"spec": {**POD, "schedulerName": "none"}}),
    ("services", {"spec": {"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 81}]}}),
    ("endpoints", {"subsets": [{"addresses": [{"ip": "10.1.1.1"}], "ports": [{"port": 80}]}]}),
    ("replicationcontrollers", {"spec": {"replicas": 1, "selector": {"a": "b"}, "template": {
        "metadata": {"labels": {"a": "b"}}, "spec": POD}}}),
    ("podtemplates", {"template": {"metadata": {"labels": {"a": "b"}}, "spec": POD}}),
]  # fmt: skip


@pytest_asyncio.fixture
async def api(server: Standalone) -> Api:
    made = Api(server)
    for namespace in NAMESPACES:
        await made("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    for i, (resource, rest) in enumerate(BEGIN):
        document = {"metadata": {"name": NAMES[i]}, **rest}
        status, answer = await made("POST", f"/api/v1/namespaces/{NAMESPACES[0]}/{resource}", document)
        assert status in (201, 409), answer
    return made


async def generator(api: Api) -> Generator:
    index = (await api("GET", "/openapi/v3"))[1]
    documents = [(await api("GET", path["serverRelativeURL"]))[1] for path in index["paths"].values()]
    corpus = [item for _, items in [pair async for pair in api.lists()] for item in items]
    return Generator(seed(), Schemas(documents), operations(documents), sorted(corpus, key=_order))


def _order(item: Any) -> tuple[str, str, str]:
    return item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]


def meant(request: Request, status: int, body: bytes) -> bool:
    """Whether a 5xx is the right answer: no node to ask, or a resourceVersion that there is not yet."""
    try:
        answer = json.loads(body)
    except ValueError:
        return False
    if status == 503:
        to_node = TO_NODES.match(f"{request.target}?") is not None
        return to_node and NO_NODE.search(answer["message"]) is not None
    causes = answer.get("details", {}).get("causes", [])
    return status == 504 and [cause["reason"] for cause in causes] == ["ResourceVersionTooLarge"]


class Run:
    """Requests from a counter that all connections share."""

    def __init__(self, api: Api, made: Generator) -> None:
        self.api = api
        self.made = made
        assert api.server.process is not None
        self.pid = api.server.process.pid
        self.next = FIRST
        self.codes: Counter[int] = Counter()
        self.failures: list[str] = []
        self.warm = 0
        self.slowest = (0.0, 0)

    async def connection(self) -> None:
        client = Client(self.api.port, self.api.tls)
        while self.next < FIRST + REQUESTS and len(self.failures) < 5:
            number, self.next = self.next, self.next + 1
            if number == FIRST + REQUESTS // 4:
                self.warm = resident(self.pid)
            await self._one(client, number)
        client.close()

    async def _one(self, client: Client, number: int) -> None:
        request = self.made.request(number)
        raw = request.raw(self.api.server.token)
        started, queued = time.monotonic(), self._queued()
        try:
            status, body = await asyncio.wait_for(client.exchange(raw, request.frames, request.watches), 120)
        except Dropped as dropped:
            self._failed(number, request, f"no answer: {dropped}")
            return
        except TimeoutError:
            self._failed(number, request, "no answer in 120 s")
            client.close()
            return
        took, waited = time.monotonic() - started, self._queued() - queued
        self.codes[status] += 1
        self.slowest = max(self.slowest, (took - waited, number))
        if status >= 500 and not meant(request, status, body):
            self._failed(number, request, f"{status} {body[:500]!r}")
        if took - waited > SLOW:
            self._failed(number, request, f"{status} after {took:.1f} s, {waited:.1f} s without a processor")

    def _queued(self) -> float:
        return queued_seconds(self.pid) + queued_seconds(os.getpid())

    def _failed(self, number: int, request: Request, why: str) -> None:
        again = f"FUZZ_SEED={seed()} FUZZ_FIRST={number} FUZZ_REQUESTS=1"
        self.failures.append(
            f"request {number}: {why}\n  again: {again} pytest {__file__}\n"
            f"  {request.method} {request.target[:2000]}\n  {request.headers}\n  {request.body[:4000]!r}"
        )


async def test_requests(server: Standalone, api: Api) -> None:
    run = Run(api, await generator(api))
    started = time.monotonic()
    await asyncio.gather(*(run.connection() for _ in range(CONNECTIONS)))
    print(f"{REQUESTS} requests in {time.monotonic() - started:.0f} s: {dict(sorted(run.codes.items()))},")
    print(
        f"slowest {run.slowest[0]:.2f} s (number {run.slowest[1]}), {run.warm >> 20} MB at a quarter,",
        end=" ",
    )
    print(f"{resident(run.pid) >> 20} MB at the end")
    assert not run.failures, "\n".join(run.failures)
    log = (server.folder / "stderr").read_text()
    assert "Traceback" not in log, log[-5000:]
    await whole(api)
    if REQUESTS >= 1000:
        # Requests that do nothing prove nothing.
        assert sum(n for code, n in run.codes.items() if code < 300) > REQUESTS // 10, run.codes
        assert resident(run.pid) < run.warm * GROWTH + GROWN


async def whole(api: Api) -> None:
    """Every object can be read and written again, and something new can be made."""
    async for path, items in api.lists():
        for item in items:
            meta = item["metadata"]
            prefix, _, resource = path.rpartition("/")
            place = f"{prefix}/namespaces/{meta['namespace']}" if meta.get("namespace") else prefix
            status, found = await api("GET", f"{place}/{resource}/{meta['name']}")
            assert status in (200, 404), found
            if status == 200:
                status, answer = await api("PUT", f"{place}/{resource}/{meta['name']}?dryRun=All", found)
                assert status < 500, answer
    name = f"/api/v1/namespaces/{NAMESPACES[1]}/configmaps"
    assert (await api("POST", name, {"metadata": {"name": "last"}}))[0] == 201
    assert (await api("DELETE", f"{name}/last"))[0] == 200
