# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of etcd's v3 API over gRPC, on whichever member answers.

A call that a member did not answer goes to the next one, so each call must be harmless when it is made twice:
the store's writes are compare-and-swap. Not here: what the bytes mean (`messages`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from navarch.store.base import StoreError, Unavailable

if TYPE_CHECKING:
    import grpc
    import grpc.aio

log = logging.getLogger(__name__)

#: Seconds that one member has to answer.
ATTEMPT = 5.0
#: Seconds after which a call that no member answered fails.
PATIENCE = 20.0
#: Seconds between two rounds over all members.
PAUSE = 0.1
_UNANSWERED = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "UNKNOWN")
#: A member that lost its leader ends a stream instead of letting it go silent.
_STREAM_METADATA = (("hasleader", "true"),)
_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Each store has connections of its own: etcd's answers to one must not wait for another's.
    ("grpc.use_local_subchannel_pool", 1),
)


class Refused(StoreError):
    """etcd answered with an error. `text` is etcd's own, as "etcdserver: requested lease not found"."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


@dataclass(frozen=True)
class Tls:
    """Files of PEM certificates: the authority of the members, and the client's own pair."""

    authority: str
    certificate: str = ""
    key: str = ""

    def credentials(self) -> grpc.ChannelCredentials:
        """Raises OSError for a file that cannot be read."""
        import grpc

        read = [
            Path(name).read_bytes() if name else None for name in (self.authority, self.key, self.certificate)
        ]
        return grpc.ssl_channel_credentials(*read)


@dataclass(frozen=True)
class Answer:
    data: bytes
    #: The call was made more than once: an earlier try may have taken effect.
    repeated: bool


class Client:
    def __init__(self, endpoints: Sequence[str], tls: Tls | None = None) -> None:
        """endpoints: HOST:PORT of each member, in the order they are tried.

        Raises ModuleNotFoundError where grpcio is not installed: only clusters on etcd need it.
        """
        import grpc.aio

        self._aio = grpc.aio
        if not endpoints:
            raise ValueError("no etcd endpoint is given")
        self._endpoints = tuple(endpoints)
        self._tls = tls
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._methods: dict[tuple[str, str], Any] = {}
        self._current = 0

    async def call(self, method: str, request: bytes) -> Answer:
        """One answer, as KV/Txn. Raises Unavailable when no member answered in time, Refused."""
        deadline = asyncio.get_running_loop().time() + PATIENCE
        tries = 0
        while True:
            endpoint = self._endpoints[self._current]
            tries += 1
            try:
                data: bytes = await self._method("unary_unary", method, endpoint)(request, timeout=ATTEMPT)
                return Answer(data, tries > 1)
            except self._aio.AioRpcError as error:
                why = str(self._failure(endpoint, error))
            self._move_on(endpoint)
            if asyncio.get_running_loop().time() >= deadline:
                raise Unavailable(f"etcd does not answer ({why})")
            if tries % len(self._endpoints) == 0:
                await asyncio.sleep(PAUSE)

    async def stream(self, method: str, request: bytes) -> AsyncGenerator[bytes, None]:
        """The answers on a stream of both sides, as Watch/Watch, until the caller stops reading.

        Raises Unavailable when the stream broke or ended, Refused.
        """
        endpoint = self._endpoints[self._current]
        call = self._method("stream_stream", method, endpoint)(metadata=_STREAM_METADATA)
        try:
            await call.write(request)
            async for data in self._answers(endpoint, call):
                yield data
        except asyncio.InvalidStateError:
            pass  # it had ended before it was written to
        except self._aio.AioRpcError as error:
            self._move_on(endpoint)
            raise self._failure(endpoint, error) from None
        finally:
            call.cancel()
        self._move_on(endpoint)
        raise Unavailable(f"etcd at {endpoint} ended a stream")

    async def download(self, method: str, request: bytes) -> AsyncGenerator[bytes, None]:
        """All answers to one request, as Maintenance/Snapshot. Raises Unavailable, Refused."""
        endpoint = self._endpoints[self._current]
        call = self._method("unary_stream", method, endpoint)(request)
        try:
            async for data in self._answers(endpoint, call):
                yield data
        finally:
            call.cancel()

    async def _answers(self, endpoint: str, call: Any) -> AsyncGenerator[bytes, None]:
        try:
            while (data := await call.read()) is not self._aio.EOF:
                yield data
        except self._aio.AioRpcError as error:
            self._move_on(endpoint)
            raise self._failure(endpoint, error) from None

    def _failure(self, endpoint: str, error: grpc.aio.AioRpcError) -> StoreError:
        """Unavailable for a member that did not answer. Raises Refused, which is etcd's answer."""
        code, details = error.code().name, error.details() or ""
        if code not in _UNANSWERED:
            raise Refused(code, details) from None
        return Unavailable(f"etcd at {endpoint}: {code}: {details}")

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close()
        self._channels.clear()
        self._methods.clear()

    def _move_on(self, endpoint: str) -> None:
        """Next member, unless another call has moved on already."""
        if self._endpoints[self._current] == endpoint:
            self._current = (self._current + 1) % len(self._endpoints)
            if len(self._endpoints) > 1:
                log.warning(
                    "etcd: %s does not answer, going on with %s", endpoint, self._endpoints[self._current]
                )

    def _method(self, kind: str, method: str, endpoint: str) -> Any:
        found = self._methods.get((method, endpoint))
        if found is None:
            channel = self._channels.get(endpoint)
            if channel is None:
                channel = self._channels[endpoint] = self._channel(endpoint)
            found = self._methods[(method, endpoint)] = getattr(channel, kind)(f"/etcdserverpb.{method}")
        return found

    def _channel(self, endpoint: str) -> grpc.aio.Channel:
        if self._tls is None:
            return self._aio.insecure_channel(endpoint, options=_OPTIONS)
        return self._aio.secure_channel(endpoint, self._tls.credentials(), options=_OPTIONS)
