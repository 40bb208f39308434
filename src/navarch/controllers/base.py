# SPDX-License-Identifier: GPL-3.0-or-later
"""What every controller is given, and what it is: made with a Context (it asks for its informers there),
then run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from navarch.api.core.node.address import Reserved
from navarch.client.base import Client
from navarch.client.events import EventRecorder
from navarch.client.informer import Informers

#: Signs a PEM certificate request for a signer name and a number of seconds; returns the PEM certificate. Its
#: time begins no earlier than the last argument, in seconds since the epoch.
Signer = Callable[[bytes, str, int, float], bytes]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    cluster_cidr: str = "10.244.0.0/16"
    node_cidr_mask_size: int = 24
    #: Seconds without a heartbeat after which a node counts as lost.
    node_monitor_grace: float = 40.0
    service_cidr: str = "10.96.0.0/16"
    #: PEM of the cluster's CA, for pods; empty: they get none.
    root_ca: str = ""
    #: Where pods and nodes reach the API; empty: there is no service `kubernetes`.
    advertise_address: str = ""
    advertise_port: int = 6443
    #: None: certificate requests are not signed here.
    signer: Signer | None = None
    #: Addresses and names that no node may have.
    reserved: Reserved = Reserved()


class Context(msgspec.Struct, frozen=True):
    client: Client
    informers: Informers
    events: EventRecorder
    options: Options


class Controller(Protocol):
    def __init__(self, context: Context) -> None: ...

    async def run(self) -> None:
        """Until cancelled; called when the informers have listed."""
