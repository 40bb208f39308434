# SPDX-License-Identifier: GPL-3.0-or-later
"""A stranger's way: a fresh host, ansible-core and requests, the tarball into an empty place, quickstart.

All of it runs inside a host of its own (a container with systemd), with nothing of this tree but the tarball.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import BIN, ROOT, run

NAME = os.environ.get("INSTALL_HOSTS_NAME", "navarch-install")
HOST = f"{NAME}-1"
TOOLS = {
    "HOSTS_NAME": NAME,
    "HOSTS_SUBNET": os.environ.get("INSTALL_HOSTS_SUBNET", "172.31.106.0/24"),
}
# What is in the stranger's environment; PyYAML comes with ansible-core.
CONTROLLER = ("ansible-core", "requests")
PLACE = "/root/empty"
FETCH = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=5).read().decode())"
LEFT = ("/etc/navarch", "/opt/navarch", "/var/lib/navarch", "/etc/systemd/system/navarch-master.service")


def on_host(*command: str, seconds: float = 300, **env: str) -> str:
    settings = [word for key, value in env.items() for word in ("-e", f"{key}={value}")]
    done = run("docker", "exec", *settings, HOST, *command, seconds=seconds)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout[-6000:]}{done.stderr[-2000:]}"
    return done.stdout


def playbook(name: str, *words: str, seconds: float = 900) -> str:
    """A playbook of the collection, found in the place it was installed to. Returns what it said."""
    return on_host(
        "/root/venv/bin/ansible-playbook", f"navarch.cluster.{name}", *words,
        "-e", "runtime_wheel_dir=/root/wheels",
        seconds=seconds, ANSIBLE_COLLECTIONS_PATH=PLACE, ANSIBLE_NOCOLOR="1", LC_ALL="C.UTF-8",
    )  # fmt: skip


def changed(output: str) -> int:
    recap = re.search(r"^localhost +: .* changed=(\d+) .* failed=0 ", output, re.MULTILINE)
    assert recap, output[-3000:]
    return int(recap.group(1))


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A fresh host with a Python environment, the runtime's wheels, and the collection in an empty place."""
    if os.geteuid() != 0:
        pytest.fail("a host is a container with many capabilities: run this test as root")
    folder = tmp_path_factory.mktemp("install")
    try:
        made = run(ROOT / "tools/hosts.sh", "up", "1", seconds=900, **TOOLS)
        assert made.returncode == 0, made.stdout + made.stderr
        built = run(BIN / "ansible-galaxy", "collection", "build", "--output-path", folder)
        assert built.returncode == 0, built.stdout + built.stderr
        tarball = next(folder.glob("*.tar.gz"))
        wheels = folder / "wheels"
        pip = (BIN / "python", "-m", "pip", "download", "--quiet", "--only-binary=:all:")
        fetched = run(
            *pip, "--python-version", "3.11", "--dest", wheels, *CONTROLLER,
            "-c", "tools/constraints.txt", "-r", "roles/runtime/files/constraints.txt", seconds=300,
        )  # fmt: skip
        assert fetched.returncode == 0, fetched.stdout + fetched.stderr
        copy(wheels, "/root/wheels")
        copy(tarball, f"/root/{tarball.name}")
        on_host("python3", "-m", "venv", "/root/venv")
        on_host("/root/venv/bin/pip", "install", "--quiet", "--no-index", "-f", "/root/wheels", *CONTROLLER)
        on_host(
            "/root/venv/bin/ansible-galaxy", "collection", "install", "--offline",
            "-p", PLACE, f"/root/{tarball.name}",
        )  # fmt: skip
        yield HOST
    finally:
        if not os.environ.get("KEEP_HOSTS"):
            run(ROOT / "tools/hosts.sh", "down", **TOOLS)


def copy(source: Path, target: str) -> None:
    done = run("docker", "cp", f"{source}", f"{HOST}:{target}", seconds=120)
    assert done.returncode == 0, done.stderr


def test_quickstart_from_an_installed_tarball_and_back(host: str) -> None:
    first = playbook("quickstart")
    assert changed(first) > 10
    addresses = dict(re.findall(r"((?:hello|web-)\w*) +Running +(10\.244\.\d+\.\d+) ", first))
    assert len(addresses) == 4, first[-3000:]
    for name, address in addresses.items():
        page = on_host("python3", "-c", FETCH, f"http://{address}:8080/")
        assert page.strip() == f"Hello from {name}"
    again = playbook("quickstart")
    assert changed(again) == 0, again
    gone = playbook("teardown", "-e", "navarch_hosts=localhost", "-e", "navarch_confirm=false")
    assert changed(gone) > 0
    left = on_host("sh", "-c", f"ls -d {' '.join(LEFT)} 2>/dev/null; docker ps -q; true")
    assert left == ""
    assert "active" in on_host("systemctl", "is-active", "docker"), "Docker itself stays"
