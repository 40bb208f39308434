# SPDX-License-Identifier: GPL-3.0-or-later
"""The store protocol: etcd's semantics in the words this project needs. Each backend is one file beside this
one.

One revision counter for the whole store; every write takes the next revision. Keys are strings in byte
order. History is kept
until compaction; reading or watching behind it raises `Compacted`.

Not here: what a value means (the registry), nor the fan-out to many watchers (`cache`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec


class StoreError(Exception):
    """Base of everything a store raises on purpose."""


class Exists(StoreError):
    """create() met a living key."""

    def __init__(self, key: str, revision: int) -> None:
        super().__init__(f"{key} exists at revision {revision}")
        self.key = key
        self.revision = revision


class Missing(StoreError):
    """update() or delete() met no living key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key} does not exist")
        self.key = key


class Conflict(StoreError):
    """The key lives at another revision than the caller expected (compare-and-swap lost)."""

    def __init__(self, key: str, expected: int, found: int) -> None:
        super().__init__(f"{key} is at revision {found}, not {expected}")
        self.key = key
        self.expected = expected
        self.found = found


class Compacted(StoreError):
    """The requested revision was compacted: the caller must list again (HTTP 410 Gone)."""

    def __init__(self, requested: int, oldest: int) -> None:
        super().__init__(f"revision {requested} is compacted; the oldest is {oldest}")
        self.requested = requested
        self.oldest = oldest


class Future(StoreError):
    """The requested revision has not been written yet."""

    def __init__(self, requested: int, current: int) -> None:
        super().__init__(f"revision {requested} is ahead of the current revision {current}")
        self.requested = requested
        self.current = current


class Damaged(StoreError):
    """What is stored of the key cannot be read: it was set aside, for an administrator to repair or drop."""

    def __init__(self, key: str, revision: int, why: str) -> None:
        super().__init__(f"what is stored of {key} is damaged ({why})")
        self.key = key
        self.revision = revision
        self.why = why


class Unavailable(StoreError):
    """The store cannot take the request now (closed, disk full, quorum lost). Nothing was written."""


class KeyValue(msgspec.Struct, frozen=True, gc=False):
    key: str
    value: bytes
    #: Revision of the last write of this key: what compare-and-swap compares.
    revision: int
    #: Revision at which the key was created in its present life.
    created: int
    lease: int = 0


class Page(msgspec.Struct, frozen=True, gc=False):
    """A consistent read of a range."""

    items: list[KeyValue]
    #: The store's revision the read is consistent with.
    revision: int
    #: Keys left behind `items` when a limit cut the page.
    remaining: int = 0


class Event(msgspec.Struct, frozen=True, gc=False):
    """One change of one key. A deletion has `value == b""` and `deleted` set; its `created` may be 0."""

    key: str
    value: bytes
    revision: int
    created: int
    deleted: bool = False
    #: What the writer attached in process (its decoded object); None when the event came from elsewhere.
    #: Never stored.
    hint: object = None


class Damage(msgspec.Struct, frozen=True):
    """A stored row that cannot be used."""

    key: str
    #: Of the row.
    revision: int
    why: str


Deliver = Callable[[Sequence[Event]], None]


class Subscription(Protocol):
    def close(self) -> None:
        """Stop deliveries. Idempotent."""


class Checked(Protocol):
    """Counts of a store's background check of its rows."""

    rows: int
    damaged: int
    rewritten: int


class Store(Protocol):
    """What the registry asks of a store. All calls are made on the event loop.

    A write returns after its commit is durable (`durable=False`: after it is visible), and after its event
    was handed to
    all subscribers: whoever reads a cache fed by a subscription reads its own writes.
    """

    #: Called for each key that is set aside.
    on_damage: Callable[[Damage], None]
    #: (key, revision) -> the value, from a cache that still has it: a damaged row is written again with it.
    recall: Callable[[str, int], bytes | None]
    #: Called with the reason when the store cannot go on and the process must start again.
    on_lost: Callable[[str], None]

    @property
    def scrub(self) -> Checked | None:
        """The background check; None where the database checks what it keeps."""

    @property
    def revision(self) -> int:
        """The newest revision that is visible."""

    @property
    def compacted(self) -> int:
        """The compaction point: watches from a revision below it raise Compacted. 0 when nothing was
        compacted."""

    @property
    def damaged(self) -> Mapping[str, Damage]:
        """Keys that live and cannot be read. They are in no range; get, create, update and delete of them
        raise Damaged."""

    async def start(self) -> None: ...

    async def close(self) -> None:
        """Finish what was accepted, then release everything. Idempotent."""

    async def get(self, key: str, *, revision: int = 0) -> KeyValue | None:
        """The key's value now, or as it was at `revision`. Raises Compacted, Future."""

    async def range(self, prefix: str, *, start: str = "", limit: int = 0, revision: int = 0) -> Page:
        """Living keys with the prefix, in key order, from `start` on. Raises Compacted, Future."""

    async def create(
        self, key: str, value: bytes, *, lease: int = 0, durable: bool = True, hint: object = None
    ) -> int:
        """Write a key that must not live. Returns the write's revision. Raises Exists, Unavailable."""

    async def update(
        self,
        key: str,
        value: bytes,
        *,
        expected: int,
        lease: int = 0,
        durable: bool = True,
        hint: object = None,
    ) -> int:
        """Replace a living key whose revision is `expected`. Returns the new revision.

        `durable=False` declares a heartbeat: answered from memory, written now and then, may be lost in a
        crash (never its
        revision, which is not given out again). Raises Missing, Conflict, Unavailable.
        """

    async def delete(self, key: str, *, expected: int = 0, hint: object = None) -> int:
        """Delete a living key, at `expected` when that is not 0. Returns the deletion's revision.

        Raises Missing, Conflict, Unavailable.
        """

    def set_aside(self, key: str, revision: int, why: str) -> None:
        """Say that the value of a living key, of this revision, means nothing to its reader."""

    async def drop(self, key: str) -> int:
        """Delete a damaged key. Returns the deletion's revision. Raises Missing, Unavailable."""

    def subscribe(self, prefix: str, since: int, deliver: Deliver) -> Subscription:
        """Hand every event of the prefix after revision `since` to `deliver`, in order, each once, in
        batches, on the loop.

        `deliver` must not block or raise. Raises Compacted.
        """

    async def compact(self, revision: int) -> None:
        """Forget history before `revision`; living keys stay. Raises Future, Compacted."""

    async def grant(self, ttl: float) -> int:
        """A new lease of `ttl` seconds; keys written with it are deleted when it expires. Returns its id."""

    async def keep_alive(self, lease: int) -> float:
        """Renew a lease. Returns its ttl in seconds. Raises Missing."""

    async def revoke(self, lease: int) -> None:
        """Delete a lease and its keys. Raises Missing."""

    async def backup(self, path: str) -> None:
        """Write a consistent copy that the same backend can start from."""
