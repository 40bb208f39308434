# SPDX-License-Identifier: GPL-3.0-or-later
"""The API server: its listening socket, and the way of a request: route, authenticate, authorize, do, answer.

Everything else of HTTP stands in the files beside this one; nothing here knows what a verb means.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import secrets
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from navarch.api.machinery import errors
from navarch.api.machinery.decode import YAML_LIMIT
from navarch.apiserver import route
from navarch.apiserver.backup import Backup
from navarch.apiserver.connection import IDLE_SECONDS, WebServer
from navarch.apiserver.flowcontrol import FlowControl
from navarch.apiserver.limits import Limits
from navarch.apiserver.metrics import Collector, Requests
from navarch.apiserver.nodes import Nodes
from navarch.apiserver.nonresource import Documents
from navarch.apiserver.request import Reply, Request, encode_status, head
from navarch.apiserver.reviews import Reviews
from navarch.apiserver.subresources import LONG_RUNNING, Subresources
from navarch.apiserver.verbs import Verbs
from navarch.apiserver.watching import Watches
from navarch.auth import authz
from navarch.auth.authn import Authenticator, TokenMethod, impersonation
from navarch.auth.authz import Attributes, Authorizer
from navarch.auth.authz.roles import MASTERS
from navarch.auth.tokens import ISSUER
from navarch.auth.user import User
from navarch.registry.registry import Registry
from navarch.registry.revocations import NodeRevocations
from navarch.serving.listener import Listener
from navarch.serving.peers import Places

log = logging.getLogger(__name__)

#: Seconds a request may take, watches and streams apart.
REQUEST_SECONDS = 60.0
#: Seconds that open requests get to finish when the server stops.
GRACE_SECONDS = 10.0

#: Paths that need no authentication: what load balancers and `kubectl version` look at.
PUBLIC = frozenset({"/healthz", "/livez", "/readyz", "/version"})

Handler = Callable[[Request, route.Target, route.Options], Awaitable[Reply]]


class ApiServer:
    def __init__(
        self,
        registry: Registry,
        *,
        tls: ssl.SSLContext,
        tokens: Sequence[TokenMethod] = (),
        authorizer: Authorizer,
        kubelet_tls: ssl.SSLContext | None = None,
        backup: Backup | None = None,
        collectors: Sequence[Collector] = (),
        revocations: NodeRevocations | None = None,
        yaml_limit: int = YAML_LIMIT,
        limits: Limits | None = None,
    ) -> None:
        """tls: server context that verifies client certificates. kubelet_tls: how the master shows itself to
        kubelets. backup: how the store is copied. collectors: what else /metrics shows. revocations: nodes
        that were thrown out. yaml_limit: bytes of a body in YAML.
        limits: what one client may take.
        """
        self._registry = registry
        self._scheme = registry.scheme
        self._tls = tls
        self._authorizer = authorizer
        self._revocations = revocations
        self._authenticator = Authenticator(tokens, ISSUER, revocations)
        self._limits = limits or Limits()
        self._flows = FlowControl(self._limits)
        self._places = Places(self._limits, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self.metrics = Requests()
        shown: list[Collector] = [self.metrics, self._flows, self._places, *collectors]
        self._documents = Documents(registry, shown, backup)
        self._watches = Watches(registry, self.metrics)
        self._nodes = Nodes(registry, kubelet_tls)
        verbs = Verbs(registry, self._may, yaml_limit)
        self._subresources = Subresources(registry, verbs, self._nodes)
        self._verbs: dict[str, Handler] = {
            "get": verbs.get,
            "list": verbs.list,
            "watch": self._watches.watch,
            "create": verbs.create,
            "update": verbs.update,
            "patch": verbs.patch,
            "delete": verbs.delete,
            "deletecollection": verbs.delete_collection,
        }
        Reviews(self._authorizer, self._authenticator).register(registry)
        self._web: WebServer | None = None
        self._listener: Listener | None = None
        self._in_flight: dict[Request, asyncio.Task[Any] | None] = {}
        self._sweeper: asyncio.Task[None] | None = None
        self._thrown_out: asyncio.Task[None] | None = None

    # Life

    async def start(self, sock: socket.socket) -> None:
        """Serve on a bound socket."""
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._web = WebServer(
            self._handle,
            keepalive_timeout=IDLE_SECONDS,
            max_line_size=64 * 1024,
            max_field_size=16 * 1024,
            lingering_time=2.0,
        )
        self._listener = Listener(sock, self._tls, self._places, self._web)
        self._listener.start()
        self._sweeper = asyncio.create_task(self._sweep(), name="apiserver request timeouts")
        if self._revocations is not None:
            self._thrown_out = asyncio.create_task(
                self._revocations.run(self._end_node), name="revocations of nodes"
            )

    async def close(self) -> None:
        """Take no more connections, end watches, let open requests finish, then close. Idempotent."""
        self._documents.ready = False
        if self._listener is not None:
            await self._listener.close()
            self._listener = None
        self._watches.close()
        if self._web is not None:
            await self._drained()
            self._web.pre_shutdown()
            await self._web.shutdown(GRACE_SECONDS)
            self._web = None
        for task in (self._sweeper, self._thrown_out):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        self._sweeper = self._thrown_out = None
        await self._nodes.close()

    def _end_node(self, node: str) -> None:
        if self._web is not None and self._revocations is not None:
            self._web.end_node(node, self._revocations.before(node))

    async def _drained(self) -> None:
        """Wait for the requests under way, for a while."""
        until = self._loop.time() + GRACE_SECONDS
        while self._in_flight and self._loop.time() < until:
            await asyncio.sleep(0.01)

    async def _sweep(self) -> None:
        """End requests that take too long and connections that ask nothing: one look every few seconds
        instead of a timer for each.
        """
        while True:
            await asyncio.sleep(2)
            self._flows.sweep()
            if self._web is not None:
                self._web.end_silent(self._loop.time())
            oldest = self._loop.time() - REQUEST_SECONDS
            for x, task in list(self._in_flight.items()):
                if x.started < oldest and task is not None:
                    task.cancel(_TOO_LONG)

    # One request

    async def _handle(self, x: Request) -> Reply:
        x.started = self._loop.time()
        self._in_flight[x] = x._task or asyncio.current_task()
        x.releaser = self._in_flight
        try:
            return await self._answer(x)
        except errors.StatusError as error:
            return self._refuse(x, error)
        except ConnectionError:
            raise
        except asyncio.CancelledError as cancelled:
            if _TOO_LONG in cancelled.args:
                return self._refuse(
                    x, errors.timeout("the request did not complete within the time allotted")
                )
            raise
        except RecursionError:
            # Whatever walks a document may be the first to find that it is too deep.
            return self._refuse(x, errors.bad_request("the request is nested too deeply"))
        except Exception:
            if x.lost:
                raise ConnectionResetError("connection lost") from None
            id = secrets.token_hex(4)
            log.exception("request %s %s failed, error id %s", x.method, x.path, id)
            return self._refuse(
                x, errors.internal(f"the request failed; the master's log has it as error {id}")
            )
        finally:
            self._in_flight.pop(x, None)
            if x.flow is not None:
                x.flow.leave()
                x.flow = None

    async def _answer(self, x: Request) -> Reply:
        if x.method == "HEAD":
            x.method, x.silent = "GET", True
        path = x.path
        if not path.startswith("/api"):
            return await self._no_resource(x)
        user = self._authenticator.remembered(x)
        if user is None or x.impersonates:
            user = await self._identify(x)
        elif not x.protocol.authenticated:
            _admit(x, user)
        x.user = user
        flow = self._flows.of(user)
        if not flow.enter():
            await flow.wait()
        x.flow = flow
        target = route.find(self._scheme, path)
        if target is None:
            return await self._no_resource(x)
        options = route.options(x.query)
        verb = route.verb(x.method, target, options)
        kind = target.kind
        long = verb == "watch" or target.subresource in LONG_RUNNING
        if long:
            flow.begin_long()
        try:
            if MASTERS not in user.groups:
                await self._authorize(user, verb, target, options)
            if target.subresource:
                reply = await self._subresources.handle(x, target, options, verb)
            else:
                if verb not in kind.verbs:
                    raise errors.method_not_allowed(
                        "the server does not allow this method on the requested resource"
                    )
                reply = await self._verbs[verb](x, target, options)
        except errors.StatusError as error:
            self._count(x, verb, target, error.code)
            raise
        finally:
            if long:
                flow.end_long()
        self._count(x, verb, target, 201 if verb == "create" else 200)
        return reply

    async def _identify(self, x: Request) -> User:
        """Who is to act. Raises StatusError 401, 403, 429."""
        user = await self._authenticator.identify(x)
        if not x.protocol.authenticated:
            _admit(x, user)
        if not x.impersonates:
            return user
        acting = await impersonation.acting(x, user, self._authorizer)
        log.info("%s acts as %s: %s %s", user.name, acting.name, x.method, x.path)
        return acting

    def _count(self, x: Request, verb: str, target: route.Target, code: int) -> None:
        kind = target.kind
        self.metrics.count(
            verb, kind.group, kind.resource, target.subresource, code, self._loop.time() - x.started
        )

    async def _may(self, x: Request, verb: str, target: route.Target, options: route.Options) -> None:
        """A second permission that a request turns out to need."""
        assert x.user is not None
        if MASTERS not in x.user.groups:
            await self._authorize(x.user, verb, target, options)

    async def _authorize(self, user: User, verb: str, target: route.Target, options: route.Options) -> None:
        kind = target.kind
        attributes = Attributes(
            user, verb, kind.group, kind.resource, target.subresource, target.namespace, target.name,
            "", options.fields, kind.version,
        )  # fmt: skip
        decision = await self._authorizer.authorize(attributes)
        if not decision.allowed:
            raise authz.refusal(attributes, decision.reason)

    async def _no_resource(self, x: Request) -> Reply:
        """Discovery, documents, health: paths that are no resource."""
        if x.path not in PUBLIC and not x.path.startswith(("/livez/", "/readyz/", "/healthz/")):
            user = x.user or await self._identify(x)
            if x.flow is None:
                flow = self._flows.of(user)
                if not flow.enter():
                    await flow.wait()
                x.flow = flow
            attributes = Attributes(user, x.method.lower(), path=x.path)
            decision = await self._authorizer.authorize(attributes)
            if not decision.allowed:
                raise authz.refusal(attributes, decision.reason)
        return await self._documents.answer(x)

    def _refuse(self, x: Request, error: errors.StatusError) -> Reply:
        """An error as the answer. When the body was not read, the connection ends: nobody wants the rest of
        it.
        """
        body = encode_status(error)
        extra = ""
        if error.code == 401:
            extra = 'WWW-Authenticate: Bearer realm="navarch"\r\n'
        retry = (error.details or {}).get("retryAfterSeconds")
        if retry:
            extra += f"Retry-After: {retry}\r\n"
        if x.payload.is_eof() and not x.should_close:
            return x.reply(error.code, body, extra=extra)
        lines = x.extra_lines(extra)
        if not x.should_close:
            lines += "Connection: close\r\n"
        return Reply(head(error.code, "application/json", len(body), lines) + body, keep_alive=False)

    def set_ready(self, ready: bool) -> None:
        """What /readyz says."""
        self._documents.ready = ready


def _admit(x: Request, user: User) -> None:
    """The connection's first authenticated request. Raises StatusError 429."""
    if not x.protocol.authenticate(user):
        x.should_close = True
        raise errors.too_many_requests("too many connections, please close some or try again later")


_TOO_LONG = "request took too long"


def server_tls(certificate: str, key: str, client_ca: str) -> ssl.SSLContext:
    """Paths of PEM files -> the context the server listens with. Client certificates are asked for and
    verified, not required.
    """
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    tls.load_cert_chain(certificate, key)
    tls.load_verify_locations(client_ca)
    tls.verify_mode = ssl.CERT_OPTIONAL
    tls.set_alpn_protocols(["http/1.1"])
    return tls
