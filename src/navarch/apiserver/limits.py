# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of the API server one peer or one user may take. Only figures: `serving.peers` and `flowcontrol`
hold clients to them.
"""

from __future__ import annotations

import msgspec

from navarch.serving.peers import ConnectionLimits


class Limits(ConnectionLimits, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """The defaults fit some hundred nodes. Raise those per address where many hosts share one (NAT)."""

    #: Requests of users at a time, watches and streams apart. Nodes have half as many of their own;
    #: administrators have no limit.
    requests_in_flight: int = 256
    #: Requests of one user that wait for their turn; more are answered 429.
    requests_queued_per_user: int = 200
    #: Watches, logs and streams of one user that are open; administrators have no limit.
    long_running_per_user: int = 1000

    def check(self) -> None:
        """Raises ValueError that names the figure."""
        for field in msgspec.structs.fields(self):
            if getattr(self, field.name) < 1:
                raise ValueError(f"{field.encode_name}: must be 1 or more")
        if self.connections < 10:
            raise ValueError("connections: must be 10 or more")
