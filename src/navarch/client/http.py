# SPDX-License-Identifier: GPL-3.0-or-later
"""The client interface over HTTPS: what a kubelet, a tool or a component in a process of its own uses."""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self, TypeVar, cast

import aiohttp
import msgspec
from multidict import CIMultiDict

from navarch import __version__
from navarch.api.authentication.tokenreview import TokenRequest
from navarch.api.builtin import scheme
from navarch.api.machinery import decoders
from navarch.api.machinery.errors import StatusError, unavailable
from navarch.api.machinery.meta import Object, Preconditions
from navarch.api.machinery.scheme import Kind, Scheme
from navarch.client import kubeconfig
from navarch.client.base import EventType, Listing, PatchType, WatchEvent

log = logging.getLogger(__name__)

T = TypeVar("T", bound=Object)

_PATCH_TYPES = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}
#: A watch asks the server to end it after this many seconds; the reflector opens the next one.
_WATCH_SECONDS = 300
#: Waits before a request that was refused with 429 is sent again, in multiples of Retry-After.
_RETRIES = (1.0, 1.0, 2.0, 3.0, 5.0)
_encode = msgspec.json.Encoder().encode


class _ListHead(msgspec.Struct):
    resourceVersion: str = ""


class _ListBody(msgspec.Struct):
    metadata: _ListHead
    items: list[msgspec.Raw] | None = None


class _Frame(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _Versioned(msgspec.Struct):
    metadata: _ListHead


class HttpClient:
    """Implements `client.base.Client`. One session with keep-alive; use as `async with` or call close()."""

    def __init__(
        self, connection: kubeconfig.Connection, *, kinds: Scheme | None = None, timeout: float = 30.0
    ) -> None:
        self.connection = connection
        self.scheme = kinds or scheme()
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._stream_timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=timeout, sock_read=_WATCH_SECONDS + 60
        )
        self._ssl: ssl.SSLContext | None = None
        self._session: aiohttp.ClientSession | None = None
        #: Those that go on, of this session.
        self._watches: set[HttpWatch] = set()
        self._closing: set[asyncio.Future[None]] = set()

    @classmethod
    def from_kubeconfig(cls, path: str | Path) -> Self:
        """Raises KubeconfigError."""
        return cls(kubeconfig.load(path))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def reconnect(self, connection: kubeconfig.Connection, *, linger: float = 600.0) -> None:
        """Use these credentials and new connections from now on; what is open goes on for so many seconds
        at most."""
        self.connection = connection
        old, self._session = self._session, None
        left, self._watches = self._watches, set()
        if old is None:
            return

        def over() -> None:
            # aiohttp does not end readers: a watch of a closed session would wait for ever.
            for watch in left:
                watch.end()
            closing = asyncio.ensure_future(old.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

        asyncio.get_running_loop().call_later(linger, over)

    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            headers = CIMultiDict({"User-Agent": f"navarch/{__version__}", "Accept": "application/json"})
            headers.extend(self.connection.impersonate)
            if self.connection.token:
                headers["Authorization"] = f"Bearer {self.connection.token}"
            self._ssl = self.connection.ssl_context()
            connector = aiohttp.TCPConnector(ssl=self._ssl, limit=0, keepalive_timeout=60)
            self._session = aiohttp.ClientSession(
                connector=connector, headers=headers, timeout=self._timeout, auto_decompress=True
            )
        return self._session

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        """One call; the answer's bytes. Raises StatusError (503 when the server cannot be reached).

        A request refused with 429 and Retry-After (nothing was done) is sent again in time.
        """
        for wait in (*_RETRIES, 0.0):
            try:
                return await self._request(method, path, query, body, content_type)
            except StatusError as error:
                seconds = (error.details or {}).get("retryAfterSeconds")
                if error.code != 429 or not seconds or error.reason != "TooManyRequests" or not wait:
                    raise
                if (error.details or {}).get("causes"):
                    raise  # a disruption budget: not the server's load
            await asyncio.sleep(seconds * wait * random.uniform(0.8, 1.2))
        raise AssertionError("unreachable: the last try returns or raises")

    async def _request(
        self, method: str, path: str, query: dict[str, str] | None, body: bytes | None, content_type: str
    ) -> bytes:
        headers = {"Content-Type": content_type} if body is not None else None
        try:
            async with self.session().request(
                method,
                self.connection.server + path,
                params=query or None,
                data=body,
                headers=headers,
                server_hostname=self.connection.tls_server_name or None,
            ) as response:
                data = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unavailable(
                f"{method} {self.connection.server}{path}: {str(error) or type(error).__name__}"
            ) from error
        if response.status >= 400:
            raise _status_error(response.status, data)
        return data

    def _decode(self, value: bytes | msgspec.Raw, into: type[Any]) -> Any:
        return decoders.of(into).decode(value)

    def path(self, kind: Kind[Any], namespace: str | None, name: str = "", subresource: str = "") -> str:
        parts = [f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"]
        if kind.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(kind.resource)
        if name:
            parts.append(name)
        if subresource:
            parts.append(subresource)
        return "/".join(parts)

    async def get(
        self, kind: type[Any], name: str, namespace: str | None = None, *, view: type[Any] | None = None
    ) -> Any:
        data = await self.request("GET", self.path(self.scheme.of(kind), namespace, name))
        return self._decode(data, view or kind)

    async def list(
        self,
        kind: type[Any],
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        view: type[Any] | None = None,
    ) -> Listing[Any]:
        data = await self.request(
            "GET", self.path(self.scheme.of(kind), namespace), query=_selectors(labels, fields)
        )
        body = self._decode(data, _ListBody)
        into = view or kind
        items = [self._decode(raw, into) for raw in body.items or ()]
        return Listing(items, body.metadata.resourceVersion)

    async def watch(
        self,
        kind: type[Any],
        namespace: str | None = None,
        *,
        since: str,
        labels: str = "",
        fields: str = "",
        view: type[Any] | None = None,
    ) -> HttpWatch:
        query = _selectors(labels, fields) | {
            "watch": "true",
            "resourceVersion": since,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        path = self.path(self.scheme.of(kind), namespace)
        try:
            session = self.session()
            response = await session.get(
                self.connection.server + path,
                params=query,
                timeout=self._stream_timeout,
                server_hostname=self.connection.tls_server_name or None,
            )
            if response.status >= 400:
                async with response:
                    raise _status_error(response.status, await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unavailable(
                f"watch {self.connection.server}{path}: {str(error) or type(error).__name__}"
            ) from error
        if session is not self._session:  # given up meanwhile
            response.close()
            raise unavailable(f"watch {self.connection.server}{path}: its connection was given up")
        watch = HttpWatch(response, self, view or kind)
        self._watches.add(watch)
        return watch

    def _ended(self, watch: HttpWatch) -> None:
        self._watches.discard(watch)

    async def create(self, obj: T, namespace: str | None = None) -> T:
        kind = self.scheme.of(type(obj))
        space = obj.metadata.namespace or namespace
        data = await self.request("POST", self.path(kind, space), body=_body(kind, obj))
        return kind.decode(data)

    async def update(self, obj: T, *, subresource: str = "") -> T:
        kind = self.scheme.of(type(obj))
        meta = obj.metadata
        path = self.path(kind, meta.namespace, meta.name or "", subresource)
        return kind.decode(await self.request("PUT", path, body=_body(kind, obj)))

    async def patch(
        self,
        kind: type[T],
        name: str,
        namespace: str | None,
        body: Any,
        *,
        type: PatchType = "merge",
        subresource: str = "",
    ) -> T:
        resource = self.scheme.of(kind)
        path = self.path(resource, namespace, name, subresource)
        data = await self.request("PATCH", path, body=_encode(body), content_type=_PATCH_TYPES[type])
        return resource.decode(data)

    async def delete(
        self,
        kind: type[T],
        name: str,
        namespace: str | None = None,
        *,
        grace: int | None = None,
        preconditions: Preconditions | None = None,
        propagation: str | None = None,
    ) -> None:
        options: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        if preconditions is not None:
            options["preconditions"] = preconditions
        if propagation is not None:
            options["propagationPolicy"] = propagation
        path = self.path(self.scheme.of(kind), namespace, name)
        await self.request("DELETE", path, body=_encode(options))

    async def create_token(self, request: TokenRequest) -> TokenRequest:
        kind, meta = self.scheme.of(TokenRequest), request.metadata
        path = f"/api/v1/namespaces/{meta.namespace}/serviceaccounts/{meta.name}/token"
        return kind.decode(await self.request("POST", path, body=_body(kind, request)))

    async def bind(self, name: str, namespace: str, node: str, *, uid: str | None = None) -> None:
        metadata = {"name": name, "namespace": namespace}
        if uid:
            metadata["uid"] = uid
        binding = {
            "kind": "Binding",
            "apiVersion": "v1",
            "metadata": metadata,
            "target": {"kind": "Node", "apiVersion": "v1", "name": node},
        }
        await self.request(
            "POST", f"/api/v1/namespaces/{namespace}/pods/{name}/binding", body=_encode(binding)
        )


class HttpWatch:
    """Implements `client.base.Watch` over a chunked answer of one JSON object a line."""

    def __init__(self, response: aiohttp.ClientResponse, client: HttpClient, into: type[Any]) -> None:
        self._response = response
        self._client = client
        self._into = into

    async def close(self) -> None:
        self._response.close()
        self._client._ended(self)

    def end(self) -> None:
        """Who reads it has come to its end."""
        self._response.content.set_exception(aiohttp.ClientConnectionError("its connection was given up"))

    async def __aiter__(self) -> AsyncIterator[list[WatchEvent[Any]]]:
        tail = b""
        try:
            async for chunk in self._response.content.iter_any():
                lines = (tail + chunk).split(b"\n")
                tail = lines.pop()
                events = [self._event(line) for line in lines if line]
                if events:
                    yield events
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if not isinstance(error, asyncio.CancelledError):
                log.debug("watch ended: %s", error)
        finally:
            self._response.close()

    def _event(self, line: bytes) -> WatchEvent[Any]:
        frame = self._client._decode(line, _Frame)
        if frame.type == "ERROR":
            raise StatusError.from_body(500, msgspec.json.decode(frame.object))
        version = self._client._decode(frame.object, _Versioned).metadata.resourceVersion
        kind = cast(EventType, frame.type)
        if kind == "BOOKMARK":
            return WatchEvent(kind, None, version)
        return WatchEvent(kind, self._client._decode(frame.object, self._into), version)


def _selectors(labels: str, fields: str) -> dict[str, str]:
    query = {}
    if labels:
        query["labelSelector"] = labels
    if fields:
        query["fieldSelector"] = fields
    return query


def _body(kind: Kind[Any], obj: Object) -> bytes:
    return _encode(msgspec.structs.replace(obj, kind=kind.kind, api_version=kind.api_version))


def _status_error(code: int, data: bytes) -> StatusError:
    try:
        body: Any = msgspec.json.decode(data)
    except msgspec.DecodeError:
        body = data.decode(errors="replace")
    return StatusError.from_body(code, body)
