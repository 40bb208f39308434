# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks while their master restarts: what waits rides over it, and tells truly what it has changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_support import Restarting, player, wait_for_nodes

Options = dict[str, Any]
SECONDS, AWAY = 5.0, 1.0
WAITING = {"wait": True, "wait_timeout": 120}


@pytest.fixture
def restarting(tmp_path: Path) -> Iterator[Restarting]:
    with Restarting(tmp_path, 2, SECONDS, AWAY) as master:
        wait_for_nodes(master.kubeconfig, 2)
        yield master


def pod(name: str, **more: Any) -> Options:
    containers = [{"name": "c", "image": "busybox:1"}]
    return {"navarch.cluster.pod": {"name": name, "containers": containers, **WAITING, **more}}


def controller(replicas: int) -> Options:
    template = {"labels": {"app": "rc"}, "containers": [{"name": "c", "image": "busybox:1"}]}
    options = {"name": "rc", "replicas": replicas, "template": template, **WAITING}
    return {"navarch.cluster.replication_controller": options}


def manifest(number: int) -> Options:
    definition = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"m{number}-{n}"}, "data": {"a": "b"}}
        for n in range(20)
    ]
    return {"navarch.cluster.manifest": {"definition": definition, **WAITING}}


def gone(name: str) -> Options:
    options = {"name": name, "state": "absent", "delete_grace_period": 0, **WAITING}
    return {"navarch.cluster.pod": options}


def test_a_play_of_waits_passes_while_the_master_restarts(
    restarting: Restarting, environment: dict[str, str], tmp_path: Path
) -> None:
    made = [task for n in range(5) for task in (pod(f"p{n}"), manifest(n))]
    tasks = [*made, controller(2), controller(3), *(pod(f"q{n}") for n in range(3)), *map(gone, ("p0", "p1"))]
    tasks += [controller(3), pod("q0"), gone("p0")]  # which change nothing
    assert len(tasks) == 20
    restarting.begin()
    results = player(environment, restarting.kubeconfig, tmp_path, 300)(*tasks)
    assert [result.get("msg") for result in results if result.get("failed")] == []
    assert [result["changed"] for result in results] == [True] * 17 + [False] * 3
    assert restarting.count >= 4
