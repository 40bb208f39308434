# SPDX-License-Identifier: GPL-3.0-or-later
"""NodeRevocations in the registry's cache: which nodes were removed from the cluster, and when.

Read with every request of a node: a revocation holds from the moment it is stored. What a node had
open by then is ended by who listens to `run`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from navarch.api.machinery.errors import StatusError
from navarch.api.navarch.noderevocation import NODE_REVOCATION as KIND
from navarch.auth.user import SYSTEM
from navarch.registry.context import Context
from navarch.registry.query import ALL
from navarch.registry.reading import Bookmark
from navarch.registry.registry import Registry

log = logging.getLogger(__name__)

_AGAIN = 0.1


class NodeRevocations:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def before(self, node: str) -> float:
        """What a node got before this (seconds since the epoch) is refused; 0 when it was not thrown out.

        Raises StatusError 500 when that is stored and cannot be read.
        """
        if not self._registry.exists(KIND, None, node):
            return 0.0
        try:
            return KIND.decode(self._registry.get(KIND, None, node, Context(SYSTEM)).value).before
        except StatusError as error:
            if error.code != 404:
                raise
            return 0.0  # deleted in between

    async def run(self, revoked: Callable[[str], None]) -> None:
        """Call with the name of each node that is thrown out, until cancelled; those of before as well."""
        while True:
            watching = self._registry.watch(KIND, ALL, Context(SYSTEM))
            try:
                while True:
                    batch = await watching.next()
                    if isinstance(batch, Bookmark):
                        continue
                    for change in batch.changes:
                        if change.kind != "DELETED":
                            revoked(change.entry.key.removeprefix(KIND.root))
            except StatusError as error:
                log.debug("watching the revocations of nodes: %s", error)
            finally:
                watching.close()
            await asyncio.sleep(_AGAIN)
