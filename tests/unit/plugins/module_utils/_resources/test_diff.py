# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Only what was asked for counts, whatever the server adds; and the patch does what the difference says."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.navarch.cluster.plugins.module_utils._resources.diff import differences, merge_patch

ASKED = {
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {
        "containers": [
            {
                "name": "web",
                "image": "busybox:1",
                "env": [
                    {"name": "A", "value": "1"},
                    {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                ],
                "ports": [{"containerPort": 80}],
                "resources": {"limits": {"cpu": "0.1", "memory": "1Gi"}},
                "volumeMounts": [{"name": "d", "mountPath": "/d"}],
            }
        ],
        "volumes": [{"name": "d", "emptyDir": {}}],
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
    },
}


@pytest.fixture
def live():
    """What a server makes of ASKED: defaults, canonical quantities, admission's additions, other people's
    labels.
    """
    made = copy.deepcopy(ASKED)
    made["metadata"]["labels"]["team"] = "blue"
    spec = made["spec"]
    spec.update(restartPolicy="Always", nodeName="node-1")
    container = spec["containers"][0]
    container.update(imagePullPolicy="IfNotPresent", terminationMessagePath="/dev/termination-log")
    container["resources"] = {
        "limits": {"cpu": "100m", "memory": "1024Mi"},
        "requests": {"cpu": "100m", "memory": "1024Mi"},
    }
    container["ports"] = [{"containerPort": 80, "protocol": "TCP"}]
    container["env"][1]["valueFrom"]["fieldRef"]["apiVersion"] = "v1"
    container["volumeMounts"].append(
        {"name": "kube-api-access-x1", "mountPath": "/var/run/secrets", "readOnly": True}
    )
    spec["volumes"].append({"name": "kube-api-access-x1", "projected": {"sources": []}})
    spec["tolerations"].append(
        {
            "key": "node.kubernetes.io/not-ready",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": 300,
        }
    )
    return made


def changed(**parts):
    asked = copy.deepcopy(ASKED)
    asked["spec"]["containers"][0].update(parts)
    return asked


def test_what_the_server_adds_is_no_difference(live):
    assert differences(ASKED, live) == []
    assert merge_patch(ASKED, live) is None


def test_nothing_asked_nothing_differs(live):
    assert differences({"spec": {}}, live) == []


@pytest.mark.parametrize(
    ("asked", "path", "patch"),
    [
        (changed(image="busybox:2"), "spec.containers[web].image", {"image": "busybox:2"}),
        (
            changed(resources={"limits": {"cpu": "200m"}}),
            "spec.containers[web].resources.limits.cpu",
            {"resources": {"limits": {"cpu": "200m"}}},
        ),
        (
            changed(env=[{"name": "A", "value": "1"}]),
            "spec.containers[web].env[B]",
            {"env": [{"$patch": "delete", "name": "B"}]},
        ),
        (
            changed(env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]),
            "spec.containers[web].env[B].value",
            {"env": [{"name": "B", "value": "2", "valueFrom": None}]},
        ),
        (
            changed(ports=[{"containerPort": 81}]),
            "spec.containers[web].ports[81/TCP]",
            {"ports": [{"containerPort": 81}, {"$patch": "delete", "containerPort": 80}]},
        ),
        (
            changed(ports=[{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}]),
            "spec.containers[web].ports[80/UDP]",
            {
                "ports": [
                    {"$patch": "replace"},
                    {"containerPort": 80},
                    {"containerPort": 80, "protocol": "UDP"},
                ]
            },
        ),
        (changed(command=["sh"]), "spec.containers[web].command", {"command": ["sh"]}),
        (
            changed(volumeMounts=[{"name": "d", "mountPath": "/e"}]),
            "spec.containers[web].volumeMounts[/e]",
            {"volumeMounts": [{"name": "d", "mountPath": "/e"}, {"$patch": "delete", "mountPath": "/d"}]},
        ),
    ],
)
def test_a_difference_in_a_container(live, asked, path, patch):
    assert path in [".".join(p) for p in differences(asked, live)]
    assert merge_patch(asked, live) == {"spec": {"containers": [dict(patch, name="web")]}}


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("env", [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]),
        ("ports", [{"containerPort": 80, "hostPort": 80}, {"containerPort": 80, "hostPort": 81}]),
    ],
)
def test_members_of_one_key(live, name, members):
    asked = {"spec": {"containers": [{"name": "web", name: members}]}}
    whole = [{"$patch": "replace"}, *members]
    assert merge_patch(asked, live) == {"spec": {"containers": [{name: whole, "name": "web"}]}}
    live["spec"]["containers"][0][name] = [dict(one, more="by the server") for one in members]
    assert differences(asked, live) == []
    back = merge_patch(ASKED, live)["spec"]["containers"][0][name]
    assert back == [{"$patch": "replace"}, *ASKED["spec"]["containers"][0][name]]


def test_another_sort_of_volume_takes_the_old_one_away(live):
    asked = copy.deepcopy(ASKED)
    asked["spec"]["volumes"] = [{"name": "d", "hostPath": {"path": "/srv"}}]
    assert merge_patch(asked, live) == {
        "spec": {"volumes": [{"name": "d", "emptyDir": None, "hostPath": {"path": "/srv"}}]}
    }
    back = dict(live, spec=dict(live["spec"], volumes=[{"name": "d", "hostPath": {"path": "/srv"}}]))
    assert merge_patch(ASKED, back) == {
        "spec": {"volumes": [{"name": "d", "hostPath": None, "emptyDir": {}}]}
    }


def test_labels_of_others_stay_and_empty_ones_count(live):
    assert merge_patch({"metadata": {"labels": {"x": ""}}}, live) == {"metadata": {"labels": {"x": ""}}}


def test_a_toleration_more_keeps_those_of_the_server(live):
    gpu, ssd = {"key": "gpu", "operator": "Exists"}, {"key": "ssd", "operator": "Exists"}
    patch = merge_patch({"spec": {"tolerations": [gpu, ssd]}}, live)
    assert [item["key"] for item in patch["spec"]["tolerations"]] == [
        "gpu",
        "ssd",
        "node.kubernetes.io/not-ready",
    ]


@pytest.mark.parametrize(
    ("asked", "have", "same"),
    [
        ({"port": "80"}, {"port": 80}, True),
        ({"optional": False}, {}, True),
        ({"optional": True}, {}, False),
        ({"path": ""}, {}, True),
        ({"replicas": 0}, {"replicas": 1}, False),
        ({"limits": {}}, {}, True),
        ({"emptyDir": {}}, {}, False),
        ({"args": []}, {}, True),
        ({"args": ["1"]}, {"args": [1]}, True),
        ({"args": ["a", "b"]}, {"args": ["b", "a"]}, False),
        ({"flag": True}, {"flag": 1}, False),
        ({"httpGet": {"path": ""}}, {"httpGet": {"path": "/"}}, True),
        ({"httpGet": {"path": ""}}, {"httpGet": {"path": "/x"}}, False),
        ({"livenessProbe": {"failureThreshold": 0}}, {"livenessProbe": {"failureThreshold": 3}}, True),
        ({"livenessProbe": {"failureThreshold": 0}}, {"livenessProbe": {"failureThreshold": 4}}, False),
    ],
)
def test_scalars(asked, have, same):
    assert (differences(asked, have) == []) is same


def apply_patch(live, patch):
    """Strategic merge patch as the API reference tells it, for what merge_patch makes."""
    keys = {
        "containers": "name",
        "env": "name",
        "volumes": "name",
        "ports": "containerPort",
        "volumeMounts": "mountPath",
    }
    made = copy.deepcopy(live)
    for name, value in patch.items():
        if value is None:
            made.pop(name, None)
        elif isinstance(value, dict):
            made[name] = apply_patch(made.get(name) or {}, value)
        elif isinstance(value, list) and name in keys and value[:1] != [{"$patch": "replace"}]:
            members = {item[keys[name]]: item for item in made.get(name) or []}
            for item in value:
                key = item[keys[name]]
                if item.get("$patch") == "delete":
                    members.pop(key, None)
                else:
                    members[key] = apply_patch(members.get(key) or {}, item)
            made[name] = list(members.values())
        else:
            made[name] = value[1:] if value and value[:1] == [{"$patch": "replace"}] else value
    return made


@pytest.mark.parametrize(
    "parts",
    [
        {"image": "x", "env": [{"name": "C", "value": "3"}]},
        {"ports": []},
        {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]},
        {"livenessProbe": {"exec": {"command": ["true"]}}, "resources": {"limits": {"memory": "2Gi"}}},
    ],
)
def test_a_second_run_finds_nothing_to_do(live, parts):
    asked = changed(**parts)
    patched = apply_patch(live, merge_patch(asked, live))
    assert differences(asked, patched) == []
    assert merge_patch(asked, patched) is None
