# SPDX-License-Identifier: GPL-3.0-or-later
"""Master and kubelet run under systemd with what their units take from them, which the kernel confirms."""

from __future__ import annotations

from .conftest import NODES, Hosts

MASTER, KUBELET = "navarch-master", "navarch-kubelet"


def shown(hosts: Hosts, node: str, unit: str, *names: str) -> dict[str, str]:
    lines = hosts.on(node, "systemctl", "show", unit, f"--property={','.join(names)}").splitlines()
    return dict(line.split("=", 1) for line in lines)


def process(hosts: Hosts, node: str, unit: str) -> dict[str, str]:
    """What the kernel says of its main process."""
    pid = shown(hosts, node, unit, "MainPID")["MainPID"]
    lines = hosts.on(node, "cat", f"/proc/{pid}/status").splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)} | {
        "mounts": hosts.on(node, "cat", f"/proc/{pid}/mountinfo"),
        "mnt": hosts.on(node, "readlink", f"/proc/{pid}/ns/mnt"),
    }


def test_the_master_runs_without_what_it_does_not_need(hosts: Hosts) -> None:
    state = shown(hosts, "node1", MASTER, "ActiveState", "SubState", "Type", "NRestarts")
    assert state == {"ActiveState": "active", "SubState": "running", "Type": "notify", "NRestarts": "0"}
    told = process(hosts, "node1", MASTER)
    assert int(told["CapBnd"], 16) == int(told["CapEff"], 16) == 0
    assert (told["NoNewPrivs"], told["Seccomp"]) == ("1", "2")
    root = next(line.split() for line in told["mounts"].splitlines() if line.split()[4] == "/")
    assert root[5].split(",")[0] == "ro"
    kept = next(
        line.split() for line in told["mounts"].splitlines() if line.split()[4] == "/var/lib/navarch/master"
    )
    assert kept[5].split(",")[0] == "rw"


def test_the_kubelet_stays_in_the_hosts_namespaces(hosts: Hosts) -> None:
    for node in NODES:
        state = shown(
            hosts, node, KUBELET, "ActiveState", "Type", "KillMode", "OOMScoreAdjust", "LockPersonality"
        )
        assert state == {
            "ActiveState": "active",
            "Type": "notify",
            "KillMode": "process",
            "OOMScoreAdjust": "-900",
            "LockPersonality": "yes",
        }
        told = process(hosts, node, KUBELET)
        assert told["Seccomp"] == "2"
        assert told["mnt"] == hosts.on(node, "readlink", "/proc/1/ns/mnt")
