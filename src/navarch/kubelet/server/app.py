# SPDX-License-Identifier: GPL-3.0-or-later
"""The node server's routes, its guard, and its life as a listener.

What a route answers is in the file of its subject.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import ssl
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from navarch.api.machinery.errors import StatusError, bad_request, not_found
from navarch.kubelet.agent import Kubelet
from navarch.kubelet.pods.worker import PodWorker
from navarch.kubelet.runtime.base import ContainerState
from navarch.kubelet.server import forward, logs, stats, streams
from navarch.kubelet.server.access import Access
from navarch.kubelet.server.connections import LIMITS, Connection
from navarch.serving.listener import Listener
from navarch.serving.peers import Places

log = logging.getLogger(__name__)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def listen(address: str, port: int) -> socket.socket:
    """A listening socket: who comes before there is a certificate waits. Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((address, port))
        sock.listen(128)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"cannot listen on {address}:{port}: {error.strerror}") from None
    return sock


class NodeServer:
    def __init__(self, kubelet: Kubelet) -> None:
        self._kubelet = kubelet
        self._access = Access(kubelet.client, kubelet.config.node_name)
        self._runner: web.AppRunner | None = None
        self._listener: Listener | None = None

    async def start(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        app = web.Application(middlewares=[self._guard], client_max_size=1024 * 1024)
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/healthz/ping", self._health)
        app.router.add_get("/pods", self._pods)
        app.router.add_get("/stats/summary", self._summary)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._logs)
        for name, handler in (("exec", self._exec), ("attach", self._attach)):
            app.router.add_get(f"/{name}/{{namespace}}/{{pod}}/{{container}}", handler)
        app.router.add_get("/portForward/{namespace}/{pod}", self._forward)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        self._runner, http = runner, runner.server
        assert http is not None
        places = Places(LIMITS, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self._listener = Listener(sock, context, places, lambda place: Connection(place, http))
        self._listener.start()

    async def stop(self) -> None:
        if self._listener is not None:
            await self._listener.close()
            self._listener = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        try:
            peer = request.transport.get_extra_info("peercert") if request.transport else None
            await self._access.check(peer, request.path)
            return await handler(request)
        except StatusError as error:
            return web.json_response(error.body(), status=error.code)
        except (web.HTTPException, asyncio.CancelledError, ConnectionResetError):
            raise
        except Exception:
            log.exception("%s %s", request.method, request.path)
            return web.json_response(
                StatusError(500, "InternalError", "the kubelet failed to answer").body(), status=500
            )

    # Who is asked about.

    def _worker(self, request: web.Request) -> PodWorker:
        namespace, name = request.match_info["namespace"], request.match_info["pod"]
        for worker in self._kubelet.workers.values():
            meta = worker.pod.metadata
            if meta.name == name and meta.namespace == namespace:
                return worker
        raise not_found("pods", name)

    def _running(self, request: web.Request) -> ContainerState:
        worker, name = self._worker(request), request.match_info["container"]
        found = [
            c for c in self._kubelet.containers.of(worker.uid) if c.name == name and c.status == "running"
        ]
        if not found:
            raise bad_request(f'container "{name}" of pod "{worker.pod.metadata.name}" does not run')
        return found[-1]

    # Answers.

    async def _health(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text="ok")

    async def _pods(self, request: web.Request) -> web.StreamResponse:
        items = [worker.pod for worker in self._kubelet.workers.values()]
        body = msgspec.json.encode({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})
        return web.Response(body=body, content_type="application/json")

    async def _summary(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(await stats.summary(self._kubelet))

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text=stats.metrics(self._kubelet))

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        requested = logs.parse(request.query)
        worker, name = self._worker(request), request.match_info["container"]
        spec = worker.pod.spec
        if spec is None or name not in {c.name for c in [*spec.containers, *(spec.init_containers or ())]}:
            raise bad_request(f"container {name} is not valid for pod {worker.pod.metadata.name}")
        pod = msgspec.structs.replace(worker.pod, status=worker.status())
        state = logs.choose(self._kubelet.containers.of(worker.uid), pod, name, requested.previous)
        return await logs.answer(request, self._kubelet.runtime, state, requested)

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        return await streams.run_exec(request, self._kubelet.runtime, self._running(request))

    async def _attach(self, request: web.Request) -> web.StreamResponse:
        return await streams.run_attach(request, self._kubelet.runtime, self._running(request))

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        worker = self._worker(request)
        found = self._kubelet.containers.sandboxes(worker.uid)
        if not found or found[-1].status != "running":
            raise bad_request(f'pod "{worker.pod.metadata.name}" does not run')
        return await forward.run(request, found[-1].pid)
