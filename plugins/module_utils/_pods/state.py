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
import time
import typing as t
from dataclasses import dataclass
from datetime import datetime

from .._api.errors import option_path
from .._resources.diff import Path

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
    for. ``again``: in so many seconds there is another verdict, even if nothing happens.
    """

    done: bool = False
    failed: str = ""
    reason: str = ""
    again: float | None = None

    @property
    def final(self) -> bool:
        return self.done or bool(self.failed)


class Steady:
    """For how long pods have been ready. One whose container ends at once is ready for a moment, before each
    restart.

    ``now`` tells the time by the cluster's clock, in seconds since the epoch. Where it and a pod's own times
    disagree, what was watched here counts.
    """

    def __init__(self, seconds: float, now: t.Callable[[], float] = time.time) -> None:
        self.seconds = seconds
        self._now = now
        self._watched: dict[str, tuple[t.Any, float]] = {}  # uid -> (what it said, since when)

    def left(self, pod: Object) -> float:
        """Seconds until a pod that is ready has been so for long enough. 0 where a readiness probe vouches
        for each of its containers.
        """
        containers = (pod.get("spec") or {}).get("containers") or []
        if self.seconds <= 0 or (containers and all(one.get("readinessProbe") for one in containers)):
            return 0.0
        times = _times(pod.get("status") or {})
        uid = self._uid(pod)
        if self._watched.get(uid, (None,))[0] != times:
            self._watched[uid] = (times, time.monotonic())
        lasted = time.monotonic() - self._watched[uid][1]
        moments = [moment for moment in map(_moment, times) if moment is not None]
        if moments:
            lasted = max(lasted, self._now() - max(moments) - 1)  # its times are in whole seconds
        return max(0.0, self.seconds - lasted)

    def knows(self, pod: Object) -> bool:
        """Whether this pod has been ready before."""
        return self._uid(pod) in self._watched

    @staticmethod
    def _uid(pod: Object) -> str:
        return str(pod["metadata"].get("uid") or pod["metadata"].get("name"))


def _times(status: Object) -> list[t.Any]:
    """Since when a pod is ready, and its containers run."""
    running = [(one.get("state") or {}).get("running") or {} for one in status.get("containerStatuses") or []]
    return [_condition(status, "Ready").get("lastTransitionTime")] + [one.get("startedAt") for one in running]


def _moment(text: t.Any) -> float | None:
    try:
        return datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


def judge(pod: Object, goal: str, patient: bool = True, steady: Steady | None = None) -> Verdict:
    """Whether a pod has reached a goal, or never will. ``patient``: room for it may still come. ``steady``:
    for how long it must have been ready.
    """
    status = pod.get("status") or {}
    phase = status.get("phase") or "Pending"
    if _reached(pod, status, phase, goal):
        left = steady.left(pod) if steady and goal == "Ready" else 0.0
        if steady and left:
            said = "it is ready, but not yet for %g s (min_ready_seconds)" % steady.seconds
            return Verdict(reason=said, again=left)
        return Verdict(done=True)
    if steady and goal == "Ready" and phase == "Succeeded" and steady.knows(pod):
        return Verdict(done=True)  # it was ready, and has done its work
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
    ended = last_end(container)
    if ended:
        said += " (last run: %s)" % _exit(ended)
    return said


def last_end(container: Object) -> Object:
    """How the last run of a container that has ended has ended; empty where none has."""
    states = (container.get("state") or {}, container.get("lastState") or {})
    return next((state["terminated"] for state in states if state.get("terminated")), {})


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
        said = "%s: %s" % (ready.get("reason") or "not ready", ready.get("message") or "no message")
        ends = [(str(one.get("name")), last_end(one)) for one in status.get("containerStatuses") or []]
        return "; ".join([said, *("container %s: %s" % (name, _exit(end)) for name, end in ends if end)])
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
