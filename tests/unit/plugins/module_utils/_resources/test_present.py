# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Races and check mode of present and absent, and waiting, against a cluster that a test scripts."""

from __future__ import annotations

import time

import pytest
from ansible_collections.navarch.cluster.plugins.module_utils._api.client import NAMESPACE, POD
from ansible_collections.navarch.cluster.plugins.module_utils._api.errors import (
    ClusterError,
    MaybeDone,
    StatusError,
    WaitError,
)
from ansible_collections.navarch.cluster.plugins.module_utils._pods.state import immutable_options
from ansible_collections.navarch.cluster.plugins.module_utils._resources.present import (
    absent,
    definition,
    present,
)
from ansible_collections.navarch.cluster.plugins.module_utils._wait.waiting import (
    controller_ready,
    gone,
    pod_reaches,
)


class Cluster:
    """Answers each verb from its own list, an exception by raising it, and keeps what was called."""

    def __init__(self, dry_run=False, **answers):
        self.dry_run = dry_run
        self.answers = {verb: list(given) for verb, given in answers.items()}
        self.calls = []

    def _answer(self, verb, *call):
        self.calls.append((verb, *call))
        given = self.answers[verb]
        answer = given.pop(0) if len(given) > 1 else given[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def get(self, kind, namespace, name):
        return self._answer("get", name)

    def create(self, kind, namespace, body):
        self.calls.append(("body", body["metadata"]["name"]))
        return self._answer("create") or dict(body)

    def patch(self, kind, namespace, name, body):
        return self._answer("patch", body)

    def delete(self, kind, namespace, name, grace=None, uid=None):
        return self._answer("delete", grace, uid)

    def now(self):
        return time.time()

    def text(self, kind, namespace, name, sub, query):
        return self._answer("text", query)

    def list(self, kind, namespace, labels=(), fields=(), until=0.0):
        return self._answer("list", kind.plural), "1"

    def watch(self, kind, namespace, version, deadline, labels=(), fields=(), until=0.0):
        events = self._answer("watch", version)
        for event in events:
            if isinstance(event, Exception):
                raise event
            yield event

    def verbs(self):
        return [call[0] for call in self.calls if call[0] != "body"]


def conflict(reason="AlreadyExists"):
    return StatusError(409, reason, "conflict")


def missing():
    return StatusError(404, "NotFound", "not found")


def live(uid="1", status=None, image="i", **metadata):
    made = definition(
        POD,
        "web",
        "default",
        dict(metadata, uid=uid, resourceVersion="5"),
        {"containers": [{"name": "c", "image": image}]},
    )
    return dict(made, status=status or {"phase": "Pending"})


ASKED = definition(
    POD, "web", "default", {"labels": {"a": "b"}}, {"containers": [{"name": "c", "image": "i"}]}
)
LABELLED = live(labels={"a": "b"})
READY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


def make(cluster, **keywords):
    return present(cluster, POD, ASKED, immutable_options, **keywords)


def test_somebody_else_was_quicker_to_create_it():
    cluster = Cluster(get=[None, LABELLED], create=[conflict()])
    assert make(cluster).result("pod")["changed"] is False
    assert cluster.verbs() == ["get", "create", "get"]


def test_somebody_else_changed_or_removed_it_in_between():
    cluster = Cluster(get=[live(), live(), None], patch=[conflict("Conflict"), missing()], create=[LABELLED])
    result = make(cluster).result("pod")
    assert result["changed"] is True
    assert result["diff"]["before"] == {}
    assert cluster.verbs() == ["get", "patch", "get", "patch", "get", "create"]


def test_an_endless_fight_ends():
    with pytest.raises(ClusterError, match="keeps being changed"):
        make(Cluster(get=[live()], patch=[conflict("Conflict")]))


def test_changed_is_what_the_api_made_of_it():
    """A server that turns what is asked into what is there has changed nothing, and the result says so."""
    result = make(Cluster(get=[live()], patch=[live()])).result("pod")
    assert result["changed"] is False
    assert result["diff"]["before"] == result["diff"]["after"]


def test_one_on_its_way_out_is_waited_for_and_made_anew():
    going = live(deletionTimestamp="x", labels={"a": "b"})
    cluster = Cluster(get=[going], list=[[going]], watch=[[("DELETED", going)]], create=[LABELLED])
    assert make(cluster).result("pod")["changed"] is True
    assert cluster.verbs() == ["get", "list", "watch", "create"]


def test_recreation_deletes_just_what_was_looked_at():
    cluster = Cluster(get=[live(image="other", hostname="x")], delete=[True], list=[[]], create=[LABELLED])
    asked = dict(ASKED, spec={"containers": ASKED["spec"]["containers"], "hostname": "h"})
    outcome = present(cluster, POD, asked, immutable_options, recreate=True)
    assert ("delete", None, "1") in cluster.calls
    assert outcome.result("pod")["changed"] is True


def test_recreation_in_check_mode_is_validated_beside_the_old_one():
    cluster = Cluster(dry_run=True, get=[live()], delete=[True], create=[None])
    asked = dict(ASKED, spec={"containers": ASKED["spec"]["containers"], "hostname": "h"})
    result = present(cluster, POD, asked, immutable_options, recreate=True).result("pod")
    assert ("body", "web-check") in cluster.calls
    assert result["pod"]["metadata"]["name"] == "web"
    assert "list" not in cluster.verbs()


def test_check_mode_before_its_namespace_exists():
    result = make(Cluster(dry_run=True, get=[None], create=[missing()])).result("pod")
    assert result["changed"] is True
    assert result["warnings"] == ["namespace default does not exist yet, so the cluster could not check this"]
    with pytest.raises(StatusError):
        make(Cluster(get=[None], create=[missing()]))


@pytest.mark.parametrize(
    ("grace", "left", "deletes"), [(None, 30, False), (0, 30, True), (30, 30, False), (60, 30, False)]
)
def test_what_is_being_deleted_is_deleted_again_only_when_sooner(grace, left, deletes):
    going = live(deletionTimestamp="x", deletionGracePeriodSeconds=left)
    cluster = Cluster(get=[going], delete=[True])
    result = absent(cluster, POD, "default", "web", grace, wait=False, timeout=1).result("pod")
    assert ("delete" in cluster.verbs()) is deletes
    assert result["changed"] is deletes


def soon(seconds=2.0):
    return time.monotonic() + seconds


def test_another_object_of_the_same_name_is_not_the_one_waited_for():
    gone(Cluster(list=[[live(uid="2")]]), POD, live(), soon())


def test_what_does_not_go_says_what_holds_it():
    held = live(deletionTimestamp="x", finalizers=["example.org/backup"])
    with pytest.raises(
        WaitError, match=r"^wait_timeout: Pod web is still there .* example.org/backup hold it"
    ):
        gone(Cluster(list=[[held]], watch=[[]]), POD, held, soon(0.1))


def test_a_watch_that_breaks_or_expires_is_taken_up_again():
    expired = StatusError(410, "Expired", "too old")
    cluster = Cluster(
        list=[[live()]],
        watch=[
            [("BOOKMARK", {"metadata": {"resourceVersion": "7"}})],
            [expired],
            [("MODIFIED", live(status=READY))],
        ],
    )
    assert pod_reaches(cluster, "default", "web", "Ready", 5)["status"] == READY
    assert [call for call in cluster.calls if call[0] == "watch"] == [
        ("watch", "1"),
        ("watch", "7"),
        ("watch", "1"),
    ]


def test_a_pod_that_is_deleted_while_waiting():
    with pytest.raises(WaitError, match=r"pod web will not be Ready: it was deleted while waiting"):
        pod_reaches(Cluster(list=[[live()]], watch=[[("DELETED", live())]]), "default", "web", "Ready", 5)


CONTROLLER = {
    "metadata": {"name": "rc", "namespace": "default", "uid": "rc-uid", "generation": 2},
    "spec": {"replicas": 1, "selector": {"a": "b"}},
}


def of_controller(**more):
    return live(ownerReferences=[{"uid": "rc-uid"}], **more)


def test_a_controller_is_ready_when_its_pods_and_itself_say_so():
    stale = dict(CONTROLLER, status={"replicas": 1, "readyReplicas": 1, "observedGeneration": 1})
    fresh = dict(CONTROLLER, status={"replicas": 1, "readyReplicas": 1, "observedGeneration": 2})
    evicted = dict(
        of_controller(status={"phase": "Failed", "reason": "Evicted"}),
        metadata=dict(of_controller()["metadata"], name="old"),
    )
    cluster = Cluster(list=[[of_controller(status=READY), evicted], [stale]], watch=[[("MODIFIED", fresh)]])
    assert controller_ready(cluster, CONTROLLER, 5) == fresh


def test_a_controller_whose_pods_cannot_run():
    waiting = {"name": "c", "state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}}
    lost = of_controller(status={"phase": "Pending", "containerStatuses": [waiting]})
    with pytest.raises(
        WaitError, match=r"will not be ready: pod web: container c: ErrImagePull: no such image"
    ):
        controller_ready(Cluster(list=[[lost]], get=[CONTROLLER]), CONTROLLER, 5)


def test_a_controller_that_may_not_make_pods_says_why():
    trouble = {"type": "ReplicaFailure", "status": "True", "message": "quota exceeded"}
    refused = dict(CONTROLLER, status={"replicas": 0, "conditions": [trouble]})
    with pytest.raises(
        WaitError, match=r"^wait_timeout: replication controller rc is not ready after 0 s: quota exceeded"
    ):
        controller_ready(Cluster(list=[[]], watch=[[]], get=[refused]), CONTROLLER, 0.1)


def test_a_namespace_says_why_it_is_still_there():
    said = "Some resources are remaining: pods. has 1 resource instances"
    conditions = [
        {"type": "NamespaceDeletionContentFailure", "status": "False", "message": "all deleted"},
        {"type": "NamespaceContentRemaining", "status": "True", "message": said},
    ]
    item = {"kind": "Namespace", "metadata": {"name": "n", "uid": "1"}, "status": {"conditions": conditions}}
    cluster = Cluster(list=[[item]], watch=[[]])
    with pytest.raises(WaitError, match="time is up: NamespaceContentRemaining: Some resources are remain"):
        gone(cluster, NAMESPACE, item, time.monotonic() + 0.1)


@pytest.mark.parametrize(
    ("there", "created"),
    [([None, LABELLED], ["get", "create", "get"]), ([None], ["get", "create", "get", "create"])],
    ids=["done", "not done"],
)
def test_a_creation_whose_answer_is_lost_is_looked_for_and_is_this_tasks(there, created):
    cluster = Cluster(get=there, create=[MaybeDone("broke"), LABELLED])
    outcome = present(cluster, POD, ASKED, immutable_options)
    assert cluster.verbs() == created
    assert outcome.result("pod")["changed"]
    assert (outcome.before, outcome.live) == (None, LABELLED)


def test_a_replacement_whose_answer_is_lost_is_told_as_one():
    old = live(uid="0", image="other")
    old["spec"]["hostname"] = "old"
    asked = dict(ASKED, spec=dict(ASKED["spec"], hostname="new"))
    new = dict(LABELLED, spec=dict(LABELLED["spec"], hostname="new"))
    cluster = Cluster(get=[old, new], create=[MaybeDone("broke")], delete=[True], list=[[]])
    outcome = present(cluster, POD, asked, immutable_options, recreate=True)
    assert (outcome.before, outcome.live, outcome.recreated) == (old, new, True)


def test_a_deletion_is_held_to_what_was_looked_at():
    cluster = Cluster(get=[live(uid="1"), live(uid="2")], delete=[conflict("Conflict"), True])
    assert absent(cluster, POD, "default", "web", None, False, 5).before["metadata"]["uid"] == "2"
    assert [call for call in cluster.calls if call[0] == "delete"] == [
        ("delete", None, "1"),
        ("delete", None, "2"),
    ]


def crashing(**state):
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}
    container = {"name": "c", "restartCount": 2, "state": state}
    container["lastState"] = {"terminated": {"exitCode": 3, "reason": "Error"}}
    return live(status=dict(status, containerStatuses=[container]))


def test_a_container_that_ends_at_once_is_not_ready_and_says_how_it_ended():
    back_off = crashing(waiting={"reason": "CrashLoopBackOff"})
    events = [[("MODIFIED", live(status=READY))], [("MODIFIED", back_off)]]
    cluster = Cluster(list=[[live()]], watch=events, text=["no such table\n"])
    with pytest.raises(WaitError) as told:
        pod_reaches(cluster, "default", "web", "Ready", 20, min_ready=5)
    assert str(told.value) == (
        "pod web will not be Ready: container c: CrashLoopBackOff (last run: exit code 3, Error)"
        "; its last line: no such table"
    )
    assert ("text", {"container": "c", "tailLines": 1, "previous": "true"}) in cluster.calls


def test_readiness_must_last():
    cluster = Cluster(list=[[live(status=READY)]], watch=[[]])
    began = time.monotonic()
    assert pod_reaches(cluster, "default", "web", "Ready", 20, min_ready=0.7)["status"] == READY
    assert 0.7 <= time.monotonic() - began < 10
