# SPDX-License-Identifier: GPL-3.0-or-later
"""The node server's TLS: who asks shows a client certificate of the cluster's CA. What its user may is
`access`.
"""

from __future__ import annotations

import ssl
from pathlib import Path


def context(certificate: Path, key: Path, client_ca: Path) -> ssl.SSLContext:
    """A server context that wants a client certificate. Raises OSError, ssl.SSLError."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.load_cert_chain(certificate, key)
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_verify_locations(client_ca)
    return made
