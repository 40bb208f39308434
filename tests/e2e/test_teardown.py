# SPDX-License-Identifier: GPL-3.0-or-later
"""`make quickstart-down`: nothing of the cluster is left, Docker is; a second time there is nothing to do."""

from __future__ import annotations

import re
from pathlib import Path

from .conftest import SYSTEMD, Cluster, containers, make, run

LEFT = [
    "/etc/navarch", "/opt/navarch", "/var/lib/navarch", "/etc/cni/net.d/10-navarch.conflist",
    "/etc/init.d/navarch-master", "/etc/init.d/navarch-kubelet", "/etc/systemd/system/navarch-master.service",
    "/etc/systemd/system/navarch-kubelet.service", "/run/navarch-master.pid", "/run/navarch-kubelet.pid",
    "/var/log/navarch-master.log", "/var/log/navarch-kubelet.log",
]  # fmt: skip


def processes() -> list[str]:
    """Command lines of what runs from /opt/navarch on this machine; hosts in containers have their own."""
    found = []
    here = Path("/proc/self/ns/pid").readlink()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if (path.parent / "ns/pid").readlink() != here:
                continue
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if "/opt/navarch/" in line:
            found.append(line)
    return found


def test_nothing_is_left_but_docker(cluster: Cluster) -> None:
    assert containers(), "nothing runs, so nothing can be shown to go"
    sleeper = ("docker", "run", "-d", "--pull=never", "--network=none", "navarch-demo:1", "sleep", "120")
    outsider = run(*sleeper).stdout.strip()
    try:
        done = make("quickstart-down")
        assert done.returncode == 0, done.stdout + done.stderr
        assert containers() == {}
        assert [path for path in LEFT if Path(path).exists()] == []
        assert processes() == []
        tables = run("nft", "list", "tables").stdout.splitlines()
        assert not {"table ip navarch", "table ip navarch_services"} & set(tables)
        assert "navarch0" not in run("iptables", "-S", "FORWARD").stdout
        assert run("ip", "link", "show", "navarch0").returncode != 0
        assert "10.244." not in run("ip", "route").stdout
        assert "/var/lib/navarch" not in Path("/proc/mounts").read_text()
        assert "navarch" not in run("systemctl", "list-unit-files").stdout if SYSTEMD else True
        assert outsider in run("docker", "ps", "-q", "--no-trunc").stdout, "somebody else's container is gone"
    finally:
        run("docker", "rm", "-f", outsider)
        run("docker", "rmi", "-f", "navarch-demo:1")


def test_a_second_time_there_is_nothing_to_do(cluster: Cluster) -> None:
    done = make("quickstart-down")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^localhost +: .* changed=0 ", done.stdout, re.MULTILINE), done.stdout
