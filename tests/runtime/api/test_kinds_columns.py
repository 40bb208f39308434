# SPDX-License-Identifier: GPL-3.0-or-later
"""What `kubectl get` shows of pods and nodes in many states, and how ages are written."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from navarch.api.core.node.node import NODE, Node
from navarch.api.core.pod.pod import POD, Pod
from navarch.api.machinery.durations import age, human_duration, seconds

CREATED = "2026-01-31T12:00:00Z"
NOW = seconds(CREATED) + 300


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (5, "5s"),
        (119, "119s"),
        (120, "2m"),
        (192, "3m12s"),
        (600, "10m"),
        (179 * 60, "179m"),
        (3 * 3600, "3h"),
        (4 * 3600 + 120, "4h2m"),
        (9 * 3600 + 120, "9h"),
        (47 * 3600, "47h"),
        (51 * 3600, "2d3h"),
        (8 * 86400, "8d"),
        (400 * 86400, "400d"),
        (2 * 365 * 86400, "2y"),
        (800 * 86400, "2y70d"),
        (9 * 365 * 86400 + 86400, "9y"),
    ],
)
def test_ages_are_written_as_kubectl_writes_them(length: float, text: str) -> None:
    assert human_duration(length) == text


@given(st.integers(0, 10**10))
def test_every_age_is_short(length: int) -> None:
    assert 2 <= len(human_duration(length)) <= 7


def test_no_time_has_no_age() -> None:
    assert age(None, NOW) == "<unknown>"
    assert age("then", NOW) == "<unknown>"
    assert age(CREATED, NOW) == "5m"


def status(
    name: str, *, ready: bool = False, restarts: int = 0, last: int | None = None, **state: Any
) -> dict[str, Any]:
    """A container's status; `last` is how many seconds ago its run before ended."""
    found: dict[str, Any] = {"name": name, "ready": ready, "restartCount": restarts, "state": state}
    if last is not None:
        minute, second = divmod(300 - last, 60)
        found["lastState"] = {
            "terminated": {"exitCode": 1, "finishedAt": f"2026-01-31T12:{minute:02d}:{second:02d}Z"}
        }
    return found


RUNNING: dict[str, Any] = {"running": {"startedAt": CREATED}}


def row(
    phase: str,
    containers: list[dict[str, Any]],
    *,
    init: list[dict[str, Any]] | None = None,
    meta: Any = None,
    **more: Any,
) -> list[Any]:
    spec = {
        "nodeName": "n1",
        "containers": [{"name": c["name"], "image": "i"} for c in containers]
        or [{"name": "a", "image": "i"}],
        "initContainers": more.pop("inits", None),
        "readinessGates": more.pop("gates", None),
    }
    body = {
        "metadata": {"name": "web", "creationTimestamp": CREATED, **(meta or {})},
        "spec": spec,
        "status": {
            "phase": phase,
            "containerStatuses": containers,
            "initContainerStatuses": init or [],
            **more,
        },
    }
    return POD.cells(msgspec.convert(body, Pod), NOW) if POD.cells else []


TWO_INITS = [{"name": "i1", "image": "i"}, {"name": "i2", "image": "i"}]
SIDECAR = [{"name": "s", "image": "i", "restartPolicy": "Always"}]
DONE = {"terminated": {"exitCode": 0, "reason": "Completed"}}
READY = [{"type": "Ready", "status": "True"}]


@pytest.mark.parametrize(
    ("found", "ready", "word", "restarts"),
    [
        (row("Pending", []), "0/1", "Pending", "0"),
        (
            row("Pending", [status("a", waiting={"reason": "ContainerCreating"})]),
            "0/1",
            "ContainerCreating",
            "0",
        ),
        (row("Running", [status("a", ready=True, **RUNNING)]), "1/1", "Running", "0"),
        (
            row("Running", [status("a", ready=True, **RUNNING), status("b", **RUNNING)]),
            "1/2",
            "Running",
            "0",
        ),
        (
            row("Running", [status("a", restarts=3, last=120, waiting={"reason": "CrashLoopBackOff"})]),
            "0/1",
            "CrashLoopBackOff",
            "3 (2m ago)",
        ),
        (
            row("Pending", [status("a", waiting={"reason": "ImagePullBackOff"})]),
            "0/1",
            "ImagePullBackOff",
            "0",
        ),
        (row("Succeeded", [status("a", **DONE)]), "0/1", "Completed", "0"),
        (row("Failed", [status("a", terminated={"exitCode": 1, "reason": "Error"})]), "0/1", "Error", "0"),
        (row("Failed", [status("a", terminated={"exitCode": 3})]), "0/1", "ExitCode:3", "0"),
        (row("Failed", [status("a", terminated={"exitCode": 137, "signal": 9})]), "0/1", "Signal:9", "0"),
        (row("Failed", [], reason="Evicted"), "0/1", "Evicted", "0"),
        (
            row("Running", [status("a", **DONE), status("b", ready=True, **RUNNING)], conditions=READY),
            "1/2",
            "Running",
            "0",
        ),
        (row("Running", [status("a", **DONE), status("b", ready=True, **RUNNING)]), "1/2", "NotReady", "0"),
        (
            row("Running", [status("a", ready=True, **RUNNING)], meta={"deletionTimestamp": CREATED}),
            "1/1",
            "Terminating",
            "0",
        ),
        (
            row("Succeeded", [status("a", **DONE)], meta={"deletionTimestamp": CREATED}),
            "0/1",
            "Completed",
            "0",
        ),
        (
            row("Running", [], meta={"deletionTimestamp": CREATED}, reason="NodeLost"),
            "0/1",
            "Unknown",
            "0",
        ),
        (
            row(
                "Pending",
                [],
                conditions=[{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}],
            ),
            "0/1",
            "SchedulingGated",
            "0",
        ),
        (
            row("Pending", [status("a")], inits=TWO_INITS, init=[status("i1", **RUNNING), status("i2")]),
            "0/1",
            "Init:0/2",
            "0",
        ),
        (
            row("Pending", [status("a")], inits=TWO_INITS, init=[status("i1", **DONE), status("i2")]),
            "0/1",
            "Init:1/2",
            "0",
        ),
        (
            row(
                "Pending",
                [status("a")],
                inits=TWO_INITS,
                init=[status("i1", restarts=2, last=30, waiting={"reason": "CrashLoopBackOff"})],
            ),
            "0/1",
            "Init:CrashLoopBackOff",
            "2 (30s ago)",
        ),
        (
            row("Pending", [status("a")], inits=TWO_INITS, init=[status("i1", terminated={"exitCode": 2})]),
            "0/1",
            "Init:ExitCode:2",
            "0",
        ),
        (
            row(
                "Running",
                [status("a", ready=True, **RUNNING)],
                inits=SIDECAR,
                init=[{**status("s", ready=True, restarts=1, **RUNNING), "started": True}],
            ),
            "2/2",
            "Running",
            "1",
        ),
        (
            row(
                "Running",
                [status("a", ready=True, **RUNNING)],
                inits=TWO_INITS,
                init=[status("i1", restarts=4, **DONE), status("i2", **DONE)],
            ),
            "1/1",
            "Running",
            "0",
        ),
    ],
)
def test_one_word_for_a_pod(found: list[Any], ready: str, word: str, restarts: str) -> None:
    assert found[:5] == ["web", ready, word, restarts, "5m"]


def test_wide_columns_of_pods() -> None:
    found = row(
        "Running",
        [status("a", **RUNNING)],
        podIP="10.0.0.1",
        gates=[{"conditionType": "a.b/c"}, {"conditionType": "d.e/f"}],
        conditions=[{"type": "a.b/c", "status": "True"}],
    )
    assert found[5:] == ["10.0.0.1", "n1", "<none>", "1/2"]
    assert row("Pending", [])[5:] == ["<none>", "n1", "<none>", "<none>"]
    assert [c.name for c in POD.columns if c.priority == 0] == ["Name", "Ready", "Status", "Restarts", "Age"]
    assert len(found) == len(POD.columns)


def node(spec: Any = None, labels: Any = None, **status: Any) -> list[Any]:
    body = {
        "metadata": {"name": "n1", "creationTimestamp": CREATED, "labels": labels or {}},
        "spec": spec or {},
        "status": status,
    }
    return NODE.cells(msgspec.convert(body, Node), NOW) if NODE.cells else []


READY_NODE = [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": "True"}]


def test_nodes() -> None:
    info = {
        "kubeletVersion": "v1.37.0",
        "osImage": "Debian",
        "kernelVersion": "6.1",
        "containerRuntimeVersion": "docker://29",
    }
    addresses = [{"type": "Hostname", "address": "n1"}, {"type": "InternalIP", "address": "192.0.2.1"}]
    labels = {"node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "edge"}
    found = node(labels=labels, conditions=READY_NODE, nodeInfo=info, addresses=addresses)
    assert found[:5] == ["n1", "Ready", "control-plane,edge", "5m", "v1.37.0"]
    assert found[5:] == ["192.0.2.1", "<none>", "Debian", "6.1", "docker://29"]
    assert len(found) == len(NODE.columns)


@pytest.mark.parametrize(
    ("conditions", "unschedulable", "word"),
    [
        ([], False, "Unknown"),
        (READY_NODE, True, "Ready,SchedulingDisabled"),
        ([{"type": "Ready", "status": "Unknown"}], False, "NotReady"),
        ([{"type": "Ready", "status": "False"}], True, "NotReady,SchedulingDisabled"),
    ],
)
def test_one_word_for_a_node(conditions: list[Any], unschedulable: bool, word: str) -> None:
    found = node({"unschedulable": unschedulable}, conditions=conditions)
    assert found[1:3] == [word, "<none>"]
