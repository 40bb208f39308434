# SPDX-License-Identifier: GPL-3.0-or-later
"""The event recorder: Event objects, written in the background.

Recording only queues. Repeats of one event count up on one object. A token bucket limits the writes; beyond
it the oldest waiting events are dropped: events are for people, not for programs.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import OrderedDict, deque
from typing import Literal

import msgspec

from navarch.api.core.event import Event, EventSource
from navarch.api.core.reference import ObjectReference
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import ObjectMeta, now
from navarch.client.base import Client

log = logging.getLogger(__name__)

_WAITING = 1000
_REMEMBERED = 4096
_PER_SECOND = 50.0
_BURST = 200.0


class Reference(msgspec.Struct, frozen=True, gc=False):
    """The object an event is about. field_path: e.g. `spec.containers{web}`."""

    kind: str
    name: str
    uid: str
    namespace: str = ""
    api_version: str = "v1"
    field_path: str = ""


_Entry = tuple[Reference, str, str, str]  # (about, type, reason, message)


class EventRecorder:
    def __init__(self, client: Client, component: str, *, host: str = "") -> None:
        self._client = client
        self._component = component
        self._host = host
        self._waiting: deque[_Entry] = deque(maxlen=_WAITING)
        self._known: OrderedDict[_Entry, tuple[str, int]] = OrderedDict()  # -> (name of the Event, count)
        self._wake = asyncio.Event()

    def record(self, about: Reference, type: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        """reason: one CamelCase word; message: for people, at most 1 KiB is kept."""
        self._waiting.append((about, type, reason, message[:1024]))
        self._wake.set()

    async def run(self) -> None:
        """Write what was recorded, until cancelled."""
        loop = asyncio.get_running_loop()
        tokens, then = _BURST, loop.time()
        while True:
            while not self._waiting:
                self._wake.clear()
                await self._wake.wait()
            tokens = min(tokens + (loop.time() - then) * _PER_SECOND, _BURST)
            then = loop.time()
            if tokens < 1.0:
                await asyncio.sleep((1.0 - tokens) / _PER_SECOND)
                continue
            tokens -= 1.0
            entry = self._waiting.popleft()
            try:
                await self._write(entry)
            except StatusError as error:
                log.debug("event %s not written: %s", entry[2], error)

    async def _write(self, entry: _Entry) -> None:
        about, kind, reason, message = entry
        namespace = about.namespace or "default"
        known = self._known.get(entry)
        if known is not None:
            name, count = known[0], known[1] + 1
            try:
                await self._client.patch(Event, name, namespace, {"count": count, "lastTimestamp": now()})
            except StatusError as error:
                if error.code != 404:
                    raise
            else:
                self._known[entry] = (name, count)
                self._known.move_to_end(entry)
                return
        name = f"{about.name}.{secrets.token_hex(8)}"
        await self._client.create(
            Event(
                metadata=ObjectMeta(name=name, namespace=namespace),
                involved_object=ObjectReference(
                    kind=about.kind,
                    namespace=about.namespace or None,
                    name=about.name,
                    uid=about.uid,
                    api_version=about.api_version,
                    field_path=about.field_path or None,
                ),
                reason=reason,
                message=message,
                source=EventSource(component=self._component, host=self._host or None),
                first_timestamp=now(),
                last_timestamp=now(),
                count=1,
                type=kind,
                reporting_component=self._component,
                reporting_instance=self._host or None,
            )
        )
        self._known[entry] = (name, 1)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
