# SPDX-License-Identifier: GPL-3.0-or-later
"""A real etcd of one or more members on free loopback ports, for the tests of the store."""

from __future__ import annotations

import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ports_support import free_ports

TOKEN = "navarch-tests"


@dataclass
class Member:
    name: str
    folder: Path
    client: int
    peer: int
    cluster: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.client}"

    def start(self) -> None:
        url, peer = f"http://{self.endpoint}", f"http://127.0.0.1:{self.peer}"
        with (self.folder.parent / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    "etcd",
                    *("--name", self.name, "--data-dir", str(self.folder)),
                    *("--listen-client-urls", url, "--advertise-client-urls", url),
                    *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
                    *("--initial-cluster", self.cluster, "--initial-cluster-token", TOKEN),
                    *(
                        "--initial-cluster-state",
                        "new",
                        "--heartbeat-interval",
                        "50",
                        "--election-timeout",
                        "500",
                    ),
                ],
                stdout=log,
                stderr=log,
            )

    def stop(self, *, kill: bool = False) -> None:
        if self.process is None:
            return
        if kill:
            self.process.kill()
        else:
            self.process.terminate()
        self.process.wait(30)
        self.process = None


@dataclass
class Etcd:
    members: list[Member]
    names: int = field(default=0)

    @property
    def endpoints(self) -> list[str]:
        return [member.endpoint for member in self.members]

    def root(self) -> str:
        """A root that no other store of this etcd has."""
        self.names += 1
        return f"/test{self.names}"

    def wait(self) -> None:
        deadline = time.monotonic() + 60
        while not all(self._healthy(member) for member in self.members):
            assert time.monotonic() < deadline, "etcd does not get healthy"
            time.sleep(0.05)

    def _healthy(self, member: Member) -> bool:
        done = subprocess.run(
            ["etcdctl", "--endpoints", member.endpoint, "endpoint", "health"],
            env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"},
            capture_output=True,
        )
        return done.returncode == 0


def start(folder: Path, members: int = 1) -> Etcd:
    if shutil.which("etcd") is None:
        pytest.fail("etcd is missing: the step machine of `make test` installs it")
    ports = free_ports(2 * members)
    names = [f"m{n}" for n in range(members)]
    peers = ports[members:]
    cluster = ",".join(f"{name}=http://127.0.0.1:{port}" for name, port in zip(names, peers, strict=True))
    etcd = Etcd([Member(name, folder / name, ports[n], peers[n], cluster) for n, name in enumerate(names)])
    for member in etcd.members:
        member.start()
    etcd.wait()
    return etcd


def stop(etcd: Etcd) -> None:
    for member in etcd.members:
        member.stop(kill=True)
