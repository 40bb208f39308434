# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd's part towards a service that gives it sockets to keep (sd_notify(3), sd_listen_fds(3))."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

#: Puts what was kept where sd_listen_fds(3) says, and becomes the service.
_BECOME = """
import os, sys
fds = [int(word) for word in sys.argv[1].split(",") if word]
for place, fd in enumerate(fds):
    os.dup2(fd, 3 + place, inheritable=True)
if fds:
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.argv[3], sys.argv[3:])
"""


class ServiceManager:
    """Starts a program with what an earlier one gave to keep."""

    def __init__(self, folder: Path) -> None:
        self._path = str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self._path)
        self._ended = False
        self.kept: dict[str, int] = {}
        self.ready = threading.Event()
        self._thread = threading.Thread(target=self._hear, name="service manager")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = True
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"END", self._path)
        self._thread.join()
        self._socket.close()
        for fd in self.kept.values():
            os.close(fd)

    def start(self, *command: str, log: Path) -> subprocess.Popen[bytes]:
        self.ready.clear()
        # Far from where they are to be.
        fds = [fcntl.fcntl(fd, fcntl.F_DUPFD, 50) for fd in self.kept.values()]
        try:
            words: Sequence[str] = (",".join(map(str, fds)), ":".join(self.kept), *command)
            with open(log, "ab") as file:
                return subprocess.Popen(
                    [sys.executable, "-c", _BECOME, *words],
                    env={**os.environ, "NOTIFY_SOCKET": self._path},
                    pass_fds=fds,
                    stdout=file,
                    stderr=file,
                )
        finally:
            for fd in fds:
                os.close(fd)

    def _hear(self) -> None:
        while not self._ended:
            data, fds, _, _ = socket.recv_fds(self._socket, 4096, 8)
            lines = dict(line.split("=", 1) for line in data.decode().splitlines() if "=" in line)
            name = lines.get("FDNAME", "")
            if lines.get("FDSTORE") == "1":
                for fd in fds:
                    self.kept[name] = fd
            elif lines.get("FDSTOREREMOVE") == "1" and name in self.kept:
                os.close(self.kept.pop(name))
            if lines.get("READY") == "1":
                self.ready.set()
