# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Waiting by watching: until an object is as wanted, has failed for good, or the time is up. Nothing polls.

Belongs here: following one object or the pods of a controller. Not here: what makes a pod ready
(``_pods.state``).
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass

from .._api.client import POD, REPLICATION_CONTROLLER, Client, Kind
from .._api.errors import ClusterError, StatusError, WaitError
from .._pods.state import Steady, Verdict, judge, last_end

Object = t.Dict[str, t.Any]
LINE_LIMIT = 200  # characters of a log's last line
Judge = t.Callable[[t.Mapping[str, Object]], Verdict]


@dataclass
class Follower:
    """The objects that a selection holds, kept up to date by list and watch."""

    client: Client
    kind: Kind
    namespace: str | None
    labels: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()

    def until(self, judge_all: Judge, deadline: float) -> tuple[Verdict, dict[str, Object]]:
        """Follows until the judge (objects by name) is done or has failed, or the deadline. The last verdict
        and objects. A cluster that is away is tried again until then.
        """
        selected = (self.labels, self.fields)
        while True:
            items, version = self.client.list(self.kind, self.namespace, *selected, until=deadline)
            objects = {self._key(item): item for item in items}
            verdict = judge_all(objects)
            try:
                while not verdict.final:
                    began = time.monotonic()
                    if began >= deadline:
                        return verdict, objects
                    look = deadline if verdict.again is None else min(deadline, began + verdict.again)
                    events = self.client.watch(
                        self.kind, self.namespace, version, look, *selected, until=deadline
                    )
                    for change, item in events:
                        version = item["metadata"].get("resourceVersion") or version
                        if change == "BOOKMARK":
                            continue
                        if change == "DELETED":
                            objects.pop(self._key(item), None)
                        else:
                            objects[self._key(item)] = item
                        verdict = judge_all(objects)
                        if verdict.final or verdict.again is not None:
                            break
                    if verdict.again is not None:
                        verdict = judge_all(objects)
                    if not verdict.final and time.monotonic() - began < 0.2:
                        time.sleep(0.2)  # a server that ends watches at once is not to be hammered
                return verdict, objects
            except StatusError as problem:
                if problem.code != 410:
                    raise
                # too old to watch from: list again

    def _key(self, item: Object) -> str:
        """An object's name, with its namespace where several are looked at."""
        name = str(item["metadata"]["name"])
        if self.kind.namespaced and self.namespace is None:
            return "%s/%s" % (item["metadata"].get("namespace"), name)
        return name


def what_holds(item: Object) -> str:
    """Why an object that is being deleted is still there, as far as it says: a namespace does."""
    held = item["metadata"].get("finalizers")
    said = ["finalizers %s hold it" % ", ".join(held)] if held else []
    for condition in (item.get("status") or {}).get("conditions") or []:
        if item.get("kind") == "Namespace" and condition.get("status") == "True":
            said.append("%s: %s" % (condition.get("type"), condition.get("message") or "no message"))
    return "; ".join(said) or "still terminating"


def gone(client: Client, kind: Kind, live: Object, deadline: float) -> None:
    """Waits until this very object (its uid) is no more."""
    name, uid = live["metadata"]["name"], live["metadata"].get("uid")

    def verdict(objects: t.Mapping[str, Object]) -> Verdict:
        found = objects.get(name)
        if found is None or found["metadata"].get("uid") != uid:
            return Verdict(done=True)
        return Verdict(reason=what_holds(found))

    follower = Follower(client, kind, live["metadata"].get("namespace"), fields=("metadata.name=" + name,))
    last, _objects = follower.until(verdict, deadline)
    if not last.done:
        raise WaitError(
            "wait_timeout: %s %s is still there when the time is up: %s" % (kind.kind, name, last.reason)
        )


def last_words(client: Client, pod: Object | None) -> str:
    """What a container that has ended wrote last, to be put behind the reason of a failure. Mostly that says
    more than an exit code.
    """
    for container in ((pod or {}).get("status") or {}).get("containerStatuses") or []:
        ended = last_end(container)
        if not ended or ended.get("exitCode") == 0:
            continue
        query = {"container": container["name"], "tailLines": 1}
        if "terminated" not in (container.get("state") or {}):
            query["previous"] = "true"
        metadata = t.cast(Object, pod)["metadata"]
        try:
            text = client.text(POD, metadata["namespace"], metadata["name"], "log", query).strip()
        except ClusterError:
            return ""  # it is gone, or not for these credentials
        return "; its last line: %s" % text[-LINE_LIMIT:] if text else ""
    return ""


def pod_reaches(
    client: Client,
    namespace: str,
    name: str,
    goal: str,
    timeout: float,
    patient: bool = True,
    min_ready: float = 0,
) -> Object:
    """Waits until the pod has reached ``goal`` (Scheduled, Running, Ready or Succeeded); Ready has to last
    for ``min_ready`` seconds.
    """
    steady = Steady(min_ready, client.now)

    def verdict(objects: t.Mapping[str, Object]) -> Verdict:
        return (
            judge(objects[name], goal, patient, steady)
            if name in objects
            else Verdict(failed="it was deleted while waiting")
        )

    follower = Follower(client, POD, namespace, fields=("metadata.name=" + name,))
    last, objects = follower.until(verdict, time.monotonic() + timeout)
    if last.failed:
        said = last.failed + last_words(client, objects.get(name))
        raise WaitError("pod %s will not be %s: %s" % (name, goal, said), object=objects.get(name))
    if not last.done:
        raise WaitError(
            "wait_timeout: pod %s is not %s after %d s: %s" % (name, goal, timeout, last.reason),
            object=objects.get(name),
        )
    return objects[name]


@dataclass
class PodsOf:
    """Judges the pods of a controller, a ReplicationController's or what ``owned`` finds: as many as wanted
    must be ready. ``leaving``: whether pods that are being deleted must be gone. ``culprit`` is the pod that
    made a verdict fail.
    """

    wanted: int
    owned: t.Callable[[Object], bool]
    patient: bool
    steady: Steady
    leaving: bool = True
    culprit: Object | None = None

    def verdict(self, objects: t.Mapping[str, Object]) -> Verdict:
        ready, reason, again = 0, "", []
        own = [pod for pod in objects.values() if self.owned(pod) and not _ended(pod)]
        if not self.leaving:
            own = [pod for pod in own if not pod["metadata"].get("deletionTimestamp")]
        for pod in sorted(own, key=lambda p: str(p["metadata"]["name"])):
            found = judge(pod, "Ready", self.patient, self.steady)
            if found.failed and not pod["metadata"].get("deletionTimestamp"):
                self.culprit = pod
                return Verdict(failed="pod %s: %s" % (pod["metadata"]["name"], found.failed))
            ready += found.done
            again += [] if found.again is None else [found.again]
            reason = (
                reason
                if found.done or reason
                else "pod %s: %s" % (pod["metadata"]["name"], found.reason or found.failed)
            )
        return Verdict(
            done=ready == self.wanted and len(own) == self.wanted,
            reason="%d of %d pods are ready; %s" % (ready, self.wanted, reason),
            again=min(again) if again else None,
        )


def pods_of(client: Client, controller: Object) -> Follower:
    """The pods that a ReplicationController selects, followed."""
    return Follower(client, POD, controller["metadata"]["namespace"], labels=_selector(controller))


def owned_by(controller: Object) -> t.Callable[[Object], bool]:
    """Whether a pod is one of this very controller."""
    uid = controller["metadata"].get("uid")
    return lambda pod: _owned(pod, uid)


def controller_ready(
    client: Client, live: Object, timeout: float, patient: bool = True, min_ready: float = 0
) -> Object:
    """Waits until as many pods of a ReplicationController are ready as it asks for, and it says so itself."""
    deadline = time.monotonic() + timeout
    metadata, spec = live["metadata"], live["spec"]
    name, namespace, wanted = metadata["name"], metadata["namespace"], int(spec.get("replicas", 1))
    pods = PodsOf(wanted, owned_by(live), patient, Steady(min_ready, client.now))

    def own_verdict(objects: t.Mapping[str, Object]) -> Verdict:
        found = objects.get(name)
        if found is None:
            return Verdict(failed="it was deleted while waiting")
        status = found.get("status") or {}
        seen = int(status.get("observedGeneration") or 0) >= int(found["metadata"].get("generation") or 0)
        ready, total = int(status.get("readyReplicas") or 0), int(status.get("replicas") or 0)
        trouble = next(
            (c.get("message") for c in status.get("conditions") or [] if c.get("type") == "ReplicaFailure"),
            None,
        )
        return Verdict(
            done=seen and ready == total == wanted,
            reason=trouble or "%d of %d pods are ready" % (ready, wanted),
        )

    itself = Follower(client, REPLICATION_CONTROLLER, namespace, fields=("metadata.name=" + name,))
    last, _pods = pods_of(client, live).until(pods.verdict, deadline)
    reason = last.reason
    if last.done:
        last, objects = itself.until(own_verdict, deadline)
        reason = last.reason
        if last.done:
            return objects[name]
    found = client.get(REPLICATION_CONTROLLER, namespace, name)
    if last.failed:
        reason = last.failed + last_words(client, pods.culprit)
        raise WaitError("replication controller %s will not be ready: %s" % (name, reason), object=found)
    said = own_verdict({name: found}).reason if found else "it was deleted while waiting"
    raise WaitError(
        "wait_timeout: replication controller %s is not ready after %d s: %s"
        % (name, timeout, reason if "pod " in reason else said),
        object=found,
    )


def controller_gone(client: Client, live: Object, timeout: float) -> None:
    """Waits until the pods of a ReplicationController that was deleted are gone too."""
    metadata = live["metadata"]

    def verdict(objects: t.Mapping[str, Object]) -> Verdict:
        left = sorted(name for name, pod in objects.items() if _owned(pod, metadata.get("uid")))
        return Verdict(done=not left, reason="pods %s are still there" % ", ".join(left))

    follower = Follower(client, POD, metadata["namespace"], labels=_selector(live))
    last, _pods = follower.until(verdict, time.monotonic() + timeout)
    if not last.done:
        raise WaitError(
            "wait_timeout: replication controller %s is gone, but %s" % (metadata["name"], last.reason)
        )


def _selector(controller: Object) -> tuple[str, ...]:
    pairs = (controller["spec"].get("selector") or {}).items()
    return tuple("%s=%s" % pair for pair in sorted(pairs))


def _ended(pod: Object) -> bool:
    """Such a pod stays to be looked at; the controller makes another in its place."""
    return (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded")


def lasts(pod: Object) -> bool:
    """Whether a pod has not ended, nor is being deleted."""
    return not _ended(pod) and not pod["metadata"].get("deletionTimestamp")


def _owned(pod: Object, uid: str | None) -> bool:
    return any(owner.get("uid") == uid for owner in pod["metadata"].get("ownerReferences") or [])
