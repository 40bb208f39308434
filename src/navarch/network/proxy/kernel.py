# SPDX-License-Identifier: GPL-3.0-or-later
"""What the proxy asks of the kernel. Few rules go through libnftables, many through a process of nft, whose
memory goes with it; all do where there is no such library.

What the rules say is not known here.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from navarch.network import nftables, process
from navarch.network.proxy import affinity, conntrack, health
from navarch.network.proxy.affinity import Clients
from navarch.network.proxy.library import Library, Missing
from navarch.network.proxy.model import Address, Backend

log = logging.getLogger(__name__)

R = TypeVar("R")

#: Bytes of rules from which a process of its own is worth its start.
_MANY = 1 << 18


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
        self._library: Library | None = None
        self._without_library = False

    async def load(self, rules: str) -> None:
        """All of it or nothing. Raises RulesError."""
        text = rules.encode()
        if len(text) > _MANY or self._without_library:
            await self._run("-f", "-", stdin=text)
            return
        try:
            said = await self._call(lambda: self._load_here(text))
        except Missing as error:
            log.info("rules are loaded by nft: %s", error)
            self._without_library = True
            await self.load(rules)
            return
        if said:
            raise RulesError(f"nft: {said[:1000]}")

    def _load_here(self, rules: bytes) -> str:
        """Raises Missing."""
        if self._library is None:
            self._library = Library()
        return self._library.load(rules)

    async def has_table(self, name: str) -> bool:
        """By netlink: nft reads all elements of all tables before it names a table. Raises RulesError."""
        try:
            return name in await self._call(nftables.tables)
        except OSError as error:
            raise RulesError(f"cannot list nftables tables: {error}") from None

    async def forget(self, stale: Mapping[Address, frozenset[Backend]]) -> int:
        """See `conntrack`."""
        return await self._call(lambda: conntrack.forget(stale))

    async def listen(self) -> socket.socket:
        """See `health`. Raises OSError."""
        return await self._call(health.listen)

    async def clients(self, table: str, sets: Iterable[str]) -> Clients:
        """See `affinity`. Raises RulesError."""
        wanted = list(sets)
        try:
            return await self._call(lambda: affinity.clients(table, wanted)) if wanted else {}
        except OSError as error:
            raise RulesError(f"cannot read clients' affinity: {error}") from None

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
