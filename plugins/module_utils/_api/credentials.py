# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Credentials that something else gives out for a while: a program (``credentials_exec``) or an OpenID
provider (``credentials_oidc``).

Belongs here: what such a source must offer, and keeping what it gave in this process until it ends. Not here:
credentials that stand in options or a kubeconfig (``kubeconfig``), and how they are sent (``transport``).
"""

from __future__ import annotations

import datetime
import threading
import time
import typing as t
from dataclasses import dataclass

#: Seconds before their end at which credentials are replaced: the request and the clocks take time too.
EARLY = 10.0


@dataclass(frozen=True)
class Credential:
    """What a source gave. ``expires`` is a time.time(), None where it does not say."""

    token: str | None = None
    certificate: str | None = None
    key: str | None = None
    expires: float | None = None
    refresh: str | None = None  # an OpenID provider's token for the next ones

    def __repr__(self) -> str:  # a traceback shows reprs: no credentials in it
        return "Credential(until %s)" % self.expires

    @property
    def ended(self) -> bool:
        return self.expires is not None and time.time() >= self.expires - EARLY


class Source(t.Protocol):
    """Where credentials come from. It is compared by what it was configured with, as part of a connection."""

    def title(self) -> str:
        """What it is, for a message."""

    def fetch(self, connection: t.Any, last: Credential | None, refused: bool) -> Credential:
        """Credentials for a connection (``kubeconfig.Connection``). ``last`` are those of before, which have
        ended or, with ``refused``, the cluster did not take. Raises ClusterError.
        """


_held: dict[t.Any, Credential] = {}  # by connection
_lock = threading.Lock()


def current(connection: t.Any) -> Credential | None:
    """The credentials of a connection's source, got once and again when they end. None without a source."""
    if connection.source is None:
        return None
    with _lock:
        held = _held.get(connection)
        if held is None or held.ended:
            held = _held[connection] = connection.source.fetch(connection, held, False)
        return held


def renew(connection: t.Any, used: Credential | None) -> bool:
    """Gets other credentials after the cluster has refused ``used``. False where there is no source."""
    if connection.source is None:
        return False
    with _lock:
        held = _held.get(connection)
        if held is None or held is used:  # else another thread was quicker
            _held[connection] = connection.source.fetch(connection, held, True)
        return True


def moment(text: t.Any) -> float:
    """A time as the API writes it (RFC 3339), as a time.time(). Raises ValueError."""
    found = datetime.datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    if found.tzinfo is None:
        raise ValueError("without a time zone")
    return found.timestamp()
