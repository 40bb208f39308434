# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections of the node server, each in a place of its own (`serving.peers`) until it ends.

A connection is a stranger's until its TLS handshake is done, which takes a client certificate. The master's
have no limit, so connections of others do not keep it out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from navarch.api.certificates import subject
from navarch.api.core.node.identity import KUBELET_CLIENT
from navarch.serving.peers import EXEMPT, WORKLOAD, ConnectionLimits, Place

#: A node server has one client that counts, and streams of pods' logs and commands through it.
LIMITS = ConnectionLimits(connections=2000, unauthenticated_per_address=64, connections_per_user=100)

#: Masters of before KUBELET_CLIENT, and administrators.
_MASTERS = "system:masters"


class Connection(asyncio.Protocol):
    """Hands everything to the HTTP protocol of its connection."""

    def __init__(self, place: Place, http: Callable[[], asyncio.Protocol]) -> None:
        self._place = place
        self._make = http
        self._http: asyncio.Protocol | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast(asyncio.Transport, transport)
        self._place.close = stream.abort
        name, groups = subject.user(transport.get_extra_info("peercert") or {})
        level = EXEMPT if name == KUBELET_CLIENT or _MASTERS in groups else WORKLOAD
        if not self._place.take(name, level):
            stream.abort()
            return
        self._http = self._make()
        self._http.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._http is not None:
            self._http.data_received(data)

    def eof_received(self) -> bool | None:
        return self._http.eof_received() if self._http is not None else None

    def pause_writing(self) -> None:
        if self._http is not None:
            self._http.pause_writing()

    def resume_writing(self) -> None:
        if self._http is not None:
            self._http.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._place.leave()
        if self._http is not None:
            self._http.connection_lost(exc)
