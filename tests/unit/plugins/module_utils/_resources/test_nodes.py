# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Draining nodes of clusters that are not as ours: with disruption budgets, or without evictions."""

from __future__ import annotations

import pytest
from ansible_collections.navarch.cluster.plugins.module_utils._api.client import Client
from ansible_collections.navarch.cluster.plugins.module_utils._api.errors import ClusterError
from ansible_collections.navarch.cluster.plugins.module_utils._api.kubeconfig import Connection
from ansible_collections.navarch.cluster.plugins.module_utils._resources import nodes

NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "spec": {"unschedulable": True}}
POD = {
    "kind": "Pod",
    "metadata": {
        "name": "p",
        "namespace": "default",
        "uid": "1",
        "ownerReferences": [{"controller": True, "kind": "ReplicaSet", "uid": "2"}],
    },
}
PODS = {"metadata": {"resourceVersion": "1"}, "items": [POD]}
DONE = {"kind": "Status", "status": "Success"}
BUDGET = {"kind": "Status", "reason": "TooManyRequests", "message": "would violate the pod's budget"}
OPTIONS = {
    "name": "n",
    "state": "drained",
    "force": False,
    "delete_empty_dir_data": False,
    "delete_grace_period": None,
    "labels": None,
    "annotations": None,
    "taints": None,
    "schedulable": None,
    "wait": False,
}


def drain(address, timeout=60):
    return nodes.node(Client(Connection(server=address)), dict(OPTIONS, wait_timeout=timeout))


def verbs(serve):
    return [(asked[0], asked[1].partition("?")[0]) for asked in serve.asked]


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(nodes, "BUDGET_SECONDS", 0.01)
    monkeypatch.setattr("time.sleep", lambda seconds: None)


def test_a_budget_is_waited_for(serve):
    refusals = [(429, BUDGET)] * 7  # more than one request is repeated
    result = drain(serve((200, NODE), (200, PODS), *refusals, (201, DONE)))
    assert result["evicted"] == ["default/p"]
    assert verbs(serve)[-1] == ("POST", "/api/v1/namespaces/default/pods/p/eviction")


def test_a_budget_that_never_allows_it_is_told(serve):
    with pytest.raises(ClusterError, match="1 of 1 pods were not evicted: default/p: would violate"):
        drain(serve((200, NODE), (200, PODS), (429, BUDGET)), timeout=0)


def test_without_evictions_pods_are_deleted(serve):
    drain(serve((200, NODE), (200, PODS), (404, "404 page not found"), (200, DONE)))
    assert verbs(serve)[-1] == ("DELETE", "/api/v1/namespaces/default/pods/p")


def test_a_pod_that_was_bound_before_the_cordon_leaves_too(serve):
    open_ = dict(NODE, spec={})
    late = dict(POD, metadata=dict(POD["metadata"], name="q", uid="3"))
    both = dict(PODS, items=[POD, late])
    result = drain(serve((200, open_), (200, PODS), (200, NODE), (200, both), (201, DONE), (201, DONE)))
    assert result["evicted"] == ["default/p", "default/q"]
    assert [verb for verb, path in verbs(serve)] == ["GET", "GET", "PATCH", "GET", "POST", "POST"]


def test_a_pod_that_has_gone_is_no_trouble(serve):
    gone = {"kind": "Status", "reason": "NotFound", "message": 'pods "p" not found'}
    assert drain(serve((200, NODE), (200, PODS), (404, gone)))["evicted"] == ["default/p"]
    assert verbs(serve)[-1][0] == "POST"


MISSING = {
    "kind": "Status",
    "reason": "NotFound",
    "message": "the server could not find the requested resource",
}
REVOCATIONS = "/apis/authentication.navarch.io/v1alpha1/noderevocations"


@pytest.mark.parametrize("answer", ["404 page not found", MISSING])
def test_a_cluster_that_cannot_throw_out_deletes_the_node(serve, answer):
    address = serve((200, NODE), (404, answer), (200, DONE))
    result = nodes.node(Client(Connection(server=address)), dict(OPTIONS, state="absent", wait_timeout=1))
    assert (result["changed"], result["node"], result["revocation"]) == (True, None, None)
    assert set(result["diff"]) == {"before", "after", "before_header", "after_header"}
    assert verbs(serve)[-1] == ("DELETE", "/api/v1/nodes/n")


def test_who_may_not_throw_out_is_told_so_and_deletes_nothing(serve):
    refused = {"kind": "Status", "reason": "Forbidden", "message": "jane cannot create noderevocations"}
    none = {"kind": "Status", "reason": "NotFound", "message": 'noderevocations "n" not found', "details": {}}
    address = serve((200, NODE), (404, none), (403, refused))
    with pytest.raises(ClusterError, match="jane cannot create noderevocations"):
        nodes.node(Client(Connection(server=address)), dict(OPTIONS, state="absent", wait_timeout=1))
    assert verbs(serve)[-1] == ("POST", REVOCATIONS)
