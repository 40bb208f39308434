# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Finding out what an API calls its kinds, with as few questions as can be."""

from __future__ import annotations

import pytest
from ansible_collections.navarch.cluster.plugins.module_utils._api.client import Client
from ansible_collections.navarch.cluster.plugins.module_utils._api.discovery import (
    UnknownKind,
    forget,
    kind_of,
)
from ansible_collections.navarch.cluster.plugins.module_utils._api.errors import StatusError
from ansible_collections.navarch.cluster.plugins.module_utils._api.kubeconfig import Connection

CORE = {
    "resources": [
        {"name": "pods", "kind": "Pod", "namespaced": True, "shortNames": ["po"]},
        {"name": "pods/binding", "kind": "Binding", "namespaced": True},
    ]
}
GROUPS = {
    "groups": [{"preferredVersion": {"groupVersion": "apps/v1"}, "versions": [{"groupVersion": "apps/v1"}]}]
}
APPS = {"resources": [{"name": "things", "singularName": "thing", "kind": "Thing", "namespaced": False}]}


def client(serve, *script):
    return Client(Connection(server=serve(*((200, step) for step in script))))


def test_a_kind_of_a_known_version_costs_one_question(serve):
    one = client(serve, CORE)
    for name in ("Pod", "pod", "pods", "po"):
        kind = kind_of(one, name, "v1")
        assert (kind.kind, kind.plural, kind.namespaced) == ("Pod", "pods", True)
    assert [asked[1] for asked in serve.asked] == ["/api/v1"]
    with pytest.raises(UnknownKind, match="kind: the cluster has no kind Binding of v1"):
        kind_of(one, "Binding", "v1")


def test_without_a_version_all_groups_are_looked_through_once(serve):
    one = client(serve, GROUPS, CORE, APPS)
    for _again in range(2):
        kind = kind_of(one, "thing")
        assert (kind.api_version, kind.namespaced) == ("apps/v1", False)
    assert [asked[1] for asked in serve.asked] == ["/apis", "/api/v1", "/apis/apps/v1"]
    forget(one)
    kind_of(one, "Thing", "apps/v1")
    assert len(serve.asked) == 4


def test_a_version_that_is_not_served(serve):
    base = serve((404, {"kind": "Status", "code": 404, "reason": "NotFound", "message": "no"}))
    with pytest.raises(UnknownKind, match="no kind Pod of v9"):
        kind_of(Client(Connection(server=base)), "Pod", "v9")


def test_a_group_whose_server_is_away_does_not_hide_the_others(serve, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    groups = {"groups": [{"preferredVersion": {"groupVersion": name}} for name in ("away/v1", "apps/v1")]}
    away = [(503, {"kind": "Status", "message": "away"})] * 5
    script = [(200, groups), (200, CORE), *away, (200, APPS), (503, {"kind": "Status", "message": "away"})]
    one = Client(Connection(server=serve(*script)))
    assert kind_of(one, "Thing").api_version == "apps/v1"
    with pytest.raises(StatusError, match="503"):
        kind_of(one, "Thing", "away/v1")
