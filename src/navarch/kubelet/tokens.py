# SPDX-License-Identifier: GPL-3.0-or-later
"""Service account tokens of this node's pods: requested from the master, cached, renewed in time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import msgspec

from navarch.api.authentication.tokenreview import BoundObjectReference, TokenRequest, TokenRequestSpec
from navarch.api.core.pod.pod import Pod
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import ObjectMeta
from navarch.client.base import Client

#: As the reference kubelet: at four fifths of its life, at the latest after a day.
_SHARE = 0.8
_LONGEST = 86_400.0
#: Seconds until a renewal that failed is tried again.
_AGAIN = 15.0

_Key = tuple[str, str, int]  # (pod's uid, audience, seconds)


class TokenUnavailable(Exception):
    """The master gave no token; the text says why."""


class _Held(msgspec.Struct, frozen=True):
    token: str
    #: On the loop's clock.
    renew_at: float
    ends_at: float


class TokenSource:
    """wake: called with a pod's uid when one of its tokens should be requested again."""

    def __init__(self, client: Client, wake: Callable[[str], None]) -> None:
        self._client = client
        self._wake = wake
        self._held: dict[_Key, _Held] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    async def get(self, pod: Pod, audience: str, seconds: int) -> str:
        """Raises TokenUnavailable."""
        uid = pod.metadata.uid or ""
        key = (uid, audience, seconds)
        loop = asyncio.get_running_loop()
        held = self._held.get(key)
        if held is not None and loop.time() < held.renew_at:
            return held.token
        try:
            held = self._held[key] = await self._ask(pod, audience, seconds)
            self._wake_at(uid, held.renew_at)
        except StatusError as error:
            if held is None or loop.time() >= held.ends_at:
                raise TokenUnavailable(f"no service account token: {error}") from None
            self._wake_at(uid, loop.time() + _AGAIN)  # what we have is good for a while yet
        return held.token

    async def _ask(self, pod: Pod, audience: str, seconds: int) -> _Held:
        meta = pod.metadata
        account = (pod.spec.service_account_name if pod.spec else None) or "default"
        ref = BoundObjectReference(kind="Pod", api_version="v1", name=meta.name, uid=meta.uid)
        request = TokenRequest(
            metadata=ObjectMeta(name=account, namespace=meta.namespace),
            spec=TokenRequestSpec(
                audiences=[audience] if audience else None, expiration_seconds=seconds, bound_object_ref=ref
            ),
        )
        asked_at = asyncio.get_running_loop().time()
        answer = await self._client.create_token(request)
        if answer.status is None or not answer.status.token:
            raise TokenUnavailable("the master answered without a token")
        life = float(answer.spec.expiration_seconds or seconds)
        renew = min(life * _SHARE, _LONGEST) * random.uniform(0.95, 1.0)
        return _Held(answer.status.token, asked_at + renew, asked_at + life)

    def _wake_at(self, uid: str, moment: float) -> None:
        """An earlier pending time wins."""
        timer = self._timers.get(uid)
        if timer is not None and not timer.cancelled():
            if asyncio.get_running_loop().time() < timer.when() <= moment:
                return
            timer.cancel()
        self._timers[uid] = asyncio.get_running_loop().call_at(moment, self._wake, uid)

    def release(self, uid: str) -> None:
        """The pod is gone."""
        timer = self._timers.pop(uid, None)
        if timer is not None:
            timer.cancel()
        for key in [key for key in self._held if key[0] == uid]:
            del self._held[key]

    def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
