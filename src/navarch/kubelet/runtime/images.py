# SPDX-License-Identifier: GPL-3.0-or-later
"""Images for containers.

Present, being pulled, or refused, by pull policy. A pull runs on its own and wakes the pods that wait for it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import time
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from navarch.kubelet.backoff import Backoff
from navarch.kubelet.runtime.base import Image, InvalidImageName, Runtime, RuntimeFault

log = logging.getLogger(__name__)

_PULLS_AT_ONCE = 2


class Verdict(msgspec.Struct, frozen=True):
    """Whether the image can be used.

    reason and message are those of the container's waiting state; fresh: news worth an event.
    """

    state: Literal["present", "pulling", "failed"]
    image: Image | None = None
    reason: str = ""
    message: str = ""
    fresh: bool = False
    #: Seconds until it is worth asking again; 0: the pod is woken.
    retry: float = 0.0
    pulled: bool = False


class _Pull(msgspec.Struct):
    task: asyncio.Task[None]
    waiting: set[str]


class Images:
    def __init__(
        self, runtime: Runtime, wake: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._runtime = runtime
        self._wake = wake
        self._clock = clock
        self._backoff = Backoff(clock)
        self._pulls: dict[str, _Pull] = {}
        self._failed: dict[
            tuple[str, str], tuple[float, str, bool]
        ] = {}  # (pod, image) -> when, why, reported
        self._pulled: set[tuple[str, str]] = set()
        self._slots = asyncio.Semaphore(_PULLS_AT_ONCE)

    async def ensure(
        self, uid: str, reference: str, policy: str, auth: Callable[[], Any], *, starting: bool = True
    ) -> Verdict:
        """What stands in the way of using an image, if anything. Begins a pull where the policy wants one.

        auth: an async function giving the registry's credentials or None, called only for a pull.
        """
        key = (uid, reference)
        try:
            found = await self._runtime.image(reference)
        except InvalidImageName as error:
            return Verdict("failed", None, "InvalidImageName", str(error), fresh=True)
        if policy == "Never" or (found is not None and policy != "Always"):
            if found is not None:
                pulled = key in self._pulled
                self._pulled.discard(key)
                return Verdict("present", found, pulled=pulled)
            why = f'Container image "{reference}" is not present with pull policy of Never'
            return Verdict("failed", None, "ErrImageNeverPull", why, fresh=True)
        if found is not None and key in self._pulled:
            self._pulled.discard(key)
            return Verdict("present", found, pulled=True)
        pull = self._pulls.get(reference)
        if pull is not None:
            pull.waiting.add(uid)
            return Verdict("pulling", None, "ContainerCreating")
        failure = self._failed.get(key)
        if failure is not None:
            when, why, reported = failure
            remaining = self._backoff.remaining(key, when)
            if not reported:
                self._failed[key] = (when, why, True)
                return Verdict("failed", None, "ErrImagePull", why, fresh=True, retry=1.0)
            if remaining > 0:
                why = f'Back-off pulling image "{reference}": {why}'
                return Verdict("failed", None, "ImagePullBackOff", why, retry=remaining)
        self._backoff.next(key)
        task = asyncio.create_task(self._pull(reference, auth), name=f"pull {reference}")
        self._pulls[reference] = _Pull(task, {uid})
        return Verdict("pulling", None, "ContainerCreating", fresh=True)

    async def _pull(self, reference: str, auth: Callable[[], Any]) -> None:
        why = ""
        try:
            async with self._slots:
                await self._runtime.pull(reference, await auth())
        except asyncio.CancelledError:
            raise
        except RuntimeFault as error:
            why = str(error)
        except Exception as error:
            log.exception("pulling %s", reference)
            why = f"{type(error).__name__}: {error}"
        pull = self._pulls.pop(reference)
        for uid in pull.waiting:
            if why:
                self._failed[uid, reference] = (self._clock(), why, False)
            else:
                self._failed.pop((uid, reference), None)
                self._backoff.reset((uid, reference))
                self._pulled.add((uid, reference))
            self._wake(uid)

    def forget(self, uid: str) -> None:
        """The pod is gone."""
        for key in [key for key in self._failed if key[0] == uid]:
            del self._failed[key]
            self._backoff.reset(key)
        self._pulled = {key for key in self._pulled if key[0] != uid}

    async def close(self) -> None:
        tasks = [pull.task for pull in self._pulls.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._pulls.clear()


def credentials(docker_config: bytes, reference: str) -> dict[str, str] | None:
    """The entry of a `kubernetes.io/dockerconfigjson` secret for an image's registry, as the Engine wants it.

    None without one.
    """
    try:
        auths = json.loads(docker_config).get("auths") or {}
    except (ValueError, AttributeError):
        return None
    first = reference.split("/", 1)[0]
    registry = (
        first if "/" in reference and ("." in first or ":" in first or first == "localhost") else "docker.io"
    )
    for name, entry in auths.items():
        host = str(name).removeprefix("https://").removeprefix("http://").split("/", 1)[0]
        if host == registry or (registry == "docker.io" and host == "index.docker.io"):
            user, password = str(entry.get("username") or ""), str(entry.get("password") or "")
            if not user and entry.get("auth"):
                user, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
            return {"username": user, "password": password, "serveraddress": str(name)}
    return None
