# SPDX-License-Identifier: GPL-3.0-or-later
"""The user of a client certificate: its common name; its organizations are the groups (the API reference's
"X509 client certificates").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def user(certificate: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """(name, groups) of a verified certificate, as `SSLSocket.getpeercert()` shows it; the name may be ""."""
    name = ""
    groups: list[str] = []
    for part in certificate.get("subject", ()):
        for key, value in part:
            if key == "commonName":
                name = value
            elif key == "organizationName":
                groups.append(value)
    return name, tuple(groups)
