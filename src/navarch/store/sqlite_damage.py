# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys whose newest row is damaged: set aside, so that the store serves all others, until they are dropped or
the file is repaired (`sqlite_repair`).

Not here: finding damage (`sqlite_load`, `sqlite_scrub`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from navarch.store.base import Damage, Damaged, Missing
from navarch.store.sqlite_commit import SHIFT, GroupCommit
from navarch.store.sqlite_lease import Leases
from navarch.store.sqlite_rows import Row

log = logging.getLogger(__name__)

_SAID = "store: %s is damaged at revision %d (%s) and set aside; see `navarch store check`"


class Damages:
    def __init__(self, notify: Callable[[Damage], None]) -> None:
        """notify: called for each key that is set aside after the start."""
        self._notify = notify
        self.keys: dict[str, Damage] = {}
        #: Revisions of damaged rows: they stay in the file for a repair.
        self.rows: set[int] = set()

    def start(self, commits: GroupCommit, leases: Leases, keys: dict[str, Damage], rows: set[int]) -> None:
        """keys, rows: as they were found when the file was loaded."""
        self._commits, self._leases = commits, leases
        self.keys, self.rows = keys, rows
        for damage in keys.values():
            log.error(_SAID, damage.key, damage.revision, damage.why)

    def check(self, key: str) -> None:
        """Raises Damaged."""
        if self.keys and (damage := self.keys.get(key)) is not None:
            raise Damaged(key, damage.revision, damage.why)

    def set_aside(self, key: str, revision: int, why: str) -> None:
        """The key is in no range any more, and get and writes of it raise Damaged. Its row stays."""
        commits = self._commits
        state = commits.index.get(key)
        if key in commits.tail or state is None or state >> SHIFT != revision:
            return  # There is a newer state.
        del commits.index[key]
        commits.ordered = None
        self._leases.attach(key, 0)
        damage = self.keys[key] = Damage(key, revision, why)
        self.rows.add(revision)
        log.error(_SAID, key, revision, why)
        self._notify(damage)

    def unreadable(self, key: str, revision: int, row: Row | None) -> None:
        """A row could not be read as the newest of its key."""
        state = self._commits.index.get(key)
        if state is None or state >> SHIFT != revision or self._commits.beat(key) is not None:
            return  # It is not the newest any more.
        if row is None or not row.damage:
            self.set_aside(key, revision, "its row is missing")
        else:
            self.set_aside(key, revision, row.damage)

    def found(self, revision: int, why: str) -> str | None:
        """A damaged row was found. The key of which it is the newest; None: nothing is to be done."""
        if revision in self.rows:
            return None
        self.rows.add(revision)
        state = self._commits.index
        key = next((key for key, found in state.items() if found >> SHIFT == revision), None)
        if key is None:
            log.warning(
                "store: the row of revision %d is damaged (%s); it is replaced already", revision, why
            )
        return key

    async def drop(self, key: str) -> int:
        """Delete a key that is set aside, for good. Returns the revision. Raises Missing."""
        damage = self.keys.get(key)
        if damage is None:
            raise Missing(key)
        revision = await self._commits.submit(
            key, b"", created=damage.revision, previous=damage.revision, deleted=True
        )
        self.keys.pop(key, None)
        self.rows.discard(damage.revision)
        log.warning("store: %s, damaged at revision %d, was dropped", key, damage.revision)
        return revision
