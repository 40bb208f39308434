# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets that a service manager keeps: given to it once, taken over as they are, given up when the address
is another. The manager is a socket of the test's.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from navarch.network.dns.sockets import Store

NAMES = ["dns-udp", "dns-tcp"]


class Manager:
    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.setblocking(False)
        self.kept: dict[str, int] = {}

    def heard(self) -> list[tuple[str, str]]:
        """(what, name) of all that was told since."""
        found = []
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self._socket, 4096, 4)
            except BlockingIOError:
                return found
            lines = dict(line.split("=", 1) for line in data.decode().splitlines())
            name = lines["FDNAME"]
            for fd in fds:
                self.kept[name] = fd
            if "FDSTOREREMOVE" in lines:
                os.close(self.kept.pop(name))
            found.append(("give" if fds else "remove", name))

    def close(self) -> None:
        self._socket.close()
        for fd in self.kept.values():
            os.close(fd)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    here = Manager(tmp_path / "notify")
    yield here
    here.close()


def again(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> Store:
    """As in our next life; what was kept is where it is, not at the numbers that systemd has for it."""
    first = min(manager.kept.values())
    ordered = sorted(manager.kept, key=lambda name: manager.kept[name])
    place = max(map(int, os.listdir("/proc/self/fd"))) + 1  # where none is open
    copies = [fcntl.fcntl(manager.kept[name], fcntl.F_DUPFD_CLOEXEC, place) for name in ordered]
    assert first and copies == list(range(place, place + len(copies)))
    monkeypatch.setattr("navarch.network.dns.sockets._FIRST_FD", place)
    environment = {
        "NOTIFY_SOCKET": manager.path,
        "LISTEN_PID": str(os.getpid()),
        "LISTEN_FDS": str(len(copies)),
        "LISTEN_FDNAMES": ":".join(ordered),
    }
    store = Store(environment)
    assert environment == {"NOTIFY_SOCKET": manager.path}
    return store


def test_what_is_kept_is_taken_over_with_what_waits_in_it(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store({"NOTIFY_SOCKET": manager.path})
    udp, tcp = store.sockets("127.0.0.1", 0)
    assert manager.heard() == [("give", name) for name in NAMES]
    address = udp.getsockname()
    assert tcp.getsockname() == address
    # The same life asks again, after a fault: the address is not free, but ours.
    udp.close()
    tcp.close()
    for sock in store.sockets("127.0.0.1", address[1]):
        assert sock.getsockname() == address
        sock.close()
    assert manager.heard() == []
    # Nobody is there now.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"question", address)
        with socket.create_connection(address, 1.0):
            udp, tcp = again(manager, monkeypatch).sockets("127.0.0.1", address[1])
            assert udp.recv(99) == b"question"
            tcp.accept()[0].close()
        udp.close()
        tcp.close()
    assert manager.heard() == []


def test_sockets_of_another_address_are_given_up(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    for sock in Store({"NOTIFY_SOCKET": manager.path}).sockets("127.0.0.1", 0):
        sock.close()
    manager.heard()
    udp, tcp = again(manager, monkeypatch).sockets("127.0.0.2", 0)
    assert udp.getsockname()[0] == "127.0.0.2"
    assert sorted(manager.heard()) == sorted([*(("give", n) for n in NAMES), *(("remove", n) for n in NAMES)])
    udp.close()
    tcp.close()


def test_without_a_manager_there_is_nothing_to_keep() -> None:
    store = Store({"LISTEN_PID": "1", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "dns-udp:dns-tcp"})
    udp, tcp = store.sockets("127.0.0.1", 0)
    address = udp.getsockname()
    udp.close()
    tcp.close()
    for sock in store.sockets(*address):
        sock.close()
