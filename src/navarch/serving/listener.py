# SPDX-License-Identifier: GPL-3.0-or-later
"""Accepting connections and their TLS handshakes: each has a place before it costs anything, and a flood of
new ones leaves time for those that are there.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable

from navarch.serving.peers import Place, Places

#: Accepted at a time: what comes between, requests are answered. A handshake is about a millisecond.
ACCEPTED = 8

#: Seconds a TLS handshake and the end of a TLS connection may take.
HANDSHAKE_SECONDS = 10.0
SHUTDOWN_SECONDS = 2.0

#: Seconds after which to accept again when there is no open file left.
_PAUSE = 0.1


class Listener:
    def __init__(
        self,
        sock: socket.socket,
        tls: ssl.SSLContext,
        places: Places,
        protocol: Callable[[Place], asyncio.Protocol],
    ) -> None:
        """sock: bound and listening; it is closed with the listener."""
        self._sock = sock
        self._tls = tls
        self._places = places
        self._protocol = protocol
        self._handshakes: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._sock.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._listen()

    def _listen(self) -> None:
        self._pause = None
        self._loop.add_reader(self._sock, self._accept)

    def _accept(self) -> None:
        for _ in range(ACCEPTED):
            try:
                sock, address = self._sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._loop.remove_reader(self._sock)
                    self._pause = self._loop.call_later(_PAUSE, self._listen)
                    return
                continue  # that one went away
            place = self._places.arrive(address[0])
            if place is None:
                sock.close()
                continue
            sock.setblocking(False)
            task = self._loop.create_task(self._connect(sock, place), name="TLS handshake")
            place.close = task.cancel
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    async def _connect(self, sock: socket.socket, place: Place) -> None:
        try:
            await self._loop.connect_accepted_socket(
                lambda: self._protocol(place),
                sock,
                ssl=self._tls,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=SHUTDOWN_SECONDS,
            )
        except (OSError, asyncio.CancelledError):
            # No TLS, none in time, gone, or its place was given away.
            place.leave()
            sock.close()

    async def close(self) -> None:
        """Take no more; what is not connected yet ends. Idempotent."""
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock)
            self._sock.close()
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        for task in self._handshakes:
            task.cancel()
        await asyncio.gather(*self._handshakes, return_exceptions=True)
