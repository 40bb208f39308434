# SPDX-License-Identifier: GPL-3.0-or-later
"""``manifest`` with ``wait: true`` on workloads that others make pods for: real containers, of which those of
the newest template must be ready, and stay so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pods_support import IMAGE, Live

pytestmark = [pytest.mark.docker, pytest.mark.root]
Result = dict[str, Any]
Direct = Callable[..., Result]
LASTS = "exec sleep 1000"
ENDS = "echo begun; echo no such table; exit 3"
SAID = "exit code 3, Error); its last line: no such table"
KINDS = ["Deployment", "ReplicaSet"]


@pytest.fixture(scope="module")
def kubeconfig(live: Live) -> str:
    live.pod("workloads-first")  # which waits until the kubelet has joined
    return str(live.admin)


@pytest.fixture
def apply(direct: Direct) -> Iterator[Direct]:
    """apply(workload, **options): the result of ``manifest`` with ``wait: true``. All goes at the end."""
    applied: dict[tuple[str, str], dict[str, Any]] = {}

    def run(definition: dict[str, Any], **options: Any) -> Result:
        applied[definition["kind"], definition["metadata"]["name"]] = definition
        return direct("manifest", definition=definition, **{"wait": True, "wait_timeout": 60, **options})

    yield run
    for definition in applied.values():
        direct("manifest", definition=definition, state="absent", wait=True, wait_timeout=60)


def workload(kind: str, script: str, replicas: int = 2, **spec: Any) -> dict[str, Any]:
    labels = {"app": f"held-{kind.lower()}"}
    container = {"name": "main", "image": IMAGE, "command": ["sh", "-c", script]}
    template = {
        "metadata": {"labels": labels},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": f"held-{kind.lower()}"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template, **spec},
    }


@pytest.mark.parametrize("kind", KINDS)
def test_containers_that_end_at_once_are_named_before_the_time_is_up(apply: Direct, kind: str) -> None:
    began = time.monotonic()
    result = apply(workload(kind, ENDS), wait_timeout=300)
    assert result["failed"], result
    assert result["changed"]
    name = f"held-{kind.lower()}"
    assert f": {kind} {name} will not be ready: pod {name}-" in result["msg"], result["msg"]
    assert result["msg"].endswith(SAID)
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("kind", KINDS)
def test_pods_count_when_they_have_been_ready_for_so_long(apply: Direct, kind: str) -> None:
    began = time.monotonic()
    made = apply(workload(kind, LASTS), min_ready_seconds=4)
    assert (made["changed"], made.get("failed", False)) == (True, False), made
    assert time.monotonic() - began >= 3
    time.sleep(1.5)  # its times are in whole seconds
    began = time.monotonic()
    again = apply(workload(kind, LASTS), min_ready_seconds=4)
    assert (again["changed"], again.get("failed", False)) == (False, False), again
    assert time.monotonic() - began < 3
    short = apply(workload(kind, LASTS, replicas=3), min_ready_seconds=60, wait_timeout=3)
    assert short["failed"], short
    assert f"wait_timeout: {kind} held-{kind.lower()} is not ready" in short["msg"], short["msg"]
    assert "not yet for 60 s (min_ready_seconds)" in short["msg"]


def test_of_a_deployment_the_pods_of_the_newest_template_are_meant(apply: Direct) -> None:
    """Those of the one before may go on, end or hang: they are being replaced."""
    kind = "Deployment"
    assert not apply(workload(kind, LASTS)).get("failed")
    worse = apply(workload(kind, ENDS), wait_timeout=300)
    assert worse["failed"], worse
    assert ": Deployment held-deployment will not be ready: pod held-deployment-" in worse["msg"]
    assert worse["msg"].endswith(SAID)
    better = apply(workload(kind, LASTS + " # again"))
    assert (better["changed"], better.get("failed", False)) == (True, False), better
    (item,) = better["objects"]
    status = item["object"]["status"]
    assert (status["replicas"], status["updatedReplicas"], status["availableReplicas"]) == (2, 2, 2)


def test_a_deadline_of_the_deployments_own_ends_the_wait(apply: Direct) -> None:
    spec = workload("Deployment", LASTS, progressDeadlineSeconds=2)
    spec["spec"]["template"]["spec"]["nodeSelector"] = {"no": "node"}
    result = apply(spec, wait_timeout=300)
    assert result["failed"], result
    assert "ProgressDeadlineExceeded" in result["msg"]
