# SPDX-License-Identifier: GPL-3.0-or-later
"""The node's part of the pod network: set up when the master has given a range, and kept as it must be.

Puts together what `navarch.network` has: plugins, host rules, overlay, service rules, DNS. A user's own CNI
configuration takes the place of bridge, overlay and masquerade. Pods are the workers' business.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path

from navarch.client.base import Client
from navarch.kubelet.config import KubeletConfig
from navarch.network import conf
from navarch.network.address import OwnAddress
from navarch.network.cni import Cni, CniError
from navarch.network.dns.memory import Memory
from navarch.network.dns.service import NodeDns
from navarch.network.dns.sockets import Store
from navarch.network.host import HostNetwork, HostNetworkError
from navarch.network.overlay import make
from navarch.network.overlay.base import OverlayError
from navarch.network.overlay.follower import Follower
from navarch.network.proxy.service import ServiceProxy
from navarch.network.services import Services

log = logging.getLogger(__name__)

_LOOK = 60.0
_RETRY = (1.0, 30.0)
# Between a failure and the next try, also when something changes.
_REST = 0.5

Work = tuple[Callable[[], Coroutine[None, None, None]], str]


class PodNetwork:
    """changed: called when `problem` or `ready` did; live: ids of sandboxes that may hold addresses; astray:
    called for those whose addresses are none of this node's any more, as its ranges are others now.
    """

    def __init__(
        self,
        config: KubeletConfig,
        client: Client,
        services: Services,
        *,
        changed: Callable[[], None],
        live: Callable[[], set[str]],
        astray: Callable[[str], Awaitable[None]],
        warn: Callable[[str], None],
    ) -> None:
        """warn: tell people about something on this node that needs them."""
        self._config = config
        self._changed = changed
        self._live = live
        self._astray = astray
        self._cidrs: list[str] = []
        self._mtu: int | None = None
        self._own: bool | None = None
        self._wake = asyncio.Event()
        self.ready = asyncio.Event()
        #: Why pods cannot be plugged in, "" when they can.
        self.problem = "network is not ready: the master has given the node no pod CIDR yet (see its events)"
        self.address = OwnAddress(config.node_ip)
        self.address.listen(self._moved)
        self._ipam = str(Path(config.data_dir) / "cni" / "ipam")
        self.cni = Cni(config.cni_bin_dirs, config.cni_conf_dir, Path(config.data_dir) / "cni" / "sandboxes")
        self.host = HostNetwork(
            config.bridge,
            config.cluster_cidr,
            dns=config.cluster_dns,
            port=config.port,
            direct=config.non_masquerade_cidrs,
            guarded=config.overlay != "none",
        )
        self.overlay = Follower(
            make(config.overlay, config.vxlan),
            client,
            node=config.node_name,
            address=self.address.now,
            bridge=config.bridge,
            cluster_cidr=config.cluster_cidr,
            warn=warn,
        )
        self.dns = _dns(config, services, self.address.now)
        self.proxy = ServiceProxy(
            services,
            config.node_name,
            service_cidr=config.service_cidr,
            cluster_cidr=config.cluster_cidr,
            dns=config.cluster_dns,
            table=self.host.services_table,
        )

    def load(self) -> None:
        """What an earlier life attached. Blocks shortly."""
        self.cni.load()
        self.host.restore(self.cni.ports())

    def urgent(self) -> list[Work]:
        """What pods that run use all the time: to be begun whatever the engine is doing."""
        proxy: Work = (self.proxy.run if self._config.proxy else self.proxy.retire, "service proxy")
        return [proxy] if self.dns is None else [(self.dns.run, "DNS"), proxy]

    def work(self) -> list[Work]:
        """What else has to run, each under a name."""
        return [
            (self.address.run, "node address"),
            (self.overlay.watch, "watch of all nodes"),
            (self.overlay.run, "overlay"),
            (lambda: self.host.keep(self.proxy.look), "node rules"),
            (self.run, "pod network"),
        ]

    def set_cidrs(self, cidrs: Sequence[str]) -> None:
        """The ranges that the master gave this node."""
        if list(cidrs) != self._cidrs:
            self._cidrs = list(cidrs)
            self._own = None
            self._wake.set()

    def _moved(self) -> None:
        self._mtu = None
        self.overlay.set_address(self.address.now)
        if self.dns is not None:
            self.dns.set_node(self.address.now)
        self._wake.set()
        self._changed()

    async def run(self) -> None:
        """Set up, and look again when something changed and now and then, until cancelled."""
        delay = 0.0
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay or _LOOK):
                    await self._wake.wait()
            self._wake.clear()
            if not self._cidrs:
                continue
            try:
                await self._apply()
                delay = 0.0
            except (HostNetworkError, OverlayError, CniError, OSError, TimeoutError) as error:
                log.warning("network is not ready: %s", error)
                if not self.ready.is_set() or isinstance(error, CniError):
                    self._say(f"network is not ready: {error}")
                await asyncio.sleep(_REST)
                delay = min(max(delay * 2, _RETRY[0]), _RETRY[1])

    async def _apply(self) -> None:
        config, cidrs = self._config, self._cidrs
        self.cni.forget_network()
        own = conf.is_own(config.cni_conf_dir)
        if own and self._mtu is None:
            self._mtu = await self.overlay.prepare()
        if own:
            conf.write(
                config.cni_conf_dir, conf.bridge_network(cidrs, config.bridge, self._ipam, self._mtu or 0)
            )
        self.cni.check_plugins()
        await self.host.apply(cidrs[0], bridged=own)
        if own != self._own:
            await (self.overlay.apply(cidrs[0]) if own else self.overlay.remove())
            if self.dns is not None:
                self.dns.set_pods([*cidrs, *conf.subnets(self.cni.network())])
            what = f"on bridge {config.bridge}" if own else f"by {conf.find(config.cni_conf_dir)}"
            log.info("pod network %s %s", ", ".join(cidrs), what)
            self._own = own
        if own:
            await self.host.keep_only(cidrs)
            await self._leave_other_ranges(cidrs)
        await self.cni.reconcile(self._live())
        if not self.ready.is_set() or self.problem:
            self.ready.set()
            self._say("")

    async def _leave_other_ranges(self, cidrs: Sequence[str]) -> None:
        """A restored backup may give the node another range than its pods are in: no other node looks for
        them there, or one has that range itself.
        """
        ranges = [ipaddress.ip_network(cidr) for cidr in cidrs]
        for id in self._live():
            if not all(any(ipaddress.ip_address(ip) in range for range in ranges) for ip in self.cni.ips(id)):
                log.warning("sandbox %s has an address of a range that was the node's before", id[:12])
                await self._astray(id)

    def _say(self, problem: str) -> None:
        self.problem = problem
        self._changed()


def _dns(config: KubeletConfig, services: Services, address: str) -> NodeDns | None:
    if not config.cluster_dns:
        return None
    dns = NodeDns(
        services,
        address=config.cluster_dns,
        domain=config.cluster_domain,
        cluster_cidr=config.cluster_cidr,
        service_cidr=config.service_cidr,
        node_ip=address,
        store=Store(),
        memory=Memory(Path(config.data_dir) / "names"),
    )
    # Those of before, until the master tells: the pods that run may ask at once.
    dns.set_pods(conf.pod_cidrs(config.cni_conf_dir))
    return dns
