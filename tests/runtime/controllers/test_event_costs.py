# SPDX-License-Identifier: GPL-3.0-or-later
"""What an event costs does not depend on how much there is: handlers ask counts and indexes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from test_controllers import pod_spec

from navarch.api.core.pod.pod import Pod
from navarch.api.machinery.meta import ObjectMeta
from navarch.client.events import EventRecorder
from navarch.client.informer import Informer, Informers
from navarch.controllers import namespaces, views
from navarch.controllers.base import Context, Options
from navarch.controllers.views import PodView


async def test_a_pod_that_goes_makes_nothing_read_the_others(
    still: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = 0
    by_index = Informer.by_index

    def counted(self: Informer[Any], index: str, value: str) -> list[Any]:
        nonlocal read
        found: list[Any] = by_index(self, index, value)
        read += len(found)
        return found

    monkeypatch.setattr(Informer, "by_index", counted)
    for number in range(30):
        meta = ObjectMeta(name=f"p{number}", namespace="default")
        await still.client.create(Pod(metadata=meta, spec=pod_spec()))
    informers = Informers(still.client)
    context = Context(still.client, informers, EventRecorder(still.client, "test"), Options())
    controller = namespaces.Namespaces(context)
    pods = views.pods(informers)
    await informers.start()
    working = asyncio.create_task(controller.run())
    gone = asyncio.Event()

    def note(old: PodView | None, new: PodView | None) -> None:
        if new is None:
            gone.set()

    pods.listen(note)
    try:
        await still.client.delete(Pod, "p0", "default", grace=0)
        async with asyncio.timeout(20):
            await gone.wait()
        assert len(pods) == 29
        assert read == 0
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await informers.stop()
