# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests after our own OpenAPI documents: every operation, with its parameters, selectors and bodies."""

from __future__ import annotations

import base64
import os
from random import Random
from typing import Any, NamedTuple
from urllib.parse import quote

import fuzz_bodies as bodies
from fuzz_values import NAMES, WILD, Schemas, changed

from navarch.api.builtin import scheme
from navarch.api.machinery.scheme import Kind

NAMESPACES = ["fuzz-a", "fuzz-b"]
_KEPT = ("/namespaces", "/nodes")
_METHODS = ("get", "post", "put", "patch", "delete")
_ACCEPTS = [
    "application/json", "*/*", "application/json;as=Table;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", "application/vnd.kubernetes.protobuf",
    "application/json;as=Nothing", "application/yaml", "text/html, */*;q=0.1", ",;=", "\xff",
]  # fmt: skip
_SELECTORS = [
    "a=b", "a in (b,c)", "a notin (b)", "!a", "a", "a==b,c!=d", "metadata.name=o1", "spec.nodeName=", "a>1",
    "a in (", "=", "!!", ",,,", "a=b=c", "\\", "(" * 50, "a" * 300 + "=b",
    "metadata.name!=o1,status.phase=Running",
]  # fmt: skip
_VALUES = {
    "dryRun": ["All", "All", "None", ""],
    "fieldManager": ["fuzz", "", "x" * 300, "é"],
    "fieldValidation": ["Strict", "Warn", "Ignore", "x"],
    "propagationPolicy": ["Background", "Foreground", "Orphan", "x"],
    "resourceVersion": ["0", "1", "5", "99999999", "-1", "x"],
    "resourceVersionMatch": ["Exact", "NotOlderThan", "x"],
    "labelSelector": _SELECTORS,
    "fieldSelector": _SELECTORS,
    "continue": ["x", "eyJ2IjoiIn0", "%%%"],
    "limit": ["1", "0", "500", "-1", "9" * 30],
    "timeoutSeconds": ["0", "1", "x"],
    "sinceTime": ["2026-01-31T12:00:00Z", "x"],
}


_WILD_NAMES = [quote(v, errors="replace") for v in WILD if isinstance(v, str) and v] + ["%ED%A0%BD"]


class Operation(NamedTuple):
    method: str
    #: With places for names in braces.
    path: str
    parameters: list[str]
    #: Schema of the body; None where there is none.
    schema: dict[str, Any] | None
    kind: Kind[Any] | None


class Request(NamedTuple):
    method: str
    target: str
    headers: list[tuple[str, bytes]]
    body: bytes
    #: What is sent behind it when the answer is an upgrade (or in the hope of one).
    frames: bytes
    watches: bool

    def raw(self, token: str) -> bytes:
        lines = [
            b"%b %b HTTP/1.1" % (self.method.encode(), self.target.encode("utf-8", "surrogatepass")),
            b"Host: fuzz",
            b"Authorization: Bearer " + token.encode(),
            *(name.encode() + b": " + value for name, value in self.headers),
        ]
        if self.body or self.method not in ("GET", "DELETE"):
            lines.append(b"Content-Length: %d" % len(self.body))
        return b"\r\n".join(lines) + b"\r\n\r\n" + self.body


def operations(documents: list[dict[str, Any]]) -> list[Operation]:
    found = []
    kinds = scheme()
    for document in documents:
        for path, item in document.get("paths", {}).items():
            shared = [p["name"] for p in item.get("parameters", ()) if p.get("in") == "query"]
            for method in _METHODS:
                operation = item.get(method)
                if operation is None:
                    continue
                own = [p["name"] for p in operation.get("parameters", ()) if p.get("in") == "query"]
                content = operation.get("requestBody", {}).get("content", {})
                schema = next(iter(content.values()))["schema"] if content else None
                gvk = operation.get("x-kubernetes-group-version-kind") or {}
                version = "/".join(part for part in (gvk.get("group"), gvk.get("version")) if part)
                kind = kinds.kind(version, gvk.get("kind", ""))
                found.append(Operation(method.upper(), path, [*shared, *own], schema, kind))
    return sorted(found, key=lambda o: (o.path, o.method))


class Generator:
    """Request number i of a seed is always the same, whatever came before it."""

    def __init__(self, seed: str, schemas: Schemas, found: list[Operation], corpus: list[Any]) -> None:
        """corpus: objects as the server has them, to begin with."""
        self._seed = seed
        self._schemas = schemas
        self._operations = found
        self._corpus: dict[tuple[str, str], list[Any]] = {}
        for document in corpus:
            self._corpus.setdefault((document["apiVersion"], document["kind"]), []).append(document)
        #: Reads are easy: most requests write.
        self._weights = [1 if o.method in ("GET", "DELETE") else 4 for o in found]

    def request(self, number: int) -> Request:
        r = Random(f"{self._seed}:{number}")
        operation = r.choices(self._operations, self._weights)[0]
        namespace, name = r.choice(NAMESPACES), r.choice(NAMES)
        known = self._known(operation)
        if known and r.random() < 0.6:
            meta = r.choice(known)["metadata"]
            namespace, name = meta.get("namespace", namespace), meta["name"]
        if r.random() < 0.05:
            name = r.choice(_WILD_NAMES)
        path = operation.path.replace("{namespace}", namespace).replace("{name}", name)
        if "{" in path:
            path = path.partition("{")[0] + "a/b"
        query = self._query(r, operation)
        # What all others need is never really changed: namespaces and nodes.
        if "/namespaces/{name}" in operation.path or path.endswith(_KEPT) or "/nodes/" in path:
            query = [part for part in query if not part.startswith("dryRun=")] + ["dryRun=All"]
        headers = self._headers(r)
        body = b""
        if operation.method != "GET" and (operation.schema is not None or r.random() < 0.1):
            document = self._document(r, operation, namespace, name)
            if operation.method == "PATCH":
                media, body = bodies.patch(r, document)
                if media.endswith("yaml") and r.random() < 0.9:
                    query.append("fieldManager=fuzz")
            else:
                media, body = bodies.encoded(r, operation.kind, document)
            if r.random() < 0.02:
                media = r.choice(["text/plain", "", "application/json; charset=x", "\xff", *bodies.PATCHES])
            headers.append(("Content-Type", media.encode("latin-1")))
        watches = any(part.startswith("watch=") for part in query) and operation.method == "GET"
        frames = b""
        if operation.path.rpartition("/")[2] in ("exec", "attach", "portforward"):
            key = base64.b64encode(r.randbytes(16))
            tunnel = "SPDY/3.1+portforward.k8s.io"
            headers += [
                ("Connection", b"Upgrade"),
                ("Upgrade", r.choice([b"websocket", b"SPDY/3.1", b"x"])),
                ("Sec-WebSocket-Version", b"13"),
                ("Sec-WebSocket-Key", key),
                ("Sec-WebSocket-Protocol", r.choice(["v5.channel.k8s.io", tunnel, "x"]).encode()),
            ]
            payload = r.choice([bodies.spdy_frames(r), r.randbytes(20)])
            frames = r.choice([payload, bodies.websocket_frame(r, payload[:60_000])])
        return Request(
            operation.method, f"{path}?{'&'.join(query)}" if query else path, headers, body, frames, watches
        )

    def _known(self, operation: Operation) -> list[Any]:
        kind = operation.kind
        return self._corpus.get((kind.api_version, kind.kind), []) if kind is not None else []

    def _document(self, r: Random, operation: Operation, namespace: str, name: str) -> Any:
        kind = operation.kind
        known = self._known(operation)
        if known and r.random() < 0.6:
            document = changed(r, r.choice(known), r.choice([0, 0, 1, 1, 3]))
        else:
            document = self._schemas.value(r, operation.schema or {})
        if not isinstance(document, dict) or r.random() < 0.03:
            return document
        if kind is not None:
            document |= {"apiVersion": kind.api_version, "kind": kind.kind}
        meta = document.get("metadata")
        if not isinstance(meta, dict):
            meta = document["metadata"] = {}
        if r.random() < 0.9:
            meta["name"] = name if "{name}" in operation.path else r.choice(NAMES)
            meta.pop("namespace", None)
        if r.random() < 0.9:
            for field in ("resourceVersion", "uid", "ownerReferences", "finalizers", "deletionTimestamp"):
                meta.pop(field, None)
        return document

    def _query(self, r: Random, operation: Operation) -> list[str]:
        query = []
        for parameter in operation.parameters:
            if r.random() > 0.05:
                continue
            value = r.choice(_VALUES.get(parameter, ["true", "false", "1", "0", "a", "-1"]))
            if r.random() < 0.05:
                value = str(r.choice(WILD))
            text = quote(value, errors="replace") if r.random() < 0.95 else "%ED%A0%BD%ff%"
            query.append(f"{parameter}={text}")
        if r.random() < 0.01:
            query.append(r.choice(["&&&", "=", "%", "a" * 3000, "x=\xff"]))
        if any(part.startswith("follow=") for part in query):
            query = [part for part in query if not part.startswith("follow=")]
        return query

    def _headers(self, r: Random) -> list[tuple[str, bytes]]:
        headers = []
        if r.random() < 0.3:
            headers.append(("Accept", r.choice(_ACCEPTS).encode("latin-1")))
        if r.random() < 0.1:
            headers.append(("Accept-Encoding", r.choice([b"gzip", b"br", b"gzip;q=0"])))
        if r.random() < 0.2:
            headers.append(("User-Agent", r.choice([b"fuzz/1", b"", b"\xff/1", b"x" * 2000])))
        if r.random() < 0.02:
            headers.append(("Impersonate-User", r.choice([b"a", b"", b"\xff", b"system:node:n"])))
        return headers


def seed() -> str:
    return os.environ.get("FUZZ_SEED", "navarch")
