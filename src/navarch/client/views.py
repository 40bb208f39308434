# SPDX-License-Identifier: GPL-3.0-or-later
"""Views: structs that declare only the fields their reader needs. Here the base, and what several readers
share."""

from __future__ import annotations

from typing import dataclass_transform

import msgspec


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class View(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Base of views. Names that camel case does not give (`podIP`) are set with `msgspec.field(name=...)`."""


class Taint(View):
    key: str = ""
    effect: str = ""
    value: str | None = None
    time_added: str | None = None


class Toleration(View):
    key: str | None = None
    operator: str | None = None
    value: str | None = None
    effect: str | None = None
    toleration_seconds: int | None = None

    def tolerates(self, taint: Taint) -> bool:
        """The API reference's rule: empty effect and empty key match all, Exists asks for no value."""
        if self.effect and self.effect != taint.effect:
            return False
        if self.key and self.key != taint.key:
            return False
        if self.operator == "Exists":
            return True
        return bool(self.key) and (self.value or "") == (taint.value or "")
