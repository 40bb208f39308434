# SPDX-License-Identifier: GPL-3.0-or-later
"""Making pods of a template and deleting them, with expectations and events."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence

from navarch.api.core.pod.pod import Pod
from navarch.api.core.pod.spec import PodTemplateSpec
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import Object, ObjectMeta, Preconditions
from navarch.client.base import Client
from navarch.client.events import EventRecorder
from navarch.controllers.lib.errors import namespace_terminating
from navarch.controllers.lib.expectations import Expected
from navarch.controllers.lib.owners import controller_reference, event_reference
from navarch.controllers.views import PodView

#: Letters and digits of generated names, without those that spell words.
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
#: Pods that one reconcile creates or deletes at most.
BURST = 500


class PodControl:
    def __init__(self, client: Client, events: EventRecorder) -> None:
        self._client = client
        self._events = events

    async def create(self, owner: Object, template: PodTemplateSpec, count: int, expected: Expected) -> None:
        """In growing batches: a template that is always refused costs one refusal, not hundreds.

        Raises the first failure of a batch.
        """
        count = min(count, BURST)
        batch = 1
        while count > 0:
            size = min(batch, count)
            results = await asyncio.gather(
                *(self._create_one(owner, template, expected) for _ in range(size)), return_exceptions=True
            )
            _raise_first(results)
            count -= size
            batch *= 2

    async def delete(self, owner: Object, pods: Sequence[PodView], expected: Expected) -> None:
        results = await asyncio.gather(
            *(self._delete_one(owner, pod, expected) for pod in pods[:BURST]), return_exceptions=True
        )
        _raise_first(results)

    async def _create_one(self, owner: Object, template: PodTemplateSpec, expected: Expected) -> None:
        base = template.metadata or ObjectMeta()
        # Named here and not by the server: an expectation needs the name before the informer shows the pod.
        name = f"{(owner.metadata.name or '')[:57]}-{''.join(secrets.choice(ALPHABET) for _ in range(5))}"
        pod = Pod(
            metadata=ObjectMeta(
                name=name,
                generate_name=f"{owner.metadata.name}-",
                namespace=owner.metadata.namespace,
                labels=base.labels,
                annotations=base.annotations,
                finalizers=base.finalizers,
                owner_references=[controller_reference(owner)],
            ),
            spec=template.spec,
        )
        expected.will_create(name)
        try:
            await self._client.create(pod)
        except BaseException as error:
            expected.failed(name)
            if isinstance(error, StatusError) and error.code != 409 and not namespace_terminating(error):
                message = f"Error creating: {error.message}"
                self._events.record(event_reference(owner), "Warning", "FailedCreate", message)
            raise
        self._events.record(event_reference(owner), "Normal", "SuccessfulCreate", f"Created pod: {name}")

    async def _delete_one(self, owner: Object, pod: PodView, expected: Expected) -> None:
        name, namespace = pod.metadata.name, pod.metadata.namespace
        expected.will_delete(name)
        try:
            await self._client.delete(Pod, name, namespace, preconditions=Preconditions(uid=pod.metadata.uid))
        except StatusError as error:
            expected.failed(name)
            if error.code not in (404, 409):
                raise
        else:
            self._events.record(event_reference(owner), "Normal", "SuccessfulDelete", f"Deleted pod: {name}")


def _raise_first(results: Sequence[BaseException | None]) -> None:
    for result in results:
        if result is not None:
            raise result
