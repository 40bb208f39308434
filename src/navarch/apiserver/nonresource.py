# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths that are no resource: discovery, OpenAPI, version, health, metrics."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from navarch.api.machinery import errors
from navarch.apiserver import negotiate, streams
from navarch.apiserver.backup import Backup
from navarch.apiserver.discovery import Discovery
from navarch.apiserver.metrics import Collector, exposition
from navarch.apiserver.request import Reply, Request
from navarch.apiserver.route import unknown_path
from navarch.registry.registry import Registry

_V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"


class Documents:
    def __init__(
        self, registry: Registry, metrics: Sequence[Collector], backup: Backup | None = None
    ) -> None:
        self._backup = backup
        self._scheme = registry.scheme
        self._discovery = Discovery(registry.scheme)
        self._metrics = metrics
        self._openapi: dict[str, bytes] = {}
        #: Whether /readyz says so. The server is alive as long as it answers.
        self.ready = False

    async def answer(self, x: Request) -> Reply:
        """Raises StatusError 404, 405, 406."""
        if x.method != "GET":
            raise errors.method_not_allowed("the server does not allow this method on the requested resource")
        parts = [p for p in x.path.split("/") if p]
        match parts:
            case []:
                return x.reply(200, self._paths())
            case ["version"]:
                return x.reply(200, self._discovery.version)
            case ["healthz" | "livez" | "readyz", *_]:
                return self._health(x, parts)
            case ["metrics"]:
                body, content_type = exposition(*self._metrics)
                return x.reply(200, body, content_type)
            case ["navarch", "v1", "backup"] if self._backup is not None:
                return await self._backup.answer(x)
            case ["api"] | ["apis"]:
                return self._groups(x, parts[0])
            case ["api", version]:
                return self._found(x, self._discovery.resources("", version))
            case ["apis", group]:
                return self._found(x, self._discovery.group(group))
            case ["apis", group, version]:
                return self._found(x, self._discovery.resources(group, version))
            case ["openapi", "v2"]:
                return await self._document(x, "v2")
            case ["openapi", "v3"]:
                return x.reply(200, self._openapi_index())
            case ["openapi", "v3", *rest]:
                return await self._document(x, "/".join(rest))
        raise unknown_path()

    def _found(self, x: Request, body: bytes | None) -> Reply:
        if body is None:
            raise unknown_path()
        return x.reply(200, body)

    def _groups(self, x: Request, which: str) -> Reply:
        form = negotiate.accept(x.header("Accept"))
        found = self._discovery
        if form.as_ == "APIGroupDiscoveryList":
            body = found.aggregated_core if which == "api" else found.aggregated_groups
            return x.reply(200, body, form.content_type, "Vary: Accept\r\n")
        return x.reply(200, found.core_versions if which == "api" else found.groups)

    def _paths(self) -> bytes:
        paths = [
            "/api",
            "/api/v1",
            "/apis",
            "/healthz",
            "/livez",
            "/metrics",
            "/openapi/v2",
            "/openapi/v3",
            "/readyz",
            "/version",
        ]
        for group, version in self._scheme.groups():
            if group:
                paths += [f"/apis/{group}", f"/apis/{group}/{version}"]
        return msgspec.json.encode({"paths": sorted(set(paths))})

    def _health(self, x: Request, parts: list[str]) -> Reply:
        well = self.ready if parts[0] == "readyz" else True
        if "verbose" in x.query:
            mark = "[+]ping ok\n" + ("[+]caches ok\n" if self.ready else "[-]caches not ready\n")
            text = mark + f"{parts[0]} check {'passed' if well else 'failed'}\n"
        else:
            text = "ok" if well else "not ready"
        return x.reply(
            200 if well else 500,
            text.encode(),
            "text/plain; charset=utf-8",
            "X-Content-Type-Options: nosniff\r\n",
        )

    # OpenAPI

    def _openapi_index(self) -> bytes:
        paths: dict[str, Any] = {}
        for group, version in self._scheme.groups():
            path = f"apis/{group}/{version}" if group else f"api/{version}"
            digest = hashlib.sha256(self._schema(path)).hexdigest()[:32].upper()
            paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"}
        return msgspec.json.encode({"paths": paths})

    async def _document(self, x: Request, path: str) -> Reply:
        gzip = negotiate.wants_gzip(x.header("Accept-Encoding"))
        if path == "v2" and "openapi.spec.v2@v1.0+protobuf" in x.header("Accept"):
            # kubectl knows no other form of v2, and asks for it to check kinds that have no PATCH.
            return await streams.send(x, 200, [self._schema("v2.protobuf")], _V2_PROTOBUF, gzip=gzip)
        if path == "v2":
            negotiate.accept(x.header("Accept"))
        return await streams.send(x, 200, [self._schema(path)], gzip=gzip)

    def _schema(self, path: str) -> bytes:
        """An OpenAPI document's bytes, made at the first request. Raises StatusError 404."""
        ready = self._openapi.get(path)
        if ready is None:
            from navarch.api.machinery import openapi  # heavy, and few ask

            document: Any
            if path == "v2.protobuf":
                from navarch.api.machinery import openapi_protobuf

                ready = self._openapi[path] = openapi_protobuf.document_v2(self._scheme)
                return ready
            if path == "v2":
                document = openapi.document_v2(self._scheme)
            else:
                parts = path.split("/")
                if parts[0] == "api" and len(parts) == 2:
                    group, version = "", parts[1]
                elif parts[0] == "apis" and len(parts) == 3:
                    group, version = parts[1], parts[2]
                else:
                    raise unknown_path()
                if (group, version) not in self._scheme.groups():
                    raise unknown_path()
                document = openapi.document(self._scheme, group, version)
            ready = self._openapi[path] = msgspec.json.encode(document)
        return ready
