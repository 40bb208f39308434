# SPDX-License-Identifier: GPL-3.0-or-later
"""What the proxy asks of the kernel. Rules go through nft, one process a batch.

What the rules say is not known here.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from navarch.network import process
from navarch.network.proxy import conntrack
from navarch.network.proxy.model import Address, Backend

R = TypeVar("R")


class RulesError(Exception):
    """nft refused; the text holds what it said."""


class Kernel:
    """The kernel of this node, or, with a prefix that runs commands there and enter, of another namespace."""

    def __init__(
        self, prefix: tuple[str, ...] = (), enter: Callable[[Callable[[], Any]], Any] | None = None
    ) -> None:
        """enter: runs a blocking function where the prefix runs commands."""
        self._command = (*prefix, "nft")
        self._enter = enter

    async def load(self, rules: str) -> None:
        """All of it or nothing. Raises RulesError."""
        await self._run("-f", "-", stdin=rules.encode())

    async def has_table(self, name: str) -> bool:
        """By netlink: nft reads all elements of all tables before it names a table. Raises RulesError."""
        return name in await self._call(_tables)

    async def forget(self, stale: Mapping[Address, frozenset[Backend]]) -> int:
        """See `conntrack`."""
        return await self._call(lambda: conntrack.forget(stale))

    async def remove_table(self, name: str) -> None:
        """Raises RulesError."""
        # The table is made first so that it is no error when it is not there.
        await self.load(f"table ip {name} {{}}\ndelete table ip {name}\n")

    async def _call(self, function: Callable[[], R]) -> R:
        if self._enter is None:
            return await asyncio.to_thread(function)
        result: R = await asyncio.to_thread(self._enter, function)
        return result

    async def _run(self, *arguments: str, stdin: bytes = b"") -> str:
        path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin"
        try:
            code, out, err = await process.run(*self._command, *arguments, stdin=stdin, env={"PATH": path})
        except (OSError, TimeoutError) as error:
            raise RulesError(f"cannot run nft: {error}") from None
        if code != 0:
            said = err.decode(errors="replace").strip() or f"exit code {code}"
            raise RulesError(f"nft: {said[:1000]}")
        return out.decode(errors="replace")


def _tables() -> set[str]:
    """Raises RulesError."""
    from pyroute2.netlink.exceptions import NetlinkError  # 0.3 s to import, which a start has no time for
    from pyroute2.nftables.main import NFTables

    try:
        with NFTables(nfgen_family=socket.AF_INET) as tables:
            return {table.get_attr("NFTA_TABLE_NAME") for table in tables.get_tables()}
    except (NetlinkError, OSError) as error:
        raise RulesError(f"cannot list nftables tables: {error}") from None
