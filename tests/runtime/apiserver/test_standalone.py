# SPDX-License-Identifier: GPL-3.0-or-later
"""The standalone control plane with simulated nodes, as somebody who tries things starts it."""

from __future__ import annotations

import json
import time
from pathlib import Path

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
