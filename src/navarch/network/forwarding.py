# SPDX-License-Identifier: GPL-3.0-or-later
"""Accepts in the filter table of iptables, for hosts whose firewall drops what it does not know.

Docker sets FORWARD to DROP, ufw INPUT and FORWARD, and a drop in one table is final whatever another accepts:
so these rules stand in iptables' own table, before everybody else's, each marked by a comment. They are put
where iptables writes here, into nf_tables or the legacy tables, and into the other one where that is in use.
A firewall that is no iptables (firewalld, a user's own nftables) has to be told by itself; the role does.
"""

from __future__ import annotations

import asyncio
import logging
import shlex
from pathlib import Path

from navarch.network import nftables, process
from navarch.network.process import CommandError

log = logging.getLogger(__name__)

_CHAINS = ("INPUT", "FORWARD")
_LEGACY = Path("/proc/net/ip_tables_names")


class Accepts:
    """mark: the comment of each rule, a word.

    rules: as iptables prints them, chain first, without comment and target.
    """

    def __init__(self, mark: str, rules: list[list[str]]) -> None:
        self._mark = mark
        self._rules = rules
        self._lock = asyncio.Lock()

    def set_rules(self, rules: list[list[str]]) -> None:
        """What `apply` shall see to from now on."""
        self._rules = rules

    async def apply(self) -> bool:
        """Put in what is missing and take out what is no longer wanted. Whether there was anything to do.

        Raises CommandError.
        """
        async with self._lock:
            changed = False
            wanted = [tuple(self._written(rule)) for rule in self._rules]
            for program in await programs():
                present = await self._present(program)
                for rule in [rule for rule in wanted if rule not in present]:
                    await process.command(program, "-w", "-I", *rule)
                    changed = True
                for rule in [rule for rule in present if rule not in wanted]:
                    await process.command(program, "-w", "-D", *rule)
                    changed = True
            return changed

    async def remove(self) -> None:
        """Take out every rule with the mark. Raises CommandError."""
        self._rules = []
        await self.apply()

    def _written(self, rule: list[str]) -> list[str]:
        return [*rule, "-m", "comment", "--comment", self._mark, "-j", "ACCEPT"]

    async def _present(self, program: str) -> list[tuple[str, ...]]:
        """Ours, twice what is there twice, chain first."""
        found = []
        for chain in _CHAINS:
            for line in (await process.command(program, "-w", "-S", chain)).splitlines():
                words = tuple(shlex.split(line))
                if words[0] == "-A" and _comment(words) == self._mark:
                    found.append(words[1:])
        return found


def _comment(words: tuple[str, ...]) -> str:
    return words[words.index("--comment") + 1] if "--comment" in words else ""


async def programs() -> list[str]:
    """The iptables to write with: the host's own, and its twin where somebody uses that too."""
    try:
        version = await process.command("iptables", "--version")
    except (FileNotFoundError, CommandError):
        return []  # without iptables there is no such table either
    try:
        if "legacy" in version:
            return ["iptables", *(["iptables-nft"] if "filter" in nftables.tables() else [])]
        return ["iptables", *(["iptables-legacy"] if "filter" in _LEGACY.read_text().split() else [])]
    except OSError:
        return ["iptables"]
