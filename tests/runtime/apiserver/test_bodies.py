# SPDX-License-Identifier: GPL-3.0-or-later
"""Bodies that are large, deep, or of odd characters: refused by a Status or taken, and nobody else waits."""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
from typing import Any

import pytest
from apiserver_support import Http, Standalone

YAML = {"Content-Type": "application/yaml"}
APPLY = {"Content-Type": "application/apply-patch+yaml"}
JSON = {"Content-Type": "application/json"}
MAP: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}


def pod(count: int, **spec: Any) -> dict[str, Any]:
    containers = [{"name": f"c{i}", "image": "i", "env": [{"name": "A", "value": "b"}]} for i in range(count)]
    spec = {"schedulerName": "none", "containers": containers, **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}


async def answered_beside(http: Http, until: asyncio.Future[tuple[int, object]]) -> int:
    """How many small requests, one after the other, are answered before the large one is."""
    count = 0
    while not until.done():
        assert (await http("GET", "/healthz"))[0] == 200
        count += 1
    return count


async def test_others_are_answered_while_a_large_body_is_read(http: Http, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods?dryRun=All"
    await http("GET", "/healthz")
    large = asyncio.ensure_future(http("POST", path, data=json.dumps(pod(7_000)), headers=JSON))
    answered = await answered_beside(http, large)
    status, body = await large
    assert status == 201, body
    # On the loop, one of them would have waited for all of it.
    assert answered > 5


async def test_others_are_answered_while_yaml_is_read(http: Http, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    body = b"metadata: {name: c}\nx: [" + b"1, " * 85_000 + b"]\n"
    large = asyncio.ensure_future(http("POST", path, data=body, headers=YAML))
    answered = await answered_beside(http, large)
    assert (await large)[0] in (201, 400)
    assert answered > 5


async def test_yaml_has_a_limit_of_its_own_and_json_under_its_name_has_not(
    http: Http, namespace: str
) -> None:
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    text = "x" * 300_000
    status, body = await http("POST", maps, data=f"metadata: {{name: c}}\ndata: {{a: {text}}}", headers=YAML)
    assert (status, body["reason"]) == (413, "RequestEntityTooLarge")
    assert "limit is 262144 for YAML" in body["message"]
    # What the Python client calls YAML is JSON.
    applied = json.dumps({**MAP, "data": {"a": text}}, indent=1)
    for _ in range(2):
        status, body = await http("PATCH", f"{maps}/c?fieldManager=m", data=applied, headers=APPLY)
        assert status in (200, 201) and body["data"]["a"] == text
    status, body = await http("POST", maps, data=b"metadata: {name: d}\ndata: {a: b}", headers=YAML)
    assert status == 201 and body["data"] == {"a": "b"}


@pytest.mark.parametrize(
    "body",
    [
        b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]",
        b"[" * 200_000,
        b"{a: " * 60_000,
        b"- " * 100_000,
        b"".join(b"%%TAG !%d! a\n" % i for i in range(16_000)) + b"---\na",
    ],
    ids=["aliases", "lists", "maps", "blocks", "directives"],
)
async def test_yaml_bombs_are_refused(http: Http, namespace: str, body: bytes) -> None:
    status, found = await http("POST", f"/api/v1/namespaces/{namespace}/pods", data=body, headers=YAML)
    assert (status, found["reason"]) == (400, "BadRequest")


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = {"f:a": value}
    return value


@pytest.mark.parametrize("depth", [150, 900, 20_000])
async def test_what_is_nested_too_deeply_is_refused_everywhere(
    http: Http, namespace: str, depth: int
) -> None:
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    await http("POST", maps, json=MAP)
    deep = b'{"a":' * depth + b"1" + b"}" * depth
    body = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","managedFields":[{"fieldsV1":%b}]}}'
    body %= deep
    for method, path, media in (
        ("POST", maps, "application/json"),
        ("PUT", f"{maps}/c", "application/json"),
        ("PATCH", f"{maps}/c", "application/merge-patch+json"),
        ("PATCH", f"{maps}/c", "application/strategic-merge-patch+json"),
        ("PATCH", f"{maps}/c?fieldManager=m", "application/apply-patch+yaml"),
        ("DELETE", f"{maps}/c", "application/json"),
    ):
        status, found = await http(method, path, data=body, headers={"Content-Type": media})
        assert (status, found["reason"]) == (400, "BadRequest"), (method, media)
    operation = b'[{"op":"add","path":"/x","value":%b}]' % deep
    media = "application/json-patch+json"
    status, found = await http("PATCH", f"{maps}/c", data=operation, headers={"Content-Type": media})
    assert status == 400


async def test_a_patch_does_not_nest_deeper_than_a_body(http: Http, namespace: str) -> None:
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    await http("POST", maps, json=MAP)
    fields = "/metadata/managedFields"
    operations: list[Any] = [
        {"op": "add", "path": fields, "value": [{"fieldsV1": {"a": {}}}]},
        {"op": "add", "path": "/x", "value": {}},
    ]
    for _ in range(150):
        operations += [
            {"op": "move", "from": f"{fields}/0/fieldsV1", "path": "/x/a"},
            {"op": "add", "path": f"{fields}/0/fieldsV1", "value": {}},
            {"op": "move", "from": "/x", "path": f"{fields}/0/fieldsV1/f:b"},
            {"op": "add", "path": "/x", "value": {}},
        ]
    status, _ = await http(
        "PATCH",
        f"{maps}/c",
        data=json.dumps(operations),
        headers={"Content-Type": "application/json-patch+json"},
    )
    assert status == 400
    assert (await http("GET", f"{maps}/c"))[0] == 200


async def test_what_json_writes_as_surrogate_pairs_is_one_character(http: Http, namespace: str) -> None:
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    applied = json.dumps({**MAP, "data": {"a": "😀"}})
    assert "\\ud83d\\ude00" in applied
    status, body = await http("PATCH", f"{maps}/c?fieldManager=m", data=applied, headers=APPLY)
    assert status == 201 and body["data"]["a"] == "😀"
    text = 'metadata: {name: d}\ndata: {a: "\\ud83d\\ude00!", b: \'\\ud83d\', c: "\\\\ud83d"}'
    status, body = await http("POST", maps, data=text, headers=YAML)
    assert status == 201 and body["data"] == {"a": "😀!", "b": "\\ud83d", "c": "\\ud83d"}


async def test_half_a_character_is_refused(http: Http, namespace: str) -> None:
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    await http("POST", maps, json=MAP)
    for text in (b'{"metadata":{"name":"d"},"data":{"a":"\\ud83d"}}', b'{"metadata":{"name":"\\ude00"}}'):
        for headers in (JSON, YAML):
            assert (await http("POST", maps, data=text, headers=headers))[0] == 400
        assert (await http("PUT", f"{maps}/c", data=text, headers=JSON))[0] == 400
        for media in ("merge-patch+json", "strategic-merge-patch+json", "apply-patch+yaml"):
            headers = {"Content-Type": f"application/{media}"}
            status, _ = await http("PATCH", f"{maps}/c?fieldManager=m", data=text, headers=headers)
            assert status == 400, media
    operation = b'[{"op":"add","path":"/data","value":{"a":"\\ud83d"}}]'
    headers = {"Content-Type": "application/json-patch+json"}
    assert (await http("PATCH", f"{maps}/c", data=operation, headers=headers))[0] == 400


def raw(server: Standalone, *lines: bytes, body: bytes = b"") -> http.client.HTTPResponse:
    """An answer as Python's own client reads it."""
    import socket

    host, port = server.url.removeprefix("https://").split(":")
    connection = ssl.SSLContext.wrap_socket(server.tls(), socket.create_connection((host, int(port))),
                                            server_hostname=host)  # fmt: skip
    head = [*lines, b"Host: a", b"Authorization: Bearer " + server.token.encode(), b"Connection: close"]
    connection.sendall(b"\r\n".join([*head, b"Content-Length: %d" % len(body), b"", body]))
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer


@pytest.mark.parametrize(
    "line",
    [
        b"GET /api/v1/namespaces/%ED%A0%BD/configmaps/%ff HTTP/1.1",
        b"GET /api/v1/namespaces/\xff/configmaps/\xed\xa0\xbd HTTP/1.1",
        b"GET /api/v1/configmaps?labelSelector=a%3D%ED%A0%BD&fieldSelector=metadata.name%3D%ff HTTP/1.1",
        b"GET /api/v1/configmaps?labelSelector=\xff HTTP/1.1",
        b"GET /\xff HTTP/1.1",
    ],
)
async def test_bytes_that_are_no_characters_get_an_answer(server: Standalone, line: bytes) -> None:
    answer = await asyncio.to_thread(raw, server, line, b"Accept: \xff", b"User-Agent: \xed\xa0\xbd")
    assert 200 <= answer.status < 500


async def test_a_writer_whose_name_is_no_text_is_noted(
    http: Http, server: Standalone, namespace: str
) -> None:
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    await http("PATCH", f"{maps}/c?fieldManager=m", data=json.dumps(MAP), headers=APPLY)
    patch = b"PATCH %b/c HTTP/1.1" % maps.encode()
    head = (patch, b"User-Agent: \xff/1", b"Content-Type: application/merge-patch+json")
    answer = await asyncio.to_thread(lambda: raw(server, *head, body=b'{"data":{"a":"b"}}'))
    assert answer.status == 200


async def test_python_reads_an_answer_with_many_warnings(server: Standalone, namespace: str) -> None:
    unknown = {f"unknown{i}": 1 for i in range(130)}
    body = json.dumps({**MAP, **unknown}).encode()
    path = f"POST /api/v1/namespaces/{namespace}/configmaps HTTP/1.1".encode()
    answer = await asyncio.to_thread(lambda: raw(server, path, b"Content-Type: application/json", body=body))
    assert answer.status == 201
    warnings = answer.headers.get_all("Warning") or []
    assert len(warnings) == 64
    assert warnings[0] == '299 - "unknown field \\"unknown0\\""'
    assert warnings[-1] == '299 - "37 more warnings are not shown"'
    long = json.dumps({**MAP, "metadata": {"name": "d"}, **{"k" * 1500 + str(i): 1 for i in range(20)}})
    answer = await asyncio.to_thread(
        lambda: raw(server, path, b"Content-Type: application/json", body=long.encode())
    )
    warnings = answer.headers.get_all("Warning") or []
    assert answer.status == 201 and sum(map(len, warnings)) < 6000


REQUESTS, CAPACITY = {"requests": {"cpu": "x"}}, {"capacity": {"cpu": "x"}}
REVIEWS = "/apis/scheduling.navarch.io/v1alpha1/namespaces/default/schedulingreviews"


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"pods": [pod(1, overhead={"cpu": "many"})]}, "spec.pods[0].spec.overhead[cpu]"),
        (
            {"pods": [pod(1, containers=[{"name": "a", "image": "i", "resources": REQUESTS}])]},
            "spec.pods[0].spec.containers[0].resources.requests[cpu]",
        ),
        ({"pods": [pod(1, nodeSelector={"": "!"})]}, "spec.pods[0].spec.nodeSelector"),
        (
            {"podNames": ["a"], "addNodes": [{"metadata": {"name": "n"}, "status": CAPACITY}]},
            "spec.addNodes[0].status.capacity[cpu]",
        ),
        ({"podNames": ["a"] * 1001}, "spec.podNames"),
    ],
)  # fmt: skip
async def test_a_review_is_asked_about_what_could_be(http: Http, spec: dict[str, Any], field: str) -> None:
    asked = {"apiVersion": "scheduling.navarch.io/v1alpha1", "kind": "SchedulingReview", "spec": spec}
    status, body = await http("POST", REVIEWS, json=asked)
    assert (status, body["reason"]) == (422, "Invalid")
    assert field in [cause["field"] for cause in body["details"]["causes"]]


async def test_an_object_has_a_size(http: Http, namespace: str) -> None:
    pods = f"/api/v1/namespaces/{namespace}/pods"
    status, body = await http("POST", pods, data=json.dumps(pod(20_000)), headers=JSON)
    assert (status, body["reason"]) == (413, "RequestEntityTooLarge")
    assert "takes objects of 1572864 bytes at most" in body["message"]
