# SPDX-License-Identifier: GPL-3.0-or-later
"""The standalone control plane with simulated nodes, as somebody who tries things starts it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from apiserver_support import Standalone


def test_more_nodes_than_the_usual_range_of_pods_has_room_for(tmp_path: Path) -> None:
    server = Standalone(tmp_path, "--nodes", "300").start()
    try:
        end = time.monotonic() + 90
        ranges: list[str] = []
        while len(ranges) < 300 and time.monotonic() < end:
            ranges = server.kubectl("get", "nodes", "-o", "jsonpath={.items[*].spec.podCIDR}").split()
        assert len(set(ranges)) == len(ranges) == 300
        beyond = server.kubectl(
            "get", "nodes", "-o", "jsonpath={.items[?(@.spec.podCIDR=='10.129.43.0/24')].metadata.name}"
        )
        containers = [{"name": "c", "image": "i"}]
        pod = {"nodeName": beyond, "containers": containers}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "last"}, "spec": pod}
        server.kubectl("create", "-f", "-", stdin=json.dumps(body))
        server.kubectl("wait", "pod", "last", "--for=jsonpath={.status.phase}=Running", "--timeout=35s")
    finally:
        assert server.stop() == 0


def test_help_tells_what_simulated_pods_do_not_do(tmp_path: Path) -> None:
    """And so it is: nothing runs, and nothing ends."""
    told = subprocess.run(
        [sys.executable, "-m", "navarch", "standalone", "--help"], capture_output=True, text=True, check=True
    )
    said = " ".join(told.stdout.split())
    assert "Running and Ready at once" in said
    assert "Logs, exec, attach and port-forward are refused" in said
    server = Standalone(tmp_path, "--nodes", "1").start()
    try:
        ends = {"name": "c", "image": "no.such/image", "command": ["false"]}
        spec = {"restartPolicy": "Never", "initContainers": [{**ends, "name": "i"}], "containers": [ends]}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "still"}, "spec": spec}
        server.kubectl("create", "-f", "-", stdin=json.dumps(body))
        server.kubectl("wait", "pod", "still", "--for=condition=Ready", "--timeout=35s")
        for command in (["logs", "still"], ["exec", "still", "--", "true"]):
            with pytest.raises(AssertionError, match="runs no kubelet"):
                server.kubectl(*command)
    finally:
        assert server.stop() == 0
