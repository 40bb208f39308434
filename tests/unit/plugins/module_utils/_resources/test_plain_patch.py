# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Patches for kinds of whose lists nothing is known: with them the object is as asked, and keeps the rest."""

from __future__ import annotations

import pytest
from ansible_collections.navarch.cluster.plugins.module_utils._resources.diff import (
    differences,
    plain_patch,
    whole_at,
)

LIVE = {
    "metadata": {"name": "x", "labels": {"a": "1", "b": "2"}},
    "spec": {
        "ports": [
            {"port": 80, "protocol": "TCP", "targetPort": 8080, "nodePort": 30001},
            {"port": 53, "protocol": "UDP", "targetPort": 53, "nodePort": 30002},
        ],
        "taints": [
            {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"},
            {"key": "db", "effect": "NoSchedule"},
        ],
        "rules": [{"hosts": ["a"]}, {"hosts": ["b"]}],
        "hard": {"cpu": "500m"},
    },
}


def merged(target, patch):
    """RFC 7386, as a server does it."""
    if not isinstance(patch, dict):
        return patch
    made = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            made.pop(key, None)
        else:
            made[key] = merged(made.get(key), value)
    return made


@pytest.mark.parametrize(
    "asked",
    [
        {"metadata": {"labels": {"a": "2", "c": "3"}}},
        {"metadata": {"labels": {"a": None}}},
        {"spec": {"ports": [{"port": 80, "targetPort": 9090}]}},
        {"spec": {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 443}]}},
        {"spec": {"ports": []}},
        {"spec": {"taints": [{"key": "db", "effect": "NoExecute"}]}},
        {"spec": {"rules": [{"hosts": ["b"]}]}},
        {"spec": {"other": {"deep": [1, 2]}}},
        {"spec": None},
    ],
)
def test_the_patched_object_is_as_asked(asked):
    assert differences(asked, LIVE)
    patched = merged(LIVE, plain_patch(asked, LIVE))
    assert differences(asked, patched) == []
    assert patched["metadata"]["name"] == "x"


def test_members_that_are_known_keep_what_the_cluster_gave_them():
    patch = plain_patch({"spec": {"ports": [{"port": 80, "targetPort": 9090}]}}, LIVE)
    assert patch == {
        "spec": {"ports": [{"port": 80, "protocol": "TCP", "targetPort": 9090, "nodePort": 30001}]}
    }


def test_marks_of_the_cluster_stay():
    patch = plain_patch({"spec": {"taints": []}}, LIVE)
    assert patch == {"spec": {"taints": [{"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}]}}
    assert not differences({"spec": {"taints": [{"key": "db", "effect": "NoSchedule"}]}}, LIVE)


def test_what_is_the_same_is_no_difference():
    assert differences({"spec": {"hard": {"cpu": "0.5"}, "absent": None}}, LIVE) == []


def test_mappings_that_are_meant_whole():
    asked = {"metadata": {"labels": {"a": "1"}}, "data": {"x": "y"}}
    whole = whole_at(("metadata", "labels"), ("data",), ("none", "at", "all"))(asked, LIVE)
    assert whole == {"metadata": {"labels": {"a": "1", "b": None}}, "data": {"x": "y"}}
    assert differences(whole, LIVE) == [("metadata", "labels", "b"), ("data", "x")]
    assert asked["metadata"]["labels"] == {"a": "1"}
