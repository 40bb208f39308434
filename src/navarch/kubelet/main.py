# SPDX-License-Identifier: GPL-3.0-or-later
"""From settings to a running kubelet: join, connect, serve, and the orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import logging
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

from navarch.api.core.node import address as node_address
from navarch.api.machinery.errors import StatusError
from navarch.client import kubeconfig
from navarch.client.http import HttpClient
from navarch.kubelet.agent import Kubelet
from navarch.kubelet.config import KubeletConfig
from navarch.kubelet.node import csr, tls_bootstrap
from navarch.kubelet.server import tls
from navarch.kubelet.server.app import NodeServer, listen
from navarch.network.address import OwnAddress

log = logging.getLogger(__name__)


async def main(config: KubeletConfig, ready: Callable[[], None]) -> None:
    """Until cancelled.

    Raises BootstrapError, KubeconfigError, RuntimeFault, OSError when there is no beginning.
    """
    sock = listen(config.bind_address, config.port)
    tasks: list[asyncio.Task[None]] = []
    client: HttpClient | None = None
    kubelet: Kubelet | None = None
    server: NodeServer | None = None
    try:
        await tls_bootstrap.ensure_client(config)
        client = HttpClient.from_kubeconfig(config.kubeconfig)
        kubelet = Kubelet(config, client)
        kubelet.network.address.listen(functools.partial(_leave_old_connections, client))
        await kubelet.start(sock.getsockname()[1])
        server = NodeServer(kubelet)
        tasks.append(
            asyncio.create_task(
                _serve(config, client, server, sock, kubelet.network.address), name="node server"
            )
        )
        await asyncio.sleep(0)
        gc.collect()
        gc.freeze()
        ready()
        await asyncio.Event().wait()
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
        if server is not None:
            await server.stop()
        if kubelet is not None:
            await kubelet.stop()
        if client is not None:
            await client.close()
        sock.close()


def _leave_old_connections(client: HttpClient) -> None:
    """Those made from an address that this host no longer has would be silent until they time out."""
    client.reconnect(client.connection, linger=0.0)


async def _serve(
    config: KubeletConfig, client: HttpClient, server: NodeServer, sock: socket.socket, address: OwnAddress
) -> None:
    """Get a serving certificate, serve, and keep the certificates fresh.

    Tries on while the master does not sign. One that is still good serves until it does.
    """

    def names() -> list[str]:
        return [config.node_name, *([] if node_address.local(address.now) else [address.now])]

    certificate, key = tls_bootstrap.serving_files(config)
    delay = 0.5
    while True:
        try:
            if not tls_bootstrap.serves(config):
                await tls_bootstrap.ensure_serving(config, client, names())
            context = tls.context(certificate, key, Path(config.client_ca_file))
            break
        except (StatusError, tls_bootstrap.BootstrapError, csr.CsrError, TimeoutError, OSError) as error:
            log.warning("node server: %s", str(error) or "the master does not sign our certificate")
        await asyncio.sleep(delay)
        delay = min(delay * 2, 30.0)
    await server.start(sock, context)
    log.info("node server listens on port %d", sock.getsockname()[1])

    def renewed() -> None:
        with contextlib.suppress(OSError, ssl.SSLError):
            context.load_cert_chain(certificate, key)
        client.reconnect(kubeconfig.load(config.kubeconfig))

    moved = asyncio.Event()
    moved.set()
    address.listen(moved.set)
    await tls_bootstrap.keep_fresh(config, client, names, renewed, moved)
