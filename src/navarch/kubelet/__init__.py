# SPDX-License-Identifier: GPL-3.0-or-later
"""The node agent: runs the pods that the master has bound to this node, and says truthfully how they stand.

`run(config)` is the whole of it; the parts are put together in `agent`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from navarch.kubelet.config import KubeletConfig


class KubeletFailure(Exception):
    """The kubelet cannot begin; one line that says why and what to do."""


async def run(config: KubeletConfig, ready: Callable[[], None] = lambda: None) -> None:
    """Be the kubelet of a node until cancelled; its pods run on. ready is called when it serves.

    Raises KubeletFailure.
    """
    from navarch.client.kubeconfig import KubeconfigError
    from navarch.kubelet.main import main
    from navarch.kubelet.node.tls_bootstrap import BootstrapError

    try:
        await main(config, ready)
    except (BootstrapError, KubeconfigError) as error:
        raise KubeletFailure(str(error)) from None
    except OSError as error:
        raise KubeletFailure(f"{error.filename or 'kubelet'}: {error.strerror or error}") from error
