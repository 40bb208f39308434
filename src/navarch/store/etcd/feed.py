# SPDX-License-Identifier: GPL-3.0-or-later
"""One watch of etcd for the whole store, handed to its subscribers.

One watch, and not one a subscriber, gives all of them one order and the store one newest revision.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

from navarch.store.base import Compacted, Event, StoreError, Unavailable
from navarch.store.etcd import messages
from navarch.store.etcd.client import Client
from navarch.store.etcd.keys import Keys
from navarch.store.fanout import Fanout

log = logging.getLogger(__name__)

#: Seconds until a watch that broke is made again.
RETRY = 0.2


async def oldest(client: Client, keys: Keys) -> int:
    """The oldest revision that can be read; 0 when nothing was compacted. The mark must have been written."""
    try:
        async with contextlib.aclosing(_watch(client, keys, 1)) as changes:
            async for _ in changes:
                break
    except Compacted as error:
        return error.oldest
    return 0


async def _watch(client: Client, keys: Keys, start: int) -> AsyncGenerator[list[messages.Change], None]:
    """Changes of the store's keys from revision `start` on. Raises Compacted, Unavailable, Refused."""
    pieces: list[messages.Change] = []
    stream = client.stream("Watch/Watch", messages.watch_request(*keys.all, start))
    async with contextlib.aclosing(stream) as answers:
        async for data in answers:
            answer = messages.parse_watch(data)
            if answer.compacted:
                raise Compacted(start - 1, answer.compacted)
            if answer.cancelled:
                raise Unavailable(f"etcd cancelled the watch: {answer.reason}")
            pieces += answer.changes
            if pieces and not answer.fragment:
                yield pieces
                pieces = []


class Feed(Fanout):
    """position: the revision of an event of this store; all up to it were handed to the subscribers."""

    def __init__(
        self,
        client: Client,
        keys: Keys,
        position: int,
        hint: Callable[[str, bytes], object],
        lost: Callable[[str], None],
    ) -> None:
        """hint: the object that this process wrote as the key's value, if it did.
        lost: called with the reason when events are gone for good.
        """
        super().__init__()
        self._client = client
        self._keys = keys
        self._hint = hint
        self._lost = lost
        self.position = position
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._task = asyncio.create_task(self._follow(), name="etcd-watch")

    async def reached(self, revision: int) -> None:
        """Wait until the subscribers have every event up to `revision`, or raise Unavailable."""
        if revision <= self.position:
            return
        if self._task.done():
            raise Unavailable("the store does not follow etcd any more")
        future = self._loop.create_future()
        heapq.heappush(self._waiting, (revision, next(self._order), future))
        await future

    async def close(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await super().close()
        self._fail("the store is closed")

    async def history(self, prefix: str, after: int, upto: int) -> AsyncIterator[tuple[int, Sequence[Event]]]:
        # All keys are watched: `upto` is the revision of an event of this store, and it ends the history.
        try:
            async for revision, events in self._watch(after + 1):
                yield (
                    min(revision, upto),
                    [event for event in events if event.revision <= upto and event.key.startswith(prefix)],
                )
                if revision >= upto:
                    return
        except Compacted as error:
            self._end(str(error))
            raise Unavailable(str(error)) from error

    async def _follow(self) -> None:
        while True:
            try:
                async for revision, events in self._watch(self.position + 1):
                    self.publish(events)
                    self._advance(revision)
            except Compacted as error:
                # Away for longer than history is kept: no watch can say any more what was deleted meanwhile.
                self._end(str(error))
                return
            except StoreError as error:
                log.warning(
                    "etcd: the watch broke at revision %d and is made again: %s", self.position, error
                )
            await asyncio.sleep(RETRY)

    async def _watch(self, start: int) -> AsyncIterator[tuple[int, list[Event]]]:
        """Events of this store from revision `start` on, with the revision of the last change."""
        async with contextlib.aclosing(_watch(self._client, self._keys, start)) as pieces:
            async for changes in pieces:
                mark = self._keys.mark
                yield changes[-1].pair.modified, [self._event(c) for c in changes if c.pair.key != mark]

    def _event(self, change: messages.Change) -> Event:
        pair = change.pair
        key = self._keys.decode(pair.key)
        if change.deleted:
            return Event(key, b"", pair.modified, 0, True)
        return Event(key, pair.value, pair.modified, pair.created, hint=self._hint(key, pair.value))

    def _advance(self, revision: int) -> None:
        self.position = max(self.position, revision)
        while self._waiting and self._waiting[0][0] <= self.position:
            future = heapq.heappop(self._waiting)[2]
            if not future.done():
                future.set_result(None)

    def _end(self, why: str) -> None:
        log.error("etcd: events were compacted before this process read them: %s", why)
        self._fail(why)
        self._lost(f"events were compacted before they were read: {why}")

    def _fail(self, why: str) -> None:
        for _, _, future in self._waiting:
            if not future.done():
                future.set_exception(Unavailable(why))
        self._waiting.clear()
