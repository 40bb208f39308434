# SPDX-License-Identifier: GPL-3.0-or-later
"""Time of the SQLite store's leases: which live, which keys hang on them, when the next expires. Holds no
storage.

After a restart every lease starts its full ttl again, as in etcd: its owner had no chance to renew it
meanwhile.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

from navarch.store.base import Missing


class Leases:
    #: Seconds until the deletion of an expired lease is tried again.
    RETRY = 5.0

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        expire: Callable[[list[int]], None],
        leases: dict[int, float],
        keys: dict[str, int],
    ) -> None:
        self._loop = loop
        self._expire = expire
        #: key -> lease, of the visible keys that have one.
        self.keys = keys
        self._ttl: dict[int, float] = {}
        self._deadline: dict[int, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        for lease, ttl in leases.items():
            self.add(lease, ttl)

    def new_id(self) -> int:
        return secrets.randbits(62) | 1

    def add(self, lease: int, ttl: float) -> None:
        self._ttl[lease] = ttl
        self._deadline[lease] = self._loop.time() + ttl
        self._arm()

    def renew(self, lease: int) -> float:
        self.check(lease)
        ttl = self._ttl[lease]
        self._deadline[lease] = self._loop.time() + ttl
        return ttl

    def remove(self, lease: int) -> None:
        self.check(lease)
        del self._ttl[lease], self._deadline[lease]

    def check(self, lease: int) -> None:
        if lease not in self._ttl:
            raise Missing(f"lease {lease}")

    def attach(self, key: str, lease: int) -> None:
        if lease:
            self.keys[key] = lease
        else:
            self.keys.pop(key, None)

    def keys_of(self, lease: int) -> list[str]:
        return [key for key, its in self.keys.items() if its == lease]

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        """Wake at the earliest deadline; renewals only move deadlines later, so an armed timer is never too
        late.
        """
        if not self._deadline:
            return
        first = min(self._deadline.values())
        if self._timer is not None:
            if self._timer.when() <= first:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(first, self._fire)

    def _fire(self) -> None:
        self._timer = None
        now = self._loop.time()
        over = [lease for lease, deadline in self._deadline.items() if deadline <= now]
        for lease in over:
            del self._ttl[lease], self._deadline[lease]
        self._arm()
        if over:
            self._expire(over)
