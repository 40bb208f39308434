# SPDX-License-Identifier: GPL-3.0-or-later
"""Who logs in need not be root: sudo that asks for a password, a login whose shell has something to say."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from .conftest import NODES, Hosts

USER, PASSWORD = "captain", "not-a-secret"
SET_UP = f"""
useradd -m -s /bin/bash {USER}; echo {USER}:{PASSWORD} | chpasswd
install -d -o {USER} /home/{USER}/.ssh; install -o {USER} /root/.ssh/authorized_keys /home/{USER}/.ssh/
sed -i '1i echo 200 welcomes to you, and systemd' /home/{USER}/.bashrc
echo '{USER} ALL=(ALL) ALL' >/etc/sudoers.d/{USER}
"""
TAKE_AWAY = f"loginctl terminate-user {USER} 2>/dev/null; rm -f /etc/sudoers.d/{USER}; userdel -rf {USER}"


@pytest.fixture
def talkative(hosts: Hosts) -> Iterator[tuple[str, ...]]:
    """How to log in as somebody else, as words of a playbook."""
    for node in NODES:
        hosts.on(node, "sh", "-ec", SET_UP)
    yield ("-e", f"ansible_user={USER}", "-e", f"ansible_become_password={PASSWORD}")
    for node in NODES:
        hosts.on(node, "sh", "-c", f"{TAKE_AWAY}; true")


def test_words_before_the_answer_are_no_answer(hosts: Hosts, talkative: tuple[str, ...]) -> None:
    """All of the cluster is found as it is: nothing changes, and nothing is taken for missing."""
    said = hosts.playbook("site", *talkative)
    assert set(re.findall(r"changed=(\d+)", said)) == {"0"}, said
    hosts.on("node3", "systemctl", "stop", "navarch-kubelet", "docker.socket", "docker")
    said = hosts.playbook("site", *talkative)
    assert dict(re.findall(r"(node\d) +:.* changed=(\d+)", said)) == {
        "node1": "0",
        "node2": "0",
        "node3": "2",  # the Engine and the kubelet, started
    }, said
