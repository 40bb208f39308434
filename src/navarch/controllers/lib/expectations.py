# SPDX-License-Identifier: GPL-3.0-or-later
"""Expectations: own writes that the informer has not shown yet.

An informer lags behind the writes of its own process. A controller that counts pods must count its own
creations and deletions, or it repeats them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

#: Seconds after which a write that the informer never showed is forgotten.
FORGET = 30.0


class Expected:
    """Of one owner: names of dependents that were created or deleted, each with the time of the write."""

    __slots__ = ("created", "deleted")

    def __init__(self) -> None:
        self.created: dict[str, float] = {}
        self.deleted: dict[str, float] = {}

    def __bool__(self) -> bool:
        return bool(self.created or self.deleted)

    def expire(self) -> None:
        before = asyncio.get_running_loop().time() - FORGET
        for writes in (self.created, self.deleted):
            for name in [name for name, when in writes.items() if when < before]:
                del writes[name]

    def will_create(self, name: str) -> None:
        self.created[name] = asyncio.get_running_loop().time()

    def will_delete(self, name: str) -> None:
        self.deleted[name] = asyncio.get_running_loop().time()

    def failed(self, name: str) -> None:
        """A write did not happen."""
        self.created.pop(name, None)
        self.deleted.pop(name, None)

    def observed(self, name: str, *, ending: bool) -> None:
        """The informer shows the dependent; ending: as being deleted, or gone."""
        self.created.pop(name, None)
        if ending:
            self.deleted.pop(name, None)


class Expectations(Generic[K]):
    def __init__(self) -> None:
        self._owners: dict[K, Expected] = {}

    def of(self, owner: K) -> Expected:
        return self._owners.setdefault(owner, Expected())

    def known(self, owner: K) -> Expected | None:
        return self._owners.get(owner)

    def forget(self, owner: K) -> None:
        self._owners.pop(owner, None)
