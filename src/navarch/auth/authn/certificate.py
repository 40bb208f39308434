# SPDX-License-Identifier: GPL-3.0-or-later
"""Authentication by client certificate: the common name is the user, organizations are groups.

TLS has verified the certificate against the client CA before a byte of HTTP was read; here it is only read.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import msgspec

from navarch.api.certificates import subject as certificate_subject
from navarch.api.core.node.identity import node_of
from navarch.auth.user import User


class Shown(msgspec.Struct, frozen=True):
    """What a client certificate says. node: the node it is of, or None; issued: when its time began, in
    seconds since the epoch.
    """

    user: User
    node: str | None
    issued: float


def read(transport: asyncio.BaseTransport | None) -> Shown | None:
    """A connection's verified client certificate; None when it showed none that names a user."""
    if transport is None:
        return None
    certificate: dict[str, Any] | None = transport.get_extra_info("peercert")
    if not certificate:
        return None
    name, groups = certificate_subject.user(certificate)
    if not name:
        return None
    issued = ssl.cert_time_to_seconds(certificate["notBefore"])
    return Shown(User(name=name, groups=groups), node_of(name, groups), issued)
