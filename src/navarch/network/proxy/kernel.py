# SPDX-License-Identifier: GPL-3.0-or-later
"""Handing rules to nft, one process a batch. What they say is not known here."""

from __future__ import annotations

import os

from navarch.network import process


class RulesError(Exception):
    """nft refused; the text holds what it said."""


class Nft:
    """nft on this node. prefix: a command that runs it somewhere else (another network namespace)."""

    def __init__(self, prefix: tuple[str, ...] = ()) -> None:
        self._command = (*prefix, "nft")

    async def load(self, rules: str) -> None:
        """All of it or nothing. Raises RulesError."""
        await self._run("-f", "-", stdin=rules.encode())

    async def has_table(self, name: str) -> bool:
        """Costs the same however much is in the tables. Raises RulesError."""
        tables = await self._run("list", "tables", "ip")
        return f"table ip {name}" in tables.splitlines()

    async def remove_table(self, name: str) -> None:
        """Raises RulesError."""
        # The table is made first so that it is no error when it is not there.
        await self.load(f"table ip {name} {{}}\ndelete table ip {name}\n")

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
