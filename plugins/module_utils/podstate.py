# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a pod says: is it where one wants it, can it still get there, what holds it up, and what of it can be
changed.

Belongs here: reading one pod. Not here: following it, changing it. Source of the words: the API reference,
PodStatus and ContainerState.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from .compare import Path
from .errors import option_path

Object = t.Mapping[str, t.Any]

#: Reasons of waiting containers that no patience mends.
HOPELESS = frozenset(
    (
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    )
)
_IMAGE = re.compile(r"^spec\.(containers|initContainers)\[[^\]]*\]\.image$")
GOALS = ("Scheduled", "Running", "Ready", "Succeeded")


@dataclass(frozen=True)
class Verdict:
    """``done``: the goal is reached. ``failed``: it will not be, and why. ``reason``: what is being waited
    for.
    """

    done: bool = False
    failed: str = ""
    reason: str = ""

    @property
    def final(self) -> bool:
        return self.done or bool(self.failed)


def judge(pod: Object, goal: str, patient: bool = True) -> Verdict:
    """Whether a pod has reached a goal, or never will. ``patient``: room for it may still come."""
    status = pod.get("status") or {}
    phase = status.get("phase") or "Pending"
    if _reached(pod, status, phase, goal):
        return Verdict(done=True)
    if pod["metadata"].get("deletionTimestamp"):
        return Verdict(failed="it is being deleted")
    if phase == "Failed":
        return Verdict(failed=_ended(status) or "it has failed")
    if goal == "Succeeded" and (pod.get("spec") or {}).get("restartPolicy") == "Always":
        return Verdict(failed="its restart_policy is Always, by which its containers never end for good")
    if phase == "Succeeded":
        return Verdict(failed="it has run to its end")
    if goal != "Scheduled":
        for container in _containers(status):
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") in HOPELESS:
                return Verdict(failed=_container_trouble(container, waiting))
    holdup = _holdup(status, phase)
    if not patient and _condition(status, "PodScheduled").get("reason") == "Unschedulable":
        return Verdict(failed=holdup)
    return Verdict(reason=holdup)


def _reached(pod: Object, status: Object, phase: str, goal: str) -> bool:
    if goal == "Scheduled":
        return bool((pod.get("spec") or {}).get("nodeName"))
    if goal == "Succeeded":
        return bool(phase == "Succeeded")
    if pod["metadata"].get("deletionTimestamp"):
        return False
    if goal == "Running":
        return bool(
            phase == "Running"
            and not any((c.get("state") or {}).get("waiting") for c in status.get("containerStatuses") or [])
        )
    return _condition(status, "Ready").get("status") == "True"


def _condition(status: Object, name: str) -> Object:
    return next((c for c in status.get("conditions") or [] if c.get("type") == name), {})


def _containers(status: Object) -> list[Object]:
    return list(status.get("initContainerStatuses") or []) + list(status.get("containerStatuses") or [])


def _container_trouble(container: Object, waiting: Object) -> str:
    said = "container %s: %s" % (container.get("name"), waiting["reason"])
    if waiting.get("message"):
        said += ": %s" % waiting["message"]
    ended = (container.get("lastState") or {}).get("terminated") or {}
    if ended:
        said += " (last run: %s)" % _exit(ended)
    return said


def _exit(ended: Object) -> str:
    parts = ["exit code %s" % ended.get("exitCode")]
    parts += [str(ended[key]).strip() for key in ("reason", "message") if ended.get(key)]
    return ", ".join(parts)


def _ended(status: Object) -> str:
    parts = [str(status[key]) for key in ("reason", "message") if status.get(key)]
    for container in _containers(status):
        ended = (container.get("state") or {}).get("terminated") or {}
        if ended and ended.get("exitCode") != 0:
            parts.append("container %s: %s" % (container.get("name"), _exit(ended)))
    return "; ".join(parts)


def _holdup(status: Object, phase: str) -> str:
    """What a pod that is neither there nor lost is waiting for, as far as it says."""
    scheduled = _condition(status, "PodScheduled")
    if scheduled.get("status") == "False":
        return "%s: %s" % (
            scheduled.get("reason") or "not scheduled",
            scheduled.get("message") or "no message",
        )
    for container in _containers(status):
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") not in (None, "", "ContainerCreating", "PodInitializing"):
            return _container_trouble(container, waiting)
    ready = _condition(status, "ContainersReady") or _condition(status, "Ready")
    if phase == "Running" and ready.get("status") == "False":
        return "%s: %s" % (ready.get("reason") or "not ready", ready.get("message") or "no message")
    creating = [str(c.get("name")) for c in _containers(status) if (c.get("state") or {}).get("waiting")]
    return "phase %s%s" % (phase, ", containers being created: %s" % ", ".join(creating) if creating else "")


def immutable_options(differing: list[Path], asked: Object, live: Object) -> list[str]:
    """Which of the differing paths the API lets nobody change on a pod, as names of options."""
    fixed = []
    for path in differing:
        dotted = ".".join(path)
        if path[0] == "metadata" or _IMAGE.match(dotted):
            continue
        if dotted == "spec.tolerations" and all(
            have in asked["spec"]["tolerations"] for have in _own_tolerations(live)
        ):
            continue  # tolerations may be added
        fixed.append(option_path(dotted))
    return fixed


def _own_tolerations(live: Object) -> list[t.Any]:
    given = (live.get("spec") or {}).get("tolerations") or []
    return [item for item in given if not str(item.get("key") or "").startswith("node.kubernetes.io/")]
