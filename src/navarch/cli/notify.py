# SPDX-License-Identifier: GPL-3.0-or-later
"""Telling systemd how far we are (sd_notify(3)): one datagram to the socket it named. Nothing where systemd
did not start us.
"""

from __future__ import annotations

import os
import socket


def notify(state: str) -> None:
    """state: READY=1, STOPPING=1, STATUS=..."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.connect(address)
            sock.sendall(state.encode())
    except OSError:
        pass  # The supervisor is gone.
