# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""A pod's status is read the way a person would: there, lost and why, or held up by what."""

from __future__ import annotations

import pytest
from ansible_collections.navarch.cluster.plugins.module_utils._pods.state import (
    HOPELESS,
    Steady,
    immutable_options,
    judge,
)


def pod(phase="Pending", containers=(), conditions=(), node=None, **metadata):
    return {
        "metadata": dict({"name": "web"}, **metadata),
        "spec": {"nodeName": node} if node else {},
        "status": {"phase": phase, "containerStatuses": list(containers), "conditions": list(conditions)},
    }


def condition(name, status, reason=None, message=None):
    return {"type": name, "status": status, "reason": reason, "message": message}


def waiting(reason, message=None, last=None):
    made = {"name": "c", "state": {"waiting": {"reason": reason, "message": message}}}
    return dict(made, lastState={"terminated": last}) if last else made


@pytest.mark.parametrize(
    ("found", "goal"),
    [
        (pod(node="n1"), "Scheduled"),
        (pod("Running", [{"name": "c", "state": {"running": {}}}]), "Running"),
        (pod("Running", conditions=[condition("Ready", "True")]), "Ready"),
        (pod("Succeeded"), "Succeeded"),
    ],
)
def test_there(found, goal):
    assert judge(found, goal).done


@pytest.mark.parametrize("reason", sorted(HOPELESS))
def test_hopeless_containers_end_the_wait(reason):
    assert (
        judge(pod(containers=[waiting(reason, "because")]), "Ready").failed
        == "container c: %s: because" % reason
    )


@pytest.mark.parametrize(
    ("found", "goal", "why"),
    [
        (
            pod("Failed", [{"name": "c", "state": {"terminated": {"exitCode": 3, "reason": "Error"}}}]),
            "Ready",
            "container c: exit code 3, Error",
        ),
        (pod("Succeeded"), "Ready", "it has run to its end"),
        (pod("Running", deletionTimestamp="x"), "Ready", "it is being deleted"),
        (
            pod(
                "Running",
                [waiting("CrashLoopBackOff", "back-off 10s", {"exitCode": 1, "message": "no config\n"})],
            ),
            "Running",
            "container c: CrashLoopBackOff: back-off 10s (last run: exit code 1, no config)",
        ),
        (pod("Failed"), "Succeeded", "it has failed"),
    ],
)
def test_lost(found, goal, why):
    assert judge(found, goal).failed == why


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (
            pod(
                conditions=[
                    condition(
                        "PodScheduled",
                        "False",
                        "Unschedulable",
                        "0/3 nodes are available: 3 Insufficient cpu.",
                    )
                ]
            ),
            "Unschedulable: 0/3 nodes are available: 3 Insufficient cpu.",
        ),
        (
            pod(
                "Running",
                conditions=[
                    condition(
                        "ContainersReady",
                        "False",
                        "ContainersNotReady",
                        "containers with unready status: [c]",
                    )
                ],
            ),
            "ContainersNotReady: containers with unready status: [c]",
        ),
        (pod(containers=[waiting("ContainerCreating")]), "phase Pending, containers being created: c"),
        (pod(), "phase Pending"),
        ({"metadata": {"name": "new"}}, "phase Pending"),
    ],
)
def test_held_up(found, reason):
    verdict = judge(found, "Ready")
    assert not verdict.final
    assert verdict.reason == reason


def test_what_can_be_changed_on_a_pod():
    asked = {"spec": {"tolerations": [{"key": "a"}, {"key": "b"}]}}
    live = {"spec": {"tolerations": [{"key": "a"}, {"key": "node.kubernetes.io/not-ready"}]}}
    mutable = [("metadata", "labels", "x"), ("spec", "containers[a.b]", "image"), ("spec", "tolerations")]
    assert immutable_options(mutable, asked, live) == []
    fixed = [
        ("spec", "restartPolicy"),
        ("spec", "containers[web]"),
        ("spec", "containers[web]", "env[A]", "value"),
    ]
    assert immutable_options(fixed, asked, live) == [
        "restart_policy",
        "containers[web]",
        "containers[web].env[A].value",
    ]
    gone = {"spec": {"tolerations": [{"key": "b"}]}}
    assert immutable_options([("spec", "tolerations")], gone, live) == ["tolerations"]


def test_what_is_always_started_anew_never_succeeds():
    found = pod("Running")
    found["spec"]["restartPolicy"] = "Always"
    assert judge(found, "Succeeded").failed.startswith("its restart_policy is Always")
    assert not judge(found, "Ready").failed
    found["spec"]["restartPolicy"] = "OnFailure"
    assert not judge(found, "Succeeded").failed


def ready(since="2026-01-01T00:00:00Z", restarts=0, probe=False, **status):
    container = {"name": "c", "restartCount": restarts, "state": {"running": {"startedAt": since}}}
    made = pod("Running", [container], [dict(condition("Ready", "True"), lastTransitionTime=since)], uid="u")
    made["spec"]["containers"] = [{"name": "c", "readinessProbe": {"exec": {}}} if probe else {"name": "c"}]
    return made


AT = 1767225600.0  # 2026-01-01T00:00:00Z


@pytest.mark.parametrize(
    ("now", "found", "there"),
    [
        (AT + 0.5, ready(), False),
        (AT + 2.5, ready(), False),  # its times are in whole seconds: it may be 1.6
        (AT + 3.1, ready(), True),
        (AT + 0.5, ready(probe=True), True),
        (AT - 60, ready(), False),  # by clocks that disagree
        (AT + 60, ready(since=None), False),
    ],
)
def test_a_pod_counts_when_it_has_been_ready_for_long_enough(now, found, there):
    verdict = judge(found, "Ready", True, Steady(2, lambda: now))
    assert verdict.done is there
    assert there or 0 < verdict.again <= 2
    assert judge(found, "Ready").done
    assert judge(found, "Running", True, Steady(2, lambda: now)).done


def test_a_restart_begins_the_time_again():
    steady = Steady(2, lambda: AT + 3.5)
    assert judge(ready(), "Ready", True, steady).done
    again = ready()
    again["status"]["containerStatuses"][0]["state"]["running"]["startedAt"] = "2026-01-01T00:00:03Z"
    assert judge(again, "Ready", True, steady).again


def test_a_pod_that_was_ready_and_has_ended_well_was_there():
    steady = Steady(2, lambda: AT)
    assert judge(ready(), "Ready", True, steady).again
    assert judge(pod("Succeeded", uid="u"), "Ready", True, steady).done
    assert judge(pod("Succeeded", uid="other"), "Ready", True, steady).failed == "it has run to its end"
