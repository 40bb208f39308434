# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS from the master to kubelets: whom the master trusts for one, and that the one it reached is the one it
meant.

A kubelet is known by the name in its certificate, which the signer took from the credentials of the node that
asked (KEP-4872), and by no address: addresses are what nodes say of themselves.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, NamedTuple

import aiohttp
from aiohttp.client_proto import ResponseHandler

from navarch.api.core.node.identity import user_name


class Kubelet(NamedTuple):
    """Where a node says that its kubelet listens."""

    node: str
    host: str
    port: int


class OtherKubelet(aiohttp.ClientError, OSError):
    """Another node's kubelet, or none, answered at a node's address."""


def client_tls(certificate: str, key: str, *authorities: str) -> ssl.SSLContext:
    """Paths of PEM files -> the context for connections to kubelets, whose certificates must be of one of the
    authorities. Who uses it calls `check`.
    """
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    tls.check_hostname = False
    for authority in authorities:
        tls.load_verify_locations(authority)
    tls.load_cert_chain(certificate, key)
    return tls


def check(transport: asyncio.BaseTransport | None, node: str) -> None:
    """Raises OtherKubelet when the other side's certificate is not that of the node's kubelet."""
    peer: dict[str, Any] = (transport.get_extra_info("peercert") if transport is not None else None) or {}
    names = [v for part in peer.get("subject", ()) for name, v in part if name == "commonName"]
    if names != [user_name(node)]:
        found = ", ".join(names) or "nobody"
        raise OtherKubelet(f"who answers there is {found}, not {user_name(node)}")


class Connector(aiohttp.TCPConnector):
    """Connections of which each is one node's: requests give its name as `server_hostname`."""

    async def connect(self, req: Any, traces: Any, timeout: Any) -> Any:
        connection = await super().connect(req, traces, timeout)
        try:
            protocol = connection.protocol
            assert isinstance(protocol, ResponseHandler)
            check(protocol.transport, req.server_hostname or "")
        except BaseException:
            connection.close()
            raise
        return connection
