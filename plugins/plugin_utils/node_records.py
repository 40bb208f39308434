# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an inventory source says of one machine. A source is one file that turns its options into these
records.

Belongs here: the record and its way through the inventory's cache. Not here: where records come from.
"""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class NodeRecord:
    """A machine: its name in the inventory, the address to connect to, its variables (plain JSON values)."""

    name: str
    address: str | None = None
    variables: dict[str, t.Any] = field(default_factory=dict)

    def to_cache(self) -> dict[str, t.Any]:
        return asdict(self)

    @classmethod
    def from_cache(cls, cached: t.Mapping[str, t.Any]) -> NodeRecord:
        return cls(cached["name"], cached["address"], dict(cached["variables"]))
