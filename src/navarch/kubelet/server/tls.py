# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may ask the node server.

Holders of a client certificate of the cluster's CA that name the master or an administrator.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

MASTER = "kube-apiserver-kubelet-client"
ADMINISTRATORS = "system:masters"


def context(certificate: Path, key: Path, client_ca: Path) -> ssl.SSLContext:
    """A server context that wants a client certificate. Raises OSError, ssl.SSLError."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.load_cert_chain(certificate, key)
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_verify_locations(client_ca)
    return made


def allowed(peer: dict[str, Any] | None) -> bool:
    """Whether a verified certificate (as `getpeercert()` shows it) is one of those that may ask."""
    for part in (peer or {}).get("subject", ()):
        for name, value in part:
            if (name == "commonName" and value == MASTER) or (
                name == "organizationName" and value == ADMINISTRATORS
            ):
                return True
    return False
