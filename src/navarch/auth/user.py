# SPDX-License-Identifier: GPL-3.0-or-later
"""The user of a request, as authentication found it."""

from __future__ import annotations

import msgspec


class User(msgspec.Struct, frozen=True):
    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: dict[str, list[str]] = {}


#: The master's own parts.
SYSTEM = User("system:apiserver", ("system:masters",))
