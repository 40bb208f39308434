# SPDX-License-Identifier: GPL-3.0-or-later
"""Authentication by client certificate: the common name is the user, organizations are groups.

TLS has verified the certificate against the client CA before a byte of HTTP was read; here it is only read.
"""

from __future__ import annotations

import asyncio
from typing import Any

from navarch.registry.context import User


def read(transport: asyncio.BaseTransport | None) -> User | None:
    """The user of a connection's verified client certificate; None when it showed none."""
    if transport is None:
        return None
    certificate: dict[str, Any] | None = transport.get_extra_info("peercert")
    if not certificate:
        return None
    name = ""
    groups: list[str] = []
    for part in certificate.get("subject", ()):
        for key, value in part:
            if key == "commonName":
                name = value
            elif key == "organizationName":
                groups.append(value)
    return User(name=name, groups=tuple(groups)) if name else None
