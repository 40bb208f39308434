# SPDX-License-Identifier: GPL-3.0-or-later
"""Subscriptions of a store: each gets history first, then live events; no gap, nothing twice, in order.

A store's own feed says how history is read. Not here: watches of the API (`cache`, `watchers`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence

from navarch.store.base import Deliver, Event, Unavailable

log = logging.getLogger(__name__)

#: Key directories whose subscribers are remembered.
MAX_ROUTES = 4096
#: Seconds until a failed read of history is tried again.
RETRY = 1.0


class Subscription:
    __slots__ = ("_fanout", "backlog", "deliver", "prefix", "task")

    def __init__(self, fanout: Fanout, prefix: str, deliver: Deliver) -> None:
        self._fanout = fanout
        self.prefix = prefix
        self.deliver = deliver
        #: Live events that wait until history was delivered; None when live.
        self.backlog: list[Event] | None = None
        self.task: asyncio.Task[None] | None = None

    def close(self) -> None:
        self._fanout.remove(self)


class Fanout:
    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._subscriptions: list[Subscription] = []
        #: Directory of a key -> its subscriptions, where the directory alone decides.
        self._routes: dict[str, tuple[Subscription, ...]] = {}

    def publish(self, events: Sequence[Event]) -> None:
        """Deliver visible events. A subscriber that raises is a bug of its own and stops no other one."""
        if not self._subscriptions:
            return
        batches: dict[Subscription, list[Event]] = {}
        routes = self._routes
        for event in events:
            directory = event.key.rpartition("/")[0]
            targets = routes.get(directory)
            if targets is None:
                targets = self._route(directory, event.key)
            for target in targets:
                if target in batches:
                    batches[target].append(event)
                else:
                    batches[target] = [event]
        for target, batch in batches.items():
            if target.backlog is not None:
                target.backlog.extend(batch)
            else:
                _deliver(target, batch)

    def _route(self, directory: str, key: str) -> tuple[Subscription, ...]:
        targets = tuple(s for s in self._subscriptions if key.startswith(s.prefix))
        inside = f"{directory}/"
        if not any(len(s.prefix) > len(inside) and s.prefix.startswith(inside) for s in self._subscriptions):
            if len(self._routes) >= MAX_ROUTES:
                self._routes.clear()
            self._routes[directory] = targets
        return targets

    def add(
        self, prefix: str, deliver: Deliver, since: int, visible: int, held: Sequence[Event] = ()
    ) -> Subscription:
        """visible: the newest published revision. held: events up to it that history may not have."""
        subscription = Subscription(self, prefix, deliver)
        self._subscriptions.append(subscription)
        self._routes.clear()
        if since < visible:
            subscription.backlog = []
            subscription.task = self._loop.create_task(
                self._catch_up(subscription, since, visible, held), name=f"store-history {prefix}"
            )
        return subscription

    def remove(self, subscription: Subscription) -> None:
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)
            self._routes.clear()
        if subscription.task is not None:
            subscription.task.cancel()

    async def _catch_up(
        self, subscription: Subscription, since: int, visible: int, held: Sequence[Event]
    ) -> None:
        after = since
        while after < visible:
            try:
                async for upto, written in self.history(subscription.prefix, after, visible):
                    events = {event.revision: event for event in held if after < event.revision <= upto}
                    events.update((event.revision, event) for event in written)
                    if events:
                        _deliver(subscription, [events[revision] for revision in sorted(events)])
                    after = upto
            except Unavailable as exc:
                log.warning("store: history for %s is read again later: %s", subscription.prefix, exc)
                await asyncio.sleep(RETRY)
        backlog, subscription.backlog = subscription.backlog, None
        subscription.task = None
        if backlog:
            _deliver(subscription, backlog)

    def history(self, prefix: str, after: int, upto: int) -> AsyncIterator[tuple[int, Sequence[Event]]]:
        """Events of the prefix with after < revision <= upto, in pieces, each with the revision it reaches.
        The last piece reaches `upto`. Raises Unavailable.
        """
        raise NotImplementedError

    async def caught_up(self) -> None:
        """Wait for those that read history now: compaction must not take it from under them."""
        tasks = [s.task for s in self._subscriptions if s.task is not None]
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        tasks = [s.task for s in self._subscriptions if s.task is not None]
        for subscription in list(self._subscriptions):
            self.remove(subscription)
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)


def _deliver(subscription: Subscription, events: Sequence[Event]) -> None:
    try:
        subscription.deliver(events)
    except Exception:
        log.exception("store: subscriber of %s failed", subscription.prefix)
