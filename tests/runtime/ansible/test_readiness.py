# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for real containers: one that ends at once is ready for a moment, and that is not what is meant."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from pods_support import IMAGE, Live

pytestmark = [pytest.mark.docker, pytest.mark.root]
Result = dict[str, Any]
Direct = Callable[..., Result]
WAITING = {"wait": True, "wait_timeout": 90}


@pytest.fixture(scope="module")
def kubeconfig(live: Live) -> str:
    live.pod("readiness-first")  # which waits until the kubelet has joined
    return str(live.admin)


def pod(name: str, script: str, **more: Any) -> dict[str, Any]:
    container = {"name": "main", "image": IMAGE, "command": ["sh", "-c", script], **more}
    return {"name": name, "containers": [container], "termination_grace_period": 0, **WAITING}


SAID = "exit code 3, Error); its last line: no such table"


def test_a_container_that_ends_at_once(direct: Direct) -> None:
    result = direct("pod", **pod("ends", "echo begun; echo no such table; exit 3"))
    assert result["failed"], result
    assert result["changed"]
    assert result["msg"].startswith("pod ends will not be Ready: container main: CrashLoopBackOff: ")
    assert result["msg"].endswith(SAID)


def test_such_containers_of_a_replication_controller_and_in_a_manifest(direct: Direct) -> None:
    template = pod("ends", "echo no such table; exit 3")
    template = {"labels": {"app": "ends"}, "containers": template["containers"]}
    controller = {"name": "ends", "replicas": 2, "template": template, **WAITING}
    result = direct("replication_controller", **controller)
    try:
        assert result["failed"], result
        assert result["msg"].startswith("replication controller ends will not be ready: pod ends-")
        assert result["msg"].endswith(SAID)
    finally:
        direct("replication_controller", name="ends", state="absent", wait=True)
    spec = {
        "containers": [
            {"name": "main", "image": IMAGE, "command": ["sh", "-c", "echo no such table; exit 3"]}
        ]
    }
    definition = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "ends-too"}, "spec": spec}
    result = direct("manifest", definition=definition, **WAITING)
    assert result["failed"], result
    assert SAID in result["msg"]


def test_a_container_that_ends_and_is_not_started_again(direct: Direct) -> None:
    result = direct("pod", **pod("ends-once", "echo no such table; exit 3") | {"restart_policy": "Never"})
    assert result["failed"], result
    assert result["msg"] == (
        "pod ends-once will not be Ready: container main: exit code 3, Error; its last line: no such table"
    )


def test_what_lasts_counts_at_once_where_a_probe_vouches_for_it_or_it_was_there(direct: Direct) -> None:
    task = pod("lasts", "exec sleep 1000") | {"min_ready_seconds": 4}
    began = time.monotonic()
    assert direct("pod", **task)["changed"]
    assert time.monotonic() - began >= 3
    began = time.monotonic()
    time.sleep(1.5)  # its times are in whole seconds
    again = direct("pod", **task)
    assert (again["changed"], again.get("failed", False)) == (False, False)
    ready = {"exec": {"command": ["true"]}, "period_seconds": 1}
    probed = pod("probed", "exec sleep 1000", readiness_probe=ready) | {"min_ready_seconds": 60}
    assert direct("pod", **probed | {"wait_timeout": 40})["changed"]
