# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""When an object of any kind is ready, as its own status says, and waiting for many objects at a time.

Belongs here: what ready means for each kind, and one watch for all objects of a kind in a namespace. Not
here: what a pod says (``_pods.state``), and waiting for one object (``waiting``).
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
import typing as t
from dataclasses import dataclass, field

from .._api.client import POD, WATCH_SECONDS, Client, Kind
from .._api.errors import ClusterError, WaitError
from .._pods.state import Steady, Verdict, judge
from .waiting import Follower, PodsOf, controller_ready, last_words, lasts, what_holds
from .workloads import NewestPods

Object = t.Dict[str, t.Any]
Judge = t.Callable[[Object], Verdict]
ENDPOINTS = Kind("v1", "Endpoints", "endpoints")
THREADS = 8


@dataclass
class Waited:
    """One object that is waited for. ``judge`` reads it as ``kind`` has it; ``found`` is it at the end."""

    kind: Kind
    namespace: str | None
    name: str
    title: str
    goal: str
    judge: Judge
    missing: Verdict = field(default_factory=lambda: Verdict(failed="it was deleted while waiting"))
    found: Object | None = None
    last: Verdict = field(default_factory=Verdict)
    patient: bool = True
    steady: Steady = field(default_factory=lambda: Steady(0))
    #: A workload as the task left it, of a kind whose pods show whether their template is older.
    workload: Object | None = None
    error: str | None = None

    def look(self, objects: t.Mapping[str, Object]) -> Verdict:
        self.found = objects.get(self.name)
        self.last = self.judge(self.found) if self.found is not None else self.missing
        return self.last


def until_ready(
    kind: Kind,
    namespace: str | None,
    live: Object,
    condition: t.Mapping[str, t.Any] | None,
    patient: bool = True,
    steady: Steady | None = None,
) -> Waited | None:
    """What to wait for until this object is ready; None when there is nothing to wait for. ``steady``: for
    how long pods must have been.
    """
    name = str(live["metadata"]["name"])
    steady = steady or Steady(0)

    def waited(judged: Judge, goal: str = "ready") -> Waited:
        return Waited(kind, namespace, name, "%s %s" % (kind.kind, name), goal, judged)

    if condition and condition.get("kind") in (None, kind.kind):
        return waited(lambda item: _has_condition(item, condition), condition["type"])
    group = kind.api_version.rpartition("/")[0]
    if (group, kind.kind) == ("", "Service"):
        spec = live.get("spec") or {}
        if not spec.get("selector") or spec.get("type") == "ExternalName":
            return None
        return Waited(
            ENDPOINTS, namespace, name, "Service %s" % name, "served", _served, Verdict(reason=_NONE)
        )
    if (group, kind.kind) == ("", "Pod"):
        return waited(lambda item: _pod(item, patient, steady), "Ready")
    found = _JUDGES.get((group, kind.kind))
    if found is None:
        return None
    made = waited(found)
    made.patient, made.steady = patient, steady
    made.workload = live if (group, kind.kind) in _OF_PODS else None
    return made


def until_gone(kind: Kind, namespace: str | None, live: Object) -> Waited:
    """What to wait for until this very object (its uid) is no more."""
    name, uid = str(live["metadata"]["name"]), live["metadata"].get("uid")

    def judged(item: Object) -> Verdict:
        return Verdict(done=item["metadata"].get("uid") != uid, reason=what_holds(item))

    return Waited(kind, namespace, name, "%s %s" % (kind.kind, name), "gone", judged, Verdict(done=True))


def wait_for_all(client: Client, things: t.Sequence[Waited], timeout: float) -> None:
    """Waits until all of it is done, or one of it has failed for good, or the time is up.

    What fails has its ``error`` set, and so has what was not done in time; the rest is left as last seen.
    """
    deadline = time.monotonic() + max(1.0, timeout)
    groups: dict[tuple[Kind, str | None], list[Waited]] = {}
    jobs: list[t.Callable[[], None]] = []
    for thing in things:
        if thing.kind.kind == "ReplicationController" and thing.goal == "ready":
            jobs.append(_controller(client, thing, deadline))
        else:
            groups.setdefault((thing.kind, thing.namespace), []).append(thing)
    jobs += [_group(client, key, members, deadline) for key, members in groups.items()]
    workloads: dict[str | None, list[Waited]] = {}
    for thing in things:
        if thing.workload:
            workloads.setdefault(thing.namespace, []).append(thing)
    over = threading.Event()
    beside = [_pods_of(client, key, members, deadline, over) for key, members in workloads.items()]
    try:
        _together(jobs, beside, lambda: any(thing.error for thing in things))
    finally:
        over.set()


def _group(
    client: Client, key: tuple[Kind, str | None], members: t.Sequence[Waited], deadline: float
) -> t.Callable[[], None]:
    """One watch for all of a kind in a namespace."""
    kind, namespace = key

    def follow() -> None:
        pending = list(members)
        began = time.monotonic()

        def verdict(objects: t.Mapping[str, Object]) -> Verdict:
            nonlocal pending
            pending = [thing for thing in pending if not thing.look(objects).done]
            failed = next((thing.last.failed for thing in pending if thing.last.failed), "")
            again = [thing.last.again for thing in pending if thing.last.again is not None]
            return Verdict(done=not pending, failed=failed, again=min(again) if again else None)

        fields = ("metadata.name=" + members[0].name,) if len(members) == 1 else ()
        Follower(client, kind, namespace, fields=fields).until(verdict, deadline)
        hopeless = any(thing.last.failed for thing in pending)
        for thing in pending:
            if thing.last.failed:
                said = thing.last.failed + (last_words(client, thing.found) if kind.kind == "Pod" else "")
                thing.error = "%s will not be %s: %s" % (thing.title, thing.goal, said)
            elif not hopeless:
                reason = _trouble(client, thing) or thing.last.reason or "it says nothing of it"
                thing.error = "wait_timeout: %s is not %s after %d s: %s" % (
                    thing.title,
                    thing.goal,
                    round(time.monotonic() - began),
                    reason,
                )

        left = {id(thing) for thing in pending}
        for thing in members:
            if id(thing) not in left and not hopeless:
                _hold(client, thing, deadline)

    return _guarded(follow, members)


def _hold(client: Client, thing: Waited, deadline: float) -> None:
    """A workload's status counts pods that are ready for a moment: its pods must be for long enough."""
    labels = _labels(thing)
    if thing.steady.seconds <= 0 or not labels:
        return
    pods = PodsOf(0, lasts, thing.patient, thing.steady, leaving=False)

    def verdict(objects: t.Mapping[str, Object]) -> Verdict:
        pods.wanted = sum(lasts(pod) for pod in objects.values())
        return pods.verdict(objects)

    last, _objects = Follower(client, POD, thing.namespace, labels=labels).until(verdict, deadline)
    if last.failed:
        said = last.failed + last_words(client, pods.culprit)
        thing.error = "%s will not be ready: %s" % (thing.title, said)
    elif not last.done:
        thing.error = "wait_timeout: %s is not ready: %s" % (thing.title, last.reason)


def _pods_of(
    client: Client,
    namespace: str | None,
    members: t.Sequence[Waited],
    deadline: float,
    over: threading.Event,
) -> t.Callable[[], None]:
    """Looks for a pod of these workloads that will not be ready: their status only counts those that are.

    One watch for all that are in a namespace. It ends when the wait is ``over``, or a watch later.
    """
    by_uid = {str(thing.workload["metadata"].get("uid")): thing for thing in members if thing.workload}
    newest = NewestPods(client, namespace, (thing.workload for thing in members if thing.workload))

    def follow() -> None:
        def verdict(objects: t.Mapping[str, Object]) -> Verdict:
            for name in () if over.is_set() else sorted(objects):
                pod = objects[name]
                if not lasts(pod):
                    continue  # another is made in its place
                found = judge(pod, "Ready")
                thing = by_uid.get(newest.workload_of(pod) or "") if found.failed else None
                if thing and not thing.last.done:
                    said = "pod %s: %s%s" % (name, found.failed, last_words(client, pod))
                    thing.error = "%s will not be ready: %s" % (thing.title, said)
                    return Verdict(failed=said)
            return Verdict(done=over.is_set(), again=WATCH_SECONDS)

        labels = _selector(members[0].workload) if len(members) == 1 else ()
        with contextlib.suppress(ClusterError):  # who may not read pods has the workloads' status alone
            Follower(client, POD, namespace, labels=labels).until(verdict, deadline)

    return follow


def _controller(client: Client, thing: Waited, deadline: float) -> t.Callable[[], None]:
    def follow() -> None:
        found = client.get(thing.kind, thing.namespace, thing.name)
        if found is None:
            raise WaitError("%s was deleted while waiting" % thing.title)
        left = max(1.0, deadline - time.monotonic())
        thing.found = controller_ready(client, found, left, thing.patient, thing.steady.seconds)

    return _guarded(follow, [thing])


def _guarded(job: t.Callable[[], None], members: t.Sequence[Waited]) -> t.Callable[[], None]:
    def run() -> None:
        try:
            job()
        except ClusterError as problem:
            for thing in members:
                thing.error = str(problem)

    return run


def _together(
    jobs: t.Sequence[t.Callable[[], None]],
    beside: t.Sequence[t.Callable[[], None]],
    enough: t.Callable[[], bool],
) -> None:
    """Runs the jobs side by side until all have ended, or what they have found is enough. What runs
    ``beside`` them may find something, too, and is not waited for.

    Their threads do not keep the process: one that waits on a silent watch when another has failed is left.
    """
    ended: queue.Queue[tuple[int, BaseException | None]] = queue.Queue()
    todo: queue.Queue[t.Callable[[], None]] = queue.Queue()
    for job in jobs:
        todo.put(job)

    def run(job: t.Callable[[], None], counts: int) -> None:
        try:
            job()
        except BaseException as problem:  # the waiting thread raises it
            ended.put((counts, problem))
        else:
            ended.put((counts, None))

    def work() -> None:
        while True:
            try:
                job = todo.get_nowait()
            except queue.Empty:
                return
            run(job, 1)

    for _number in range(min(THREADS, len(jobs))):
        threading.Thread(target=work, daemon=True).start()
    for job in beside:
        threading.Thread(target=run, args=(job, 0), daemon=True).start()
    left = len(jobs)
    while left:
        counts, problem = ended.get()
        if problem is not None:
            raise problem
        if enough():
            return
        left -= counts


# -- what ready means


def _pod(item: Object, patient: bool, steady: Steady) -> Verdict:
    """A pod that runs to its end is ready when it has."""
    if (item.get("status") or {}).get("phase") == "Succeeded":
        return Verdict(done=True)
    return judge(item, "Ready", patient, steady)


_NONE = "its selector finds no running pod"


def _served(item: Object) -> Verdict:
    subsets = item.get("subsets") or []
    waiting = sum(len(part.get("notReadyAddresses") or []) for part in subsets)
    return Verdict(
        done=any(part.get("addresses") for part in subsets),
        reason="none of its %d pods is ready" % waiting if waiting else _NONE,
    )


def _condition(item: Object, name: str) -> Object:
    found = (item.get("status") or {}).get("conditions") or []
    return next((entry for entry in found if entry.get("type") == name), {})


def _said(condition: Object) -> str:
    return ": ".join(str(condition[key]) for key in ("reason", "message") if condition.get(key))


def _has_condition(item: Object, asked: t.Mapping[str, t.Any]) -> Verdict:
    found = _condition(item, asked["type"])
    done = str(found.get("status")) == asked["status"] and asked.get("reason") in (None, found.get("reason"))
    if not found:
        return Verdict(reason="it has no condition %s" % asked["type"])
    return Verdict(
        done=done and _current(item),
        reason="%s is %s %s" % (asked["type"], found.get("status"), _said(found)),
    )


def _current(item: Object) -> bool:
    """Whether the status speaks of the object as it is now."""
    seen = (item.get("status") or {}).get("observedGeneration")
    return seen is None or int(seen) >= int(item["metadata"].get("generation") or 0)


def _counted(item: Object, wanted: int, *counts: str) -> Verdict:
    status = item.get("status") or {}
    had = {count: int(status.get(count) or 0) for count in counts}
    known = _current(item) and status.get("observedGeneration") is not None
    text = ", ".join("%s %d" % pair for pair in had.items())
    done = known and all(number == wanted for number in had.values())
    return Verdict(done=done, reason="of %d: %s" % (wanted, text))


def _replicas(item: Object) -> int:
    asked = (item.get("spec") or {}).get("replicas")
    return 1 if asked is None else int(asked)


def _deployment(item: Object) -> Verdict:
    progressing = _condition(item, "Progressing")
    if _current(item) and progressing.get("reason") == "ProgressDeadlineExceeded":
        return Verdict(failed=_said(progressing))
    return _counted(item, _replicas(item), "updatedReplicas", "replicas", "availableReplicas")


def _stateful_set(item: Object) -> Verdict:
    status = item.get("status") or {}
    verdict = _counted(item, _replicas(item), "replicas", "readyReplicas")
    if status.get("updateRevision") != status.get("currentRevision"):
        return Verdict(reason=verdict.reason + ", still being updated")
    return verdict


def _daemon_set(item: Object) -> Verdict:
    wanted = int((item.get("status") or {}).get("desiredNumberScheduled") or 0)
    return _counted(item, wanted, "updatedNumberScheduled", "numberReady")


def _job(item: Object) -> Verdict:
    failed = _condition(item, "Failed")
    if failed.get("status") == "True":
        return Verdict(failed=_said(failed) or "it has failed")
    done = _condition(item, "Complete").get("status") == "True"
    active = (item.get("status") or {}).get("active") or 0
    return Verdict(done=done, reason="%s of its pods run" % active)


def _namespace(item: Object) -> Verdict:
    phase = (item.get("status") or {}).get("phase")
    return Verdict(done=phase == "Active", reason="its phase is %s" % phase)


def _definition(item: Object) -> Verdict:
    refused = _condition(item, "NamesAccepted")
    if refused.get("status") == "False":
        return Verdict(failed=_said(refused))
    return Verdict(
        done=_condition(item, "Established").get("status") == "True", reason="the API does not serve it yet"
    )


_JUDGES: dict[tuple[str, str], Judge] = {
    ("", "Namespace"): _namespace,
    ("", "ReplicationController"): lambda item: Verdict(),  # whose pods are looked at too
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _definition,
    ("apps", "DaemonSet"): _daemon_set,
    ("apps", "Deployment"): _deployment,
    ("apps", "ReplicaSet"): lambda item: _counted(item, _replicas(item), "replicas", "readyReplicas"),
    ("apps", "StatefulSet"): _stateful_set,
    ("batch", "Job"): _job,
}


#: Workloads of which `_pods_of` knows the newest pods.
_OF_PODS = (("apps", "Deployment"), ("apps", "ReplicaSet"))


def _labels(thing: Waited) -> tuple[str, ...]:
    """The labels by which a workload knows its pods, where it is waited for until they are ready."""
    return () if thing.goal != "ready" or thing.kind.kind == "Job" else _selector(thing.found)


def _selector(workload: Object | None) -> tuple[str, ...]:
    selector = ((workload or {}).get("spec") or {}).get("selector")
    labels = selector.get("matchLabels") if isinstance(selector, dict) else None
    return tuple("%s=%s" % pair for pair in sorted((labels or {}).items()))


def _trouble(client: Client, thing: Waited) -> str | None:
    """What keeps the pods of a workload, when its own status says no more than numbers."""
    labels = _labels(thing)
    if not labels:
        return None
    try:
        pods, _version = client.list(POD, thing.namespace, labels)
    except ClusterError:
        return None
    for pod in sorted(pods, key=lambda item: str(item["metadata"]["name"])):
        found = judge(pod, "Ready")
        if not found.done:
            said = found.failed or found.reason
            return "%s; pod %s: %s" % (thing.last.reason, pod["metadata"]["name"], said)
    return None
