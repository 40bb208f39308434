# SPDX-License-Identifier: GPL-3.0-or-later
"""The control plane of one process: store -> registry -> API server, then scheduler and controllers on the
client interface.

What `navarch master` and `navarch standalone` have in common. Every task has an owner here; when one
fails, the process ends: its supervisor starts it again from a clean state.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import ipaddress
import logging
import socket
import ssl
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

import msgspec

from navarch import pki
from navarch.api.builtin import scheme
from navarch.api.certificates.certificatesigningrequest import KUBELET_SERVING
from navarch.api.core.node.address import Reserved
from navarch.api.machinery.decode import YAML_LIMIT
from navarch.apiserver.backup import Backup
from navarch.apiserver.limits import Limits
from navarch.apiserver.server import ApiServer
from navarch.apiserver.token_requests import Issuer, finder
from navarch.auth.authn import TokenMethod
from navarch.auth.authn.bootstrap import SECRET_TYPE, BootstrapTokens
from navarch.auth.authn.service_account import ServiceAccountTokens
from navarch.auth.authn.token_file import TokenFile
from navarch.auth.authz import Union
from navarch.auth.authz.node import NodeAuthorizer
from navarch.auth.authz.roles import Roles
from navarch.auth.tokens import Signer
from navarch.auth.user import SYSTEM, User
from navarch.cli.damage import DamageEvents, StoreMetrics
from navarch.cli.renewal import Renewal
from navarch.client.local import LocalClient
from navarch.registry.admission.standard import plugins
from navarch.registry.context import Context
from navarch.registry.node_pods import PodsOfNodes
from navarch.registry.registry import Registry
from navarch.registry.revocations import NodeRevocations
from navarch.store import factory
from navarch.store.window import BUDGET, History

log = logging.getLogger(__name__)

#: Parts that are loaded after the API answers.
_PARTS = ("navarch.scheduler", "navarch.controllers")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of a control plane, wherever they come from (a file, options)."""

    #: URL, as `store.factory` reads it.
    store: str
    #: Where a copy of a SQLite store lies while it is sent.
    data_dir: str
    tls: ssl.SSLContext
    kubelet_tls: ssl.SSLContext | None = None
    tokens: Mapping[str, User] = {}
    #: The CA that signs certificate requests; None: they are not signed here.
    ca: pki.Pair | None = None
    #: The CA that signs those of kubelets' servers; the master alone trusts it.
    kubelet_ca: pki.Pair | None = None
    #: Keeps the certificates on this machine fresh; None: they are somebody else's business.
    renewal: Renewal | None = None
    #: Names and addresses by which clients reach the API: no node may have them.
    master_names: Sequence[str] = ()
    #: The node on this machine, which may.
    own_node: str = ""
    cluster_domain: str = "cluster.local"
    cluster_cidr: str = "10.244.0.0/16"
    node_cidr_mask_size: int = 24
    service_cidr: str = "10.96.0.0/16"
    node_monitor_grace: float = 40.0
    toleration_seconds: int = 300
    #: Ranges of pods besides those of their nodes: another CNI's.
    pod_networks: Sequence[str] = ()
    #: The longest that a service account token is good for, in seconds.
    token_seconds: float = 24 * 3600.0
    #: PEM of the key that signs service account tokens; None: there are none.
    service_account_key: bytes | None = None
    #: PEM of the CA that pods know the API by.
    root_ca: bytes = b""
    #: Where pods and nodes reach the API.
    advertise_address: str = ""
    #: Bytes of a request body in YAML.
    yaml_limit: int = YAML_LIMIT
    #: What one client may take of the API server.
    limits: Limits = Limits()
    #: Simulated nodes.
    nodes: int = 0
    #: Bytes of the past that the watch caches keep.
    watch_history: int = BUDGET

    @property
    def serves_pods(self) -> bool:
        """Whether pods can reach the API: then they get tokens and the CA, and there is the service
        `kubernetes`. An API on the loopback is for the machine it runs on.
        """
        if self.service_account_key is None or not self.root_ca or not self.advertise_address:
            return False
        return not ipaddress.ip_address(self.advertise_address).is_loopback

    @property
    def no_node(self) -> Reserved:
        """Addresses and names that no node may have."""
        return Reserved(
            pods=[self.cluster_cidr],
            services=[self.service_cidr],
            domain=self.cluster_domain,
            master=self.master_names,
            own_node=self.own_node,
        )


class ControlPlane:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store = factory.make(settings.store)
        self._store.on_lost = self._store_lost
        self._registry: Registry | None = None
        self._server: ApiServer | None = None
        self._port = 0
        self._parts: list[asyncio.Task[None]] = []
        #: Set with the failure of a part, or with None to stop.
        self.ended: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

    async def start(self, sock: socket.socket) -> None:
        """Ready when it returns: the API answers; scheduler and controllers come a moment later."""
        settings = self._settings
        await self._store.start()
        history = History(settings.watch_history)
        registry = self._registry = Registry(
            self._store,
            scheme(),
            admission=plugins(
                service_cidr=settings.service_cidr,
                toleration_seconds=settings.toleration_seconds,
                service_account_tokens=settings.serves_pods,
                reserved=settings.no_node,
                pod_networks=settings.pod_networks,
            ),
            history=history,
        )
        await registry.start()
        revocations = NodeRevocations(registry)
        authorizer = Union([Roles(), NodeAuthorizer(PodsOfNodes(registry))])
        tokens: list[TokenMethod] = [TokenFile(settings.tokens), BootstrapTokens(_secrets(registry))]
        if settings.service_account_key is not None:
            signer = Signer(settings.service_account_key)
            longest = int(settings.token_seconds)
            Issuer(registry, signer, longest=longest)
            tokens.append(
                ServiceAccountTokens(finder(registry), signer, longest=longest, revocations=revocations)
            )
        self._port = sock.getsockname()[1]
        server = self._server = ApiServer(
            registry,
            tls=settings.tls,
            kubelet_tls=settings.kubelet_tls,
            tokens=tokens,
            authorizer=authorizer,
            revocations=revocations,
            limits=settings.limits,
            # etcd is copied by its own tools, with which it is restored.
            backup=Backup(self._store, settings.data_dir) if settings.store.startswith("sqlite:") else None,
            collectors=[
                StoreMetrics(self._store, history),
                *([settings.renewal] if settings.renewal is not None else []),
            ],
            yaml_limit=settings.yaml_limit,
        )
        await server.start(sock)
        self._start_parts(registry)
        server.set_ready(True)

    def _start_parts(self, registry: Registry) -> None:
        """Scheduler and controllers, loaded in a thread: numpy takes as long as all the rest, and the API
        need not wait.
        """
        settings = self._settings
        damage = DamageEvents(LocalClient(registry, SYSTEM), registry.scheme, self._store)
        self._add("damage events", damage.run())
        loaded = asyncio.ensure_future(
            asyncio.to_thread(lambda: [importlib.import_module(name) for name in _PARTS])
        )
        self._add("scheduler", self._schedule(registry, loaded))
        self._add("controllers", self._control(registry, loaded))
        if settings.renewal is not None:
            client = LocalClient(registry, User(name="system:navarch-master", groups=("system:masters",)))
            self._add("certificates", settings.renewal.run(client))
        if settings.nodes:
            from navarch.kubelet.simulated import SimulatedNodes

            nodes = SimulatedNodes(LocalClient(registry, SYSTEM), settings.nodes)
            self._add("simulated nodes", nodes.run())

    async def _schedule(self, registry: Registry, loaded: asyncio.Future[Any]) -> None:
        made: asyncio.Future[tuple[Any, LocalClient]] = asyncio.get_running_loop().create_future()
        _answer_reviews(registry, made)
        await asyncio.shield(loaded)
        from navarch.scheduler import Scheduler

        client = LocalClient(registry, User(name="system:kube-scheduler"))
        scheduler = Scheduler(client)
        made.set_result((scheduler, client))
        await scheduler.run()

    async def _control(self, registry: Registry, loaded: asyncio.Future[Any]) -> None:
        await asyncio.shield(loaded)
        from navarch import controllers

        tune_collector()
        settings = self._settings
        options = controllers.Options(
            cluster_cidr=settings.cluster_cidr,
            node_cidr_mask_size=settings.node_cidr_mask_size,
            node_monitor_grace=settings.node_monitor_grace,
            service_cidr=settings.service_cidr,
            root_ca=settings.root_ca.decode() if settings.serves_pods else "",
            advertise_address=settings.advertise_address if settings.serves_pods else "",
            advertise_port=self._port,
            signer=_signer(settings.ca, settings.kubelet_ca) if settings.ca is not None else None,
            reserved=settings.no_node,
        )
        user = User(name="system:kube-controller-manager", groups=("system:masters",))
        await controllers.run(LocalClient(registry, user), options)

    def _add(self, name: str, run: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(run, name=name)
        task.add_done_callback(self._part_ended)
        self._parts.append(task)

    def _part_ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self.ended.done():
            return
        error = task.exception() or RuntimeError("ended by itself")
        log.error("%s failed, the process ends", task.get_name(), exc_info=error)
        self.ended.set_result(error)

    def _store_lost(self, why: str) -> None:
        if not self.ended.done():
            log.error("the store is lost, the process ends: %s", why)
            self.ended.set_result(RuntimeError(why))

    def stop(self) -> None:
        """Request the end; the waiter for `ended` calls close()."""
        if not self.ended.done():
            self.ended.set_result(None)

    async def close(self) -> None:
        """In the reverse order of start; open requests are finished, what was accepted is stored."""
        for task in self._parts:
            task.cancel()
        await asyncio.gather(*self._parts, return_exceptions=True)
        if self._server is not None:
            await self._server.close()
        if self._registry is not None:
            await self._registry.close()
        await self._store.close()


def _answer_reviews(registry: Registry, made: asyncio.Future[tuple[Any, LocalClient]]) -> None:
    """Planned scheduling: SchedulingReviews are answered by the scheduler, as soon as there is one."""
    kind = registry.scheme.resource("scheduling.navarch.io", "v1alpha1", "schedulingreviews")
    if kind is None:
        return

    async def answer(ctx: Context, requested: Any) -> Any:
        scheduler, client = await asyncio.shield(made)
        from navarch.scheduler import review

        return await review(scheduler, client, requested)

    registry.reviewers[kind] = answer


def _signer(ca: pki.Pair, kubelet_ca: pki.Pair | None) -> Any:
    from datetime import UTC, datetime, timedelta

    def sign(request: bytes, signer: str, seconds: int, not_before: float) -> bytes:
        lifetime = timedelta(seconds=seconds)
        if signer != KUBELET_SERVING:
            begins = datetime.fromtimestamp(not_before, UTC)
            return pki.sign_request(
                ca, request, usages=("client auth",), lifetime=lifetime, not_before=begins
            )
        # Never the clients' CA: everybody knows the master by that one.
        if kubelet_ca is None:
            raise pki.PkiError("this master has no CA for kubelets' serving certificates")
        return pki.sign_request(kubelet_ca, request, usages=("server auth",), lifetime=lifetime)

    return sign


def _secrets(registry: Registry) -> Any:
    """How bootstrap tokens are read."""
    kind = registry.scheme.resource("", "v1", "secrets")

    async def read(name: str) -> Mapping[str, str] | None:
        from navarch.api.machinery.errors import StatusError

        if kind is None:
            return None
        try:
            stored = registry.get(kind, "kube-system", name, Context(SYSTEM))
        except StatusError:
            return None
        document = msgspec.json.decode(stored.value)
        if document.get("type") != SECRET_TYPE:
            return None
        data = document.get("data")
        return data if isinstance(data, dict) else None

    return read


def tune_collector() -> None:
    """What is loaded now stays: the collector need not look at it again. Structs are untracked, so it has
    little to find.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
