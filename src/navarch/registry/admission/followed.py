# SPDX-License-Identifier: GPL-3.0-or-later
"""Admission that knows all objects of one kind, from the store's events.

Not here: what a plugin keeps of them and decides by them; that is `learn` and the plugin's own file.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from navarch.api.machinery.scheme import Kind
from navarch.registry.admission import Admission
from navarch.registry.core import Core
from navarch.store.base import Event, Subscription

T = TypeVar("T")


class FollowsKind(Admission, Generic[T]):
    """`learn` hears of every object of the kind at the start, and of every change after it.

    All writers' objects are among them. One that is being written is not yet: see `Request.on_done`.
    """

    #: The core group's kind.
    resource = ""

    def __init__(self) -> None:
        self._kind: Kind[Any] | None = None
        self._subscription: Subscription | None = None

    @abstractmethod
    def learn(self, key: str, obj: T | None) -> None:
        """The object of a key is now this one; None when it is gone."""

    async def start(self, core: Core) -> None:
        found = core.named("", "v1", self.resource)
        if found is None:
            return
        self._kind = found.kind
        for entry in found.cache.scan(found.kind.root):
            self.learn(entry.key, found.object(entry))
        self._subscription = core.store.subscribe(found.kind.root, found.cache.revision, self._deliver)

    def close(self) -> None:
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None

    def _deliver(self, events: Sequence[Event]) -> None:
        kind = self._kind
        assert kind is not None
        for event in events:
            if event.deleted:
                self.learn(event.key, None)
            else:
                hint = event.hint
                self.learn(event.key, hint if isinstance(hint, kind.type) else kind.decode(event.value))
