# SPDX-License-Identifier: GPL-3.0-or-later
"""The node agent: runs the pods that the master has bound to this node, and says truthfully how they stand.

`run(config)` is the whole of it; the parts are put together in `agent`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from navarch.kubelet.config import KubeletConfig


async def run(config: KubeletConfig, ready: Callable[[], None] = lambda: None) -> None:
    """Be the kubelet of a node until cancelled; its pods run on. ready is called when it serves."""
    from navarch.kubelet.main import main

    await main(config, ready)
