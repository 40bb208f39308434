# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input is a Status with the API's own code, and the server stays up."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from apiserver_support import Http, Standalone

POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p"},
    "spec": {"schedulerName": "none", "containers": [{"name": "c", "image": "i"}]},
}
MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}


def named(name: str) -> dict[str, Any]:
    return {**POD, "metadata": {"name": name}}


def refused(answer: tuple[int, Any], code: int, reason: str, *words: str) -> None:
    status, body = answer
    assert (status, body["kind"], body["status"]) == (code, "Status", "Failure"), body
    assert (body["code"], body["reason"]) == (code, reason)
    for word in words:
        assert word in body["message"]


async def test_bad_bodies(http: Http, namespace: str) -> None:
    pods = f"/api/v1/namespaces/{namespace}/pods"
    json = {"Content-Type": "application/json"}
    refused(await http("POST", pods, data=b'{"kind":', headers=json), 400, "BadRequest")
    refused(await http("POST", pods, data=b"", headers=json), 400, "BadRequest")
    refused(await http("POST", pods, data=b"[" * 100_000, headers=json), 400, "BadRequest")
    refused(await http("POST", pods, data=b"\xff\xfe{}", headers=json), 400, "BadRequest")
    refused(
        await http(
            "POST",
            pods,
            data=b"k8s\x00\xff\xff\xff",
            headers={"Content-Type": "application/vnd.kubernetes.protobuf"},
        ),
        400,
        "BadRequest",
    )
    refused(
        await http("POST", pods, data=b"a,b", headers={"Content-Type": "text/csv"}),
        415,
        "UnsupportedMediaType",
    )
    wrong_type = {**POD, "spec": {"containers": "none"}}
    refused(await http("POST", pods, json=wrong_type), 400, "BadRequest", "spec.containers")
    refused(await http("POST", pods, json=MAP), 400, "BadRequest", "ConfigMap")
    refused(await http("POST", pods, json=named("Not_A_Name")), 422, "Invalid", "metadata.name")
    assert (await http("GET", pods))[1]["items"] == []


async def test_a_bad_quantity_names_its_field(http: Http, namespace: str) -> None:
    container = {"name": "c", "image": "i", "resources": {"requests": {"cpu": "12zz"}}}
    pod = {**POD, "spec": {"containers": [container]}}
    code, body = await http("POST", f"/api/v1/namespaces/{namespace}/pods", json=pod)
    assert code in (400, 422)
    assert "12zz" in body["message"]


async def test_unknown_kinds_objects_and_namespaces(http: Http, namespace: str) -> None:
    refused(await http("GET", "/api/v1/nonsense"), 404, "NotFound")
    refused(await http("GET", "/apis/none.example/v1/things"), 404, "NotFound")
    refused(await http("GET", "/nothing/here"), 404, "NotFound")
    refused(await http("GET", f"/api/v1/namespaces/{namespace}/pods/p/nonsense"), 404, "NotFound")
    refused(
        await http("GET", f"/api/v1/namespaces/{namespace}/pods/none"),
        404,
        "NotFound",
        'pods "none" not found',
    )
    refused(await http("POST", "/api/v1/namespaces/none/pods", json=POD), 404, "NotFound", "none")
    refused(await http("PUT", f"/api/v1/namespaces/{namespace}/pods", json=POD), 405, "MethodNotAllowed")
    refused(
        await http(
            "PATCH",
            f"/api/v1/namespaces/{namespace}",
            data=b"a: b",
            headers={"Content-Type": "application/apply-patch+yaml"},
        ),
        422,
        "Invalid",
        "fieldManager: Required value: is required for apply patch",
    )


@pytest.mark.parametrize(
    "query",
    ["limit=-1", "limit=x", "labelSelector=a%3D%3D%3Db", "fieldSelector=spec.nothing%3Dx",
     "resourceVersion=abc", "watch=maybe", "continue=rubbish", "timeoutSeconds=soon",
     "resourceVersionMatch=Sometimes"],
)  # fmt: skip
async def test_bad_options_are_400(http: Http, query: str) -> None:
    refused(await http("GET", f"/api/v1/pods?{query}"), 400, "BadRequest")


async def test_conflicts(http: Http, namespace: str) -> None:
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    code, made = await http("POST", maps, json=MAP)
    assert code == 201
    refused(await http("POST", maps, json=MAP), 409, "AlreadyExists")
    made["data"] = {"a": "1"}
    assert (await http("PUT", f"{maps}/c", json=made))[0] == 200
    refused(await http("PUT", f"{maps}/c", json=made), 409, "Conflict", "object has been modified")
    refused(await http("DELETE", f"{maps}/c", json={"preconditions": {"uid": "x"}}), 409, "Conflict")


async def test_a_body_over_the_limit_is_413_and_the_server_goes_on(http: Http, namespace: str) -> None:
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    big = b'{"metadata":{"name":"c"},"data":{"a":"' + b"x" * (3 * 1024 * 1024) + b'"}}'
    for chunked in (False, True):
        data: Any = aiohttp.payload.AsyncIterablePayload(_pieces(big)) if chunked else big
        try:
            answer = await http("POST", maps, data=data, headers={"Content-Type": "application/json"})
        except (aiohttp.ClientError, ConnectionError):
            continue  # The server ended the connection while we still wrote: also no.
        refused(answer, 413, "RequestEntityTooLarge")
    assert (await http("GET", maps))[1]["items"] == []


async def _pieces(data: bytes) -> Any:
    for at in range(0, len(data), 65536):
        yield data[at : at + 65536]


async def test_field_validation_strict_warns_or_ignores(http: Http, namespace: str) -> None:
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    typo = {**MAP, "dada": {}}
    refused(
        await http("POST", f"{maps}?fieldValidation=Strict", json=typo),
        400,
        "BadRequest",
        'unknown field "dada"',
    )
    async with http.session.post(http.url + maps + "?dryRun=All", json=typo) as answer:
        assert answer.status == 201
        assert 'unknown field \\"dada\\"' in answer.headers["Warning"]
    async with http.session.post(http.url + maps + "?dryRun=All&fieldValidation=Ignore", json=typo) as answer:
        assert answer.status == 201
        assert "Warning" not in answer.headers
    assert (await http("GET", maps))[1]["items"] == []


async def test_field_validation_of_what_a_patch_makes(http: Http, namespace: str) -> None:
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    assert (await http("POST", maps, json=MAP))[0] == 201
    path = f"{maps}/{MAP['metadata']['name']}"
    for type, patch in (
        ("json", '[{"op":"add","path":"/dada","value":{}}]'),
        ("json", '[{"op":"copy","from":"/metadata","path":"/dada"}]'),
        ("merge", '{"dada":{}}'),
        ("strategic-merge", '{"dada":{},"$retainKeys":["metadata","kind","apiVersion","dada"]}'),
    ):
        headers = {"Content-Type": f"application/{type}-patch+json"}
        unknown = 'strict decoding error: unknown field "dada"'
        answer = await http("PATCH", f"{path}?fieldValidation=Strict", data=patch, headers=headers)
        refused(answer, 422, "Invalid", unknown)
        # The object itself is not told to who may only patch it.
        assert "creationTimestamp" not in answer[1]["message"]
        for query, warns in (("", True), ("&fieldValidation=Warn", True), ("&fieldValidation=Ignore", False)):
            url = f"{http.url}{path}?dryRun=All{query}"
            async with http.session.patch(url, data=patch, headers=headers) as got:
                assert got.status == 200
                assert ('unknown field \\"dada\\"' in got.headers.get("Warning", "")) is warns
    # To take away what is not there is no mistake, and neither are the words of a patch.
    for type, patch in (
        ("merge", '{"dada":null}'),
        ("strategic-merge", '{"data":{"$patch":"replace","a":"2"}}'),
    ):
        headers = {"Content-Type": f"application/{type}-patch+json"}
        code, answer = await http("PATCH", f"{path}?fieldValidation=Strict", data=patch, headers=headers)
        assert code == 200, answer


async def test_who_is_not_known_is_401(server: Standalone) -> None:
    connector = aiohttp.TCPConnector(ssl=server.tls())
    async with aiohttp.ClientSession(connector=connector) as session:
        http = Http(session, server.url)
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": "Basic eDp5"},
            {"Authorization": "Bearer "},
        ):
            refused(await http("GET", "/api/v1/pods", headers=headers), 401, "Unauthorized")
            refused(await http("GET", "/metrics", headers=headers), 401, "Unauthorized")
        for path in ("/healthz", "/livez", "/readyz"):
            assert await http("GET", path) == (200, b"ok")
        assert (await http("GET", "/version"))[1]["major"] == "1"


async def test_a_client_certificate_of_another_authority_gets_no_connection(
    server: Standalone, tmp_path: Any
) -> None:
    from navarch import pki

    other = pki.issue(pki.make_ca(), "admin", organizations=["system:masters"])
    (tmp_path / "c").write_bytes(other.certificate + other.key)
    tls = server.tls()
    tls.load_cert_chain(tmp_path / "c")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as session:
        with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
            await session.get(server.url + "/api/v1/pods")


@pytest.mark.parametrize(
    "raw",
    [b"NONSENSE\r\n\r\n", b"GET / HTTP/1.1\r\nA" + b"a" * 70_000 + b": b\r\n\r\n", b"\x16\x03\x01\x00\x00",
     b"POST /api/v1/pods HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n"],
)  # fmt: skip
async def test_what_is_no_http_ends_that_connection_alone(server: Standalone, http: Http, raw: bytes) -> None:
    host, port = server.url.removeprefix("https://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=server.tls())
    try:
        writer.write(raw)
        async with asyncio.timeout(10):
            try:
                answer = await reader.read(65536) if raw[0] != 0x16 else b""
            except ConnectionError:
                answer = b""
        assert not answer or answer.startswith(b"HTTP/1.1 400")
    finally:
        writer.close()
    assert (await http("GET", "/version"))[0] == 200


async def test_lists_come_in_pages_and_as_tables(http: Http, namespace: str) -> None:
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    for i in range(5):
        await http("POST", maps, json={**MAP, "metadata": {"name": f"c{i}"}})
    names: list[str] = []
    token = ""
    while True:
        _, page = await http("GET", f"{maps}?limit=2&continue={token}")
        names += [item["metadata"]["name"] for item in page["items"]]
        token = page["metadata"].get("continue", "")
        if not token:
            break
        # The token is for this list alone.
        refused(await http("GET", f"/api/v1/secrets?limit=2&continue={token}"), 400, "BadRequest")
    assert names == [f"c{i}" for i in range(5)]
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
    _, table = await http("GET", maps, headers=accept)
    assert table["kind"] == "Table"
    assert [row["cells"][0] for row in table["rows"]] == names
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    partial = {"Accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}
    _, listed = await http("GET", maps, headers=partial)
    assert listed["kind"] == "PartialObjectMetadataList"
    assert set(listed["items"][0]) == {"kind", "apiVersion", "metadata"}
    refused(
        await http("GET", maps, headers={"Accept": "application/vnd.kubernetes.protobuf"}),
        406,
        "NotAcceptable",
    )
    code, gone = await http("DELETE", f"{maps}?labelSelector=")
    assert (code, gone["kind"], len(gone["items"])) == (200, "ConfigMapList", 5)
    assert (await http("GET", maps))[1]["items"] == []


async def test_a_yaml_body_and_a_head_request(http: Http, namespace: str) -> None:
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    yaml = b"metadata: {name: y}\ndata: {a: b}\n"
    code, made = await http("POST", maps, data=yaml, headers={"Content-Type": "application/yaml"})
    assert (code, made["data"]) == (201, {"a": "b"})
    async with http.session.head(f"{http.url}{maps}/y") as answer:
        assert answer.status == 200
        assert int(answer.headers["Content-Length"]) > 0
        assert await answer.read() == b""


async def test_the_scale_subresource(http: Http, namespace: str) -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    controllers = f"/api/v1/namespaces/{namespace}/replicationcontrollers"
    spec = {"replicas": 0, "selector": {"a": "b"}, "template": template}
    assert (await http("POST", controllers, json={"metadata": {"name": "r"}, "spec": spec}))[0] == 201
    code, scale = await http("GET", f"{controllers}/r/scale")
    assert (code, scale["kind"], scale["apiVersion"]) == (200, "Scale", "autoscaling/v1")
    assert scale["status"]["selector"] == "a=b"
    scale["spec"]["replicas"] = 2
    del scale["metadata"]["resourceVersion"]  # the controller writes its status meanwhile
    code, scale = await http("PUT", f"{controllers}/r/scale", json=scale)
    assert (code, scale["spec"]["replicas"]) == (200, 2)
    merge = {"Content-Type": "application/merge-patch+json"}
    code, scale = await http("PATCH", f"{controllers}/r/scale", json={"spec": {"replicas": 0}}, headers=merge)
    assert (code, scale["spec"].get("replicas", 0)) == (200, 0)
    refused(
        await http("PATCH", f"{controllers}/r/scale", json={"spec": {"replicas": -1}}, headers=merge),
        422,
        "Invalid",
    )


async def test_pods_of_a_controller_stay_when_its_deletion_says_nothing_of_them(
    http: Http, namespace: str
) -> None:
    """As the reference keeps it for v1; clients that want them gone say so."""
    core = f"/api/v1/namespaces/{namespace}"
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    body = {"metadata": {"name": "r"}, "spec": {"replicas": 1, "selector": {"a": "b"}, "template": template}}
    assert (await http("POST", f"{core}/replicationcontrollers", json=body))[0] == 201

    async def until(there: Callable[[list[Any]], bool], path: str = "pods") -> list[Any]:
        for _ in range(200):
            items: list[Any] = (await http("GET", f"{core}/{path}"))[1]["items"]
            if there(items):
                return items
            await asyncio.sleep(0.05)
        raise AssertionError(items)

    await until(lambda pods: len(pods) == 1)
    code, deleted = await http("DELETE", f"{core}/replicationcontrollers/r")
    assert (code, deleted["metadata"]["finalizers"]) == (200, ["orphan"])
    # The controller goes last: only after its pods have been let go.
    await until(lambda controllers: not controllers, "replicationcontrollers")
    (pod,) = (await http("GET", f"{core}/pods"))[1]["items"]
    assert not {"ownerReferences", "deletionTimestamp"} & pod["metadata"].keys()


async def test_a_lease_is_not_taken_without_looking(http: Http, namespace: str) -> None:
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    body = {"metadata": {"name": "l"}, "spec": {"holderIdentity": "me", "leaseDurationSeconds": 5}}
    code, made = await http("POST", leases, json=body)
    assert code == 201
    refused(await http("PUT", f"{leases}/l", json=body), 422, "Invalid")
    body["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"]
    assert (await http("PUT", f"{leases}/l", json=body))[0] == 200


async def test_what_is_only_created_is_not_read(http: Http, namespace: str) -> None:
    core = f"/api/v1/namespaces/{namespace}"
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    assert (await http("POST", f"{core}/pods", json=pod))[0] == 201
    for path in ("pods/p/eviction", "pods/p/binding", "serviceaccounts/default/token"):
        refused(await http("GET", f"{core}/{path}"), 405, "MethodNotAllowed")
    other = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "q"}}
    refused(await http("POST", f"{core}/pods/p/eviction", json=other), 400, "BadRequest")
    _, found = await http("GET", "/api/v1")
    (token,) = [r for r in found["resources"] if r["name"] == "serviceaccounts/token"]
    assert (token["kind"], token["group"], token["verbs"]) == (
        "TokenRequest",
        "authentication.k8s.io",
        ["create"],
    )


async def test_openapi_and_aggregated_discovery(http: Http) -> None:
    _, index = await http("GET", "/openapi/v3")
    url = index["paths"]["api/v1"]["serverRelativeURL"]
    _, document = await http("GET", url)
    assert "io.k8s.api.core.v1.Pod" in document["components"]["schemas"]
    accept = {
        "Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
    }
    _, found = await http("GET", "/apis", headers=accept)
    assert found["kind"] == "APIGroupDiscoveryList"
    assert "coordination.k8s.io" in [item["metadata"]["name"] for item in found["items"]]
    _, text = await http("GET", "/metrics")
    assert b"apiserver_request_total" in text


async def raw(server: Standalone, *pieces: bytes, answers: int) -> list[bytes]:
    """Send pieces as they are, each in a packet of its own; returns so many bodies."""
    host, port = server.url.removeprefix("https://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=server.tls())
    try:
        for piece in pieces:
            writer.write(piece.replace(b"TOKEN", server.token.encode()))
            await writer.drain()
            await asyncio.sleep(0.02)
        found: list[bytes] = []
        async with asyncio.timeout(10):
            while len(found) < answers:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                found.append(await reader.readexactly(length))
        return found
    finally:
        writer.close()


async def test_requests_in_pieces_and_several_at_once(server: Standalone, namespace: str) -> None:
    auth = b"Host: x\r\nAuthorization: Bearer TOKEN\r\n"
    maps = f"/api/v1/namespaces/{namespace}/configmaps".encode()

    def post(name: bytes, size: int) -> bytes:
        body = b'{"metadata":{"name":"%b"},"data":{"a":"%b"}}' % (name, b"x" * size)
        return b"POST %b HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n%b" % (maps, auth, len(body), body)

    def get(name: bytes) -> bytes:
        return b"GET %b/%b HTTP/1.1\r\n%b\r\n" % (maps, name, auth)

    # Several requests in one packet are answered in their order.
    found = await raw(server, post(b"one", 10) + get(b"one") + post(b"two", 10) + get(b"two"), answers=4)
    assert [b'"name":"one"' in f for f in found] == [True, True, False, False]
    # A head in two pieces, a body in three, what follows it in the same packet.
    whole = post(b"three", 100_000)
    pieces = (
        whole[:20],
        whole[20:300],
        whole[300:50_000],
        whole[50_000:] + get(b"three")[:30],
        get(b"three")[30:],
    )
    found = await raw(server, *pieces, answers=2)
    assert [len(f) > 100_000 for f in found] == [True, True]
    # A head in two pieces whose second looks like a request.
    whole = get(b"one").replace(b"\r\nHost", b"\r\nX-Note: a\r\nHost", 1)
    at = whole.index(b"Host")
    found = await raw(server, whole[:at], whole[at:], get(b"two"), answers=2)
    assert [b'"name":"two"' in f for f in found] == [False, True]


async def test_a_client_that_goes_before_its_answer_harms_nobody(
    server: Standalone, http: Http, namespace: str
) -> None:
    host, port = server.url.removeprefix("https://").split(":")
    path = f"/api/v1/namespaces/{namespace}/configmaps".encode()
    for i in range(20):
        _, writer = await asyncio.open_connection(host, int(port), ssl=server.tls())
        body = b'{"metadata":{"name":"gone-%d"}}' % i
        head = b"POST %b HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n" % (path, server.token.encode())
        writer.write(b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body))
        writer.transport.abort()
    assert (await http("GET", path.decode()))[0] == 200


async def test_a_short_way_refuses_nothing_that_is_odd(server: Standalone) -> None:
    """Heads that the short way must leave to the real parser."""
    odd = [
        b"GET /api/v1/nodes HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"GET /api/v1/nodes HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET /api/v1/nodes HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n",
        b"POST /api/v1/pods HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/v1/pods HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ]
    host, port = server.url.removeprefix("https://").split(":")
    for request in odd:
        reader, writer = await asyncio.open_connection(host, int(port), ssl=server.tls())
        try:
            writer.write(request)
            async with asyncio.timeout(10):
                line = await reader.readline()
            assert line.split()[1] in (b"400", b"401"), (request, line)
        finally:
            writer.close()
