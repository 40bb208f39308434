# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Pods of a ReplicationController that were made from an older template: finding them, replacing them.

Belongs here: comparing pods with a template, and their replacement one by one. Not here: bringing the
controller itself to a state (``present``), and waiting for it as a whole (``_wait.waiting``).
"""

from __future__ import annotations

import time
import typing as t

from .._api.client import POD, REPLICATION_CONTROLLER, Client
from .._api.errors import ClusterError, WaitError
from .._pods.state import Steady, Verdict, judge
from .._wait.waiting import PodsOf, last_words, lasts, owned_by, pods_of
from .diff import Path, differences

Object = t.Dict[str, t.Any]
#: What a pod gets after it was made.
_LATER = frozenset(("nodeName", "ephemeralContainers"))
#: Volumes that each pod gets under a name of its own.
_OWN_VOLUMES = "kube-api-access-"


class Old(t.NamedTuple):
    """A pod that is not as its controller's template has it, and where."""

    pod: Object
    paths: list[Path]

    @property
    def name(self) -> str:
        return str(self.pod["metadata"]["name"])

    def where(self) -> list[str]:
        return [".".join(path) for path in self.paths]


class Template:
    """What pods look like that a ReplicationController makes now.

    The API itself is asked, by a creation that is only tried: its defaults and what admission adds are no
    difference then, and a field that the template has no more is one. Where that is refused (rights, a
    quota), a pod is compared with the template alone, and so is old only where it lacks something.
    """

    def __init__(self, client: Client, controller: Object) -> None:
        template = controller["spec"].get("template") or {}
        metadata = template.get("metadata") or {}
        self._metadata = {key: metadata[key] for key in ("labels", "annotations") if metadata.get(key)}
        self._spec: Object = template.get("spec") or {}
        self._made: Object | None = None
        named = dict(self._metadata, generateName="%s-" % controller["metadata"]["name"])
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": named, "spec": self._spec}
        try:
            tried = client.trial().create(POD, controller["metadata"]["namespace"], body, repeatable=True)
            self._made = _comparable(tried["spec"])
        except ClusterError:
            pass

    def missed_by(self, pod: Object) -> list[Path]:
        """Where a pod differs."""
        have = _comparable(pod.get("spec") or {})
        found = differences(self._metadata, pod["metadata"], ("metadata",))
        if self._made is None:
            return found + differences(self._spec, have, ("spec",))
        found += differences(self._made, have, ("spec",))
        kept = {key: value for key, value in have.items() if key not in _LATER}
        return found + [path for path in differences(kept, self._made, ("spec",)) if path not in found]


def old_pods(client: Client, controller: Object) -> list[Old]:
    """The living pods of a controller that its template would not make so, those that are not ready first."""
    owned = owned_by(controller)
    items, _version = client.list(
        POD, controller["metadata"]["namespace"], pods_of(client, controller).labels
    )
    pods = [pod for pod in items if owned(pod) and lasts(pod)]
    if not pods:
        return []
    template = Template(client, controller)
    found = [Old(pod, template.missed_by(pod)) for pod in pods]
    return sorted(
        (old for old in found if old.paths), key=lambda old: (judge(old.pod, "Ready").done, old.name)
    )


def warning(client: Client, controller: Object) -> list[str]:
    """What to say of a controller whose pods are not as its template has them, if they may be looked at."""
    try:
        old = old_pods(client, controller)
    except ClusterError:
        return []
    if not old:
        return []
    shown = "; ".join("%s: %s" % (one.name, ", ".join(one.where()[:3])) for one in old[:2])
    return [
        "ReplicationController %s: %d of its pods run an older template (%s); a changed template is for pods "
        "to come, and navarch.cluster.replication_controller with update: one_by_one replaces them"
        % (controller["metadata"]["name"], len(old), shown)
    ]


def changes_template(differing: t.Sequence[Path]) -> bool:
    return any(path[:2] == ("spec", "template") for path in differing)


def replace_one_by_one(
    client: Client, controller: Object, old: t.Sequence[Old], timeout: float, patient: bool, min_ready: float
) -> None:
    """Deletes each of these pods when the one before has been replaced by a pod that is ready.

    ``timeout``: seconds for each of them. Raises WaitError at the first replacement that does not become
    ready: the pods that are left go on as they were.
    """
    name, namespace = controller["metadata"]["name"], controller["metadata"]["namespace"]
    steady = Steady(min_ready, client.now)
    left = {one.pod["metadata"]["uid"] for one in old}
    for count, one in enumerate(old):
        deadline = time.monotonic() + timeout
        client.patient_until = max(client.patient_until, deadline)
        uid = one.pod["metadata"]["uid"]
        client.delete(POD, namespace, one.name, uid=uid)
        left.discard(uid)
        now = client.get(REPLICATION_CONTROLLER, namespace, name)
        if now is None:
            raise WaitError("replication controller %s was deleted while its pods were replaced" % name)
        rest = "; %d of %d pods with an older template are left" % (len(left), len(old)) if left else ""
        title = "replication controller %s: what replaces pod %s" % (name, one.name)
        try:
            fresh = _replaced(client, now, uid, left, deadline, patient, steady)
        except _NotReady as problem:
            if problem.final:
                raise WaitError("%s will not be ready: %s%s" % (title, problem, rest), object=now) from None
            raise WaitError(
                "wait_timeout: %s is not ready after %d s: %s%s" % (title, timeout, problem, rest), object=now
            ) from None
        if count == 0:
            _hold_comparable(client, now, fresh)


class _NotReady(Exception):
    """Why a replacement is not ready; ``final``: and will not be."""

    def __init__(self, said: str, final: bool) -> None:
        super().__init__(said)
        self.final = final


def _replaced(
    client: Client,
    controller: Object,
    deleted: str,
    left: t.Collection[str],
    deadline: float,
    patient: bool,
    steady: Steady,
) -> list[Object]:
    """Waits until the controller has as many pods as it should, and all but the old ones are ready. Those."""
    owned = owned_by(controller)
    wanted = int(controller["spec"].get("replicas", 1))

    def is_fresh(pod: Object) -> bool:
        uid = pod["metadata"].get("uid")
        return owned(pod) and lasts(pod) and uid != deleted and uid not in left

    pods = PodsOf(0, is_fresh, patient, steady)

    def verdict(objects: t.Mapping[str, Object]) -> Verdict:
        living = [pod for pod in objects.values() if owned(pod) and lasts(pod)]
        pods.wanted = sum(map(is_fresh, living))
        found = pods.verdict(objects)
        if found.done and len(living) < wanted:
            return Verdict(reason="%d of %d pods are there" % (len(living), wanted))
        return found

    last, objects = pods_of(client, controller).until(verdict, deadline)
    if last.failed:
        raise _NotReady(last.failed + last_words(client, pods.culprit), final=True)
    if not last.done:
        raise _NotReady(last.reason, final=False)
    return [pod for pod in objects.values() if is_fresh(pod)]


def _hold_comparable(client: Client, controller: Object, fresh: t.Sequence[Object]) -> None:
    """Something may change pods only when they are really made, such as a webhook that ignores tries. Then
    every pod would be replaced at each run.
    """
    template = Template(client, controller)
    newest = max(fresh, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), default=None)
    paths = template.missed_by(newest) if newest else []
    if newest and paths:
        raise ClusterError(
            "update: pod %s is new and not as the template has it (%s): something in the cluster changes "
            "pods, so that old ones cannot be told from new ones"
            % (newest["metadata"]["name"], ", ".join(".".join(path) for path in paths[:3]))
        )


def _comparable(spec: Object) -> Object:
    """A pod's spec without the token volumes that each pod gets under another name."""
    made = dict(spec)
    if spec.get("volumes"):
        made["volumes"] = _without_own(spec["volumes"])
    for key in ("containers", "initContainers"):
        if spec.get(key):
            made[key] = [
                dict(one, volumeMounts=_without_own(one["volumeMounts"])) if one.get("volumeMounts") else one
                for one in spec[key]
            ]
    return {key: value for key, value in made.items() if value not in ([], {})}


def _without_own(items: list[Object]) -> list[Object]:
    return [item for item in items if not str(item.get("name") or "").startswith(_OWN_VOLUMES)]
