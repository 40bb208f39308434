# SPDX-License-Identifier: GPL-3.0-or-later
"""From settings to a running kubelet: join, connect, serve, and the orderly end."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable

from navarch.client.http import HttpClient
from navarch.kubelet.agent import Kubelet
from navarch.kubelet.config import KubeletConfig

log = logging.getLogger(__name__)


async def main(config: KubeletConfig, ready: Callable[[], None]) -> None:
    """Until cancelled."""
    client = HttpClient.from_kubeconfig(config.kubeconfig)
    kubelet = Kubelet(config, client)
    try:
        await kubelet.start()
        gc.collect()
        gc.freeze()
        ready()
        await asyncio.Event().wait()
    finally:
        await kubelet.stop()
        await client.close()
