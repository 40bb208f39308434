# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to a pod's node: logs are fetched from its kubelet and passed on; exec, attach and port-forward are
spliced through.

The master shows the kubelet its client certificate; what it wants of the kubelet's is `kubelettls`.
"""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import parse_qsl, quote

import aiohttp
import msgspec

from navarch.api.machinery import errors
from navarch.apiserver import kubelettls, streams, upgrade_proxy
from navarch.apiserver.kubelettls import Kubelet
from navarch.apiserver.request import WRITTEN, WRITTEN_LAST, Reply, Request, head
from navarch.apiserver.route import Target
from navarch.auth.user import SYSTEM
from navarch.registry.context import Context
from navarch.registry.registry import Registry

_PATHS = {"exec": "exec", "attach": "attach", "portforward": "portForward"}
_LOG_OPTIONS = frozenset(
    {"follow", "tailLines", "sinceSeconds", "sinceTime", "timestamps", "previous", "limitBytes", "stream"}
)


class Nodes:
    def __init__(self, registry: Registry, tls: ssl.SSLContext | None) -> None:
        self._registry = registry
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        self._pods = registry.scheme.resource("", "v1", "pods")
        self._nodes = registry.scheme.resource("", "v1", "nodes")

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _pod(self, target: Target) -> Any:
        assert self._pods is not None
        stored = self._registry.get(self._pods, target.namespace, target.name, Context(SYSTEM))
        return self._pods.decode(stored.value)

    def _kubelet(self, pod: Any) -> Kubelet:
        """Raises StatusError 400 for a pod without node or on a node without kubelet, 503 for a node without
        address.
        """
        name = pod.metadata.name
        node_name = pod.spec.node_name if pod.spec is not None else None
        if not node_name:
            raise errors.bad_request(f"pod {name} does not have a host assigned")
        assert self._nodes is not None
        try:
            stored = self._registry.get(self._nodes, None, node_name, Context(SYSTEM))
        except errors.StatusError:
            raise errors.unavailable(f"node {node_name} of pod {name} is not registered") from None
        status = self._nodes.decode(stored.value).status
        addresses = {a.type: a.address for a in (status.addresses or ())} if status is not None else {}
        host = addresses.get("InternalIP") or addresses.get("Hostname")
        if not host:
            raise errors.unavailable(f"node {node_name} has reported no address")
        endpoints = status.daemon_endpoints
        endpoint = endpoints.kubelet_endpoint if endpoints is not None else None
        if endpoint is None or not endpoint.port:
            # A simulated node, say. No 503: asking again does not help.
            raise errors.bad_request(f"node {node_name} runs no kubelet that could answer for pod {name}")
        return Kubelet(node_name, host, endpoint.port)

    def _client_tls(self) -> ssl.SSLContext:
        if self._tls is None:
            raise errors.unavailable("this master has no certificate to show to kubelets")
        return self._tls

    # Logs

    async def log(self, x: Request, target: Target) -> Reply:
        pod = self._pod(target)
        query = dict(_pairs(x.query))
        container = _container(pod, query.pop("container", ""))
        kubelet = self._kubelet(pod)
        requested = {k: v for k, v in query.items() if k in _LOG_OPTIONS}
        path = f"/containerLogs/{quote(target.namespace)}/{quote(target.name)}/{quote(container)}"
        url = f"https://{_bracketed(kubelet.host)}:{kubelet.port}{path}"
        session = self._session
        if session is None:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
            session = self._session = aiohttp.ClientSession(
                connector=kubelettls.Connector(), timeout=timeout, auto_decompress=False
            )
        tls = self._client_tls()
        x.release()
        try:
            async with session.get(url, params=requested, ssl=tls, server_hostname=kubelet.node) as answer:
                return await _pass_on(x, answer)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if x.lost or isinstance(error, ConnectionResetError):
                raise ConnectionResetError("connection lost") from None
            raise errors.StatusError(
                500, "InternalError", f"the kubelet of node {pod.spec.node_name} cannot be reached: {error}"
            ) from None

    # Streams

    async def stream(self, x: Request, target: Target) -> Reply:
        """exec, attach and portforward: the client's upgrade goes to the kubelet as it is, and then every
        byte.
        """
        pod = self._pod(target)
        kubelet = self._kubelet(pod)
        path = f"/{_PATHS[target.subresource]}/{quote(target.namespace)}/{quote(target.name)}"
        query = x.query
        if target.subresource != "portforward":
            pairs = [(k, v) for k, v in _pairs(query) if k != "container"]
            container = _container(pod, dict(_pairs(query)).get("container", ""))
            path += f"/{quote(container)}"
            query = "&".join(f"{quote(k)}={quote(v)}" for k, v in pairs)
        if "upgrade" not in x.header("Connection").lower():
            raise errors.bad_request(
                "you must specify at least 1 of stdin, stdout, stderr and ask for an upgrade"
            )
        if x.header("Upgrade").lower() != "websocket":
            raise errors.bad_request("only WebSocket upgrades are supported")
        tls = self._client_tls()
        x.release()
        try:
            return await upgrade_proxy.through(x, kubelet, tls, f"{path}?{query}" if query else path)
        except OSError as error:
            if x.lost:
                raise ConnectionResetError("connection lost") from None
            raise errors.StatusError(
                500, "InternalError", f"the kubelet of node {pod.spec.node_name} cannot be reached: {error}"
            ) from None


async def _pass_on(x: Request, answer: aiohttp.ClientResponse) -> Reply:
    """A kubelet's answer, as it comes. Its failures become a Status."""
    if answer.status != 200:
        text = (await answer.text(errors="replace"))[:1000].strip()
        try:
            failure = errors.StatusError.from_body(answer.status, msgspec.json.decode(text))
        except ValueError:
            reason = {400: "BadRequest", 404: "NotFound"}.get(answer.status, "InternalError")
            failure = errors.StatusError(
                answer.status, reason, text or f"the kubelet answered {answer.status}"
            )
        raise failure
    content_type = answer.headers.get("Content-Type", "text/plain; charset=utf-8")
    x.write(head(200, content_type, None, x.extra_lines()))
    x.on_lost = answer.close
    try:
        async for data in answer.content.iter_any():
            x.write(streams.chunk(data))
            await x.drained()
    except aiohttp.ClientError:
        # The answer has begun: cutting it off without its end is all that says it is not complete.
        x.close()
        return WRITTEN_LAST
    finally:
        x.on_lost = None
    x.write(streams.LAST_CHUNK)
    return WRITTEN_LAST if x.should_close else WRITTEN


def _container(pod: Any, requested: str) -> str:
    """The container that is meant. Raises StatusError 400."""
    spec = pod.spec
    containers = [c.name for c in spec.containers or ()]
    init = [c.name for c in spec.init_containers or ()]
    name = pod.metadata.name
    if requested:
        if requested in containers or requested in init:
            return requested
        raise errors.bad_request(f"container {requested} is not valid for pod {name}")
    if len(containers) == 1:
        return str(containers[0])
    raise errors.bad_request(
        f"a container name must be specified for pod {name}, choose one of: [{' '.join(containers)}]"
        + (f" or one of the init containers: [{' '.join(init)}]" if init else "")
    )


def _pairs(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, keep_blank_values=True, errors="replace")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
