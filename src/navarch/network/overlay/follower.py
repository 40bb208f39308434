# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeping the overlay as the cluster's nodes are: who the peers are, and when to look again.

Nothing is taken away before the master has listed all nodes, nor when the follower stops: traffic between
pods goes on while kubelets and masters restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any, TypeVar

import msgspec

from navarch.api.core.node.node import Node
from navarch.client.base import Client
from navarch.client.informer import Informer
from navarch.client.views import View
from navarch.network import netlink
from navarch.network.overlay import changes, kernel
from navarch.network.overlay.base import Local, Overlay, OverlayError, Peer, Plan

log = logging.getLogger(__name__)

R = TypeVar("R")

#: How the blocking work is run: in a thread; tests enter a network namespace there.
Run = Callable[[Callable[[], Any]], Coroutine[Any, Any, Any]]

_GATHER = 0.1
_LOOK_EVERY = 60.0
_RETRY = (1.0, 30.0)
# Between a failure and the next try, whatever happens: what was tried may itself make news.
_REST = 1.0


class _Meta(View):
    name: str = ""
    namespace: str | None = None
    resource_version: str = ""


class _Spec(View):
    pod_cidr: str | None = msgspec.field(name="podCIDR", default=None)
    pod_cidrs: list[str] | None = msgspec.field(name="podCIDRs", default=None)


class _Address(View):
    type: str = ""
    address: str = ""


class _Status(View):
    addresses: list[_Address] | None = None


class NodeView(View):
    metadata: _Meta = _Meta()
    spec: _Spec = _Spec()
    status: _Status = _Status()

    def peer(self) -> Peer | None:
        """None while the node has no IPv4 address or no range."""
        addresses = [a.address for a in self.status.addresses or () if a.type == "InternalIP"]
        cidrs = self.spec.pod_cidrs or ([self.spec.pod_cidr] if self.spec.pod_cidr else [])
        address = next((a for a in addresses if ":" not in a), "")
        cidr = next((c for c in cidrs if ":" not in c), "")
        return Peer(self.metadata.name, address, cidr) if address and cidr else None


def link_name(bridge: str) -> str:
    """Our tunnel's, beside the bridge of that name; 15 characters are what the kernel takes."""
    return "navarch-vx" if bridge == "navarch0" else f"{bridge[:12]}-vx"


def fit(local: Local, cluster_cidr: str, peers: Iterable[Peer]) -> tuple[list[Peer], list[str]]:
    """(peers to reach, sorted; a line for each that must not be). Those on this very machine need nothing."""
    cluster = ipaddress.ip_network(cluster_cidr)
    taken = [(ipaddress.ip_network(local.cidr), "this node")]
    good: list[Peer] = []
    troubles: list[str] = []
    for peer in sorted(peers):
        try:
            address, cidr = ipaddress.ip_address(peer.address), ipaddress.ip_network(peer.cidr)
        except ValueError as error:
            troubles.append(f"node {peer.name}: {error}")
            continue
        if not local.mtu or address.is_loopback or peer.address == local.address:
            continue
        if not cidr.subnet_of(cluster):  # type: ignore[arg-type]  # both are IPv4, see NodeView.peer
            troubles.append(f"node {peer.name}: pod range {cidr} is outside the cluster's, {cluster}")
            continue
        other = next((name for range, name in taken if range.overlaps(cidr)), None)
        if other is not None:
            troubles.append(f"node {peer.name}: pod range {cidr} overlaps that of {other}")
            continue
        taken.append((cidr, f"node {peer.name}"))
        good.append(peer)
    return good, troubles


async def in_thread(function: Callable[[], R]) -> R:
    return await asyncio.to_thread(function)


class Follower:
    """One node's overlay. `watch` and `run` are tasks of the caller."""

    def __init__(
        self,
        overlay: Overlay,
        client: Client,
        *,
        node: str,
        address: str,
        bridge: str,
        cluster_cidr: str,
        run: Run = in_thread,
        warn: Callable[[str], None] = lambda line: None,
    ) -> None:
        """warn: called with a line for each node that cannot be reached, or when none can, once."""
        self._overlay = overlay
        self._node = node
        self._address = address
        self._link = link_name(bridge)
        self._cluster = cluster_cidr
        self._run = run
        self._warn = warn
        self._cidr = ""
        self._wake = asyncio.Event()
        self._lock = asyncio.Lock()
        self._troubles: list[str] = []
        self._nodes: Informer[NodeView] = Informer(client, Node, view=NodeView)
        self._nodes.listen(self._changed)

    def _changed(self, old: NodeView | None, new: NodeView | None) -> None:
        if (old.peer() if old else None) != (new.peer() if new else None):
            self._wake.set()

    def set_address(self, address: str) -> None:
        """This node's address is another one now."""
        self._address = address
        self._wake.set()

    async def prepare(self) -> int:
        """The MTU for pods (0: the plugins' own choice). Raises OverlayError when this host cannot do it."""
        await self._run(self._overlay.check)
        local = await self._run(partial(kernel.local, self._address, ""))
        return self._overlay.mtu(local.mtu) if local.mtu else 0

    async def watch(self) -> None:
        await self._nodes.run()

    async def apply(self, cidr: str) -> None:
        """Reach all nodes from this one, whose pods have this range. Waits for the first list of nodes.

        Raises OverlayError. A single node that cannot be reached is only logged.
        """
        await self._nodes.synced.wait()
        async with self._lock:
            self._cidr = cidr
            self._wake.clear()
            local = await self._run(partial(kernel.local, self._address, cidr))
            others = [
                p for node in self._nodes.items() if node.metadata.name != self._node and (p := node.peer())
            ]
            peers, troubles = fit(local, self._cluster, others)
            plan = self._overlay.plan(local, peers)
            troubles += await self._run(partial(kernel.apply, plan, self._link, self._cluster))
        for trouble in troubles:
            if trouble not in self._troubles:
                log.warning("overlay: %s", trouble)
                self._warn(f"overlay: {trouble}")
        self._troubles = troubles

    async def run(self) -> None:
        """Apply again whenever something changed, after `apply` was called once; until cancelled.

        After a failure also now and then, ever more seldom; news, such as the host's address being back, is
        not kept waiting for that.
        """
        sock = await self._run(changes.listen)
        delay = 0.0
        with netlink.heard(sock, changes.concerns(self._link), self._wake.set):
            while True:
                # Not wait_for, which in Python 3.11 may lose a cancellation that comes with the wake-up.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay or _LOOK_EVERY):
                        await self._wake.wait()
                await asyncio.sleep(_REST if delay else _GATHER)
                if not self._cidr:
                    self._wake.clear()
                    continue
                try:
                    await self.apply(self._cidr)
                    delay = 0.0
                except OverlayError as error:
                    if not delay:
                        log.warning("%s", error)
                        self._warn(str(error))
                    delay = min(max(delay * 2, _RETRY[0]), _RETRY[1])

    async def remove(self) -> None:
        """Take off the host all that is ours, and leave it off until `apply`. Raises OverlayError."""
        async with self._lock:
            self._cidr = ""
            await self._run(partial(kernel.apply, Plan(), self._link, self._cluster))
