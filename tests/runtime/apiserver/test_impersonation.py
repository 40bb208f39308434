# SPDX-License-Identifier: GPL-3.0-or-later
"""Acting as somebody else: the other one's rights count, and only who may take on a name can."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from apiserver_support import Http, Standalone
from test_access import as_user

from navarch.client import kubeconfig
from navarch.client.http import HttpClient

WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


async def test_the_other_ones_rights_count(http: Http) -> None:
    bob = {"Impersonate-User": "bob", "Impersonate-Group": "people", "Impersonate-Extra-Acme.Com%2Fteam": "x"}
    # The connection knows its admin by then; that must not help bob.
    assert (await http("GET", "/api/v1/pods"))[0] == 200
    code, body = await http("GET", "/api/v1/pods", headers=bob)
    assert code == 403
    assert 'User "bob" cannot list resource "pods"' in body["message"]
    assert (await http("GET", "/metrics", headers=bob))[0] == 403
    assert (await http("GET", "/metrics"))[0] == 200
    info = (await http("POST", WHO, json={}, headers=bob))[1]["status"]["userInfo"]
    assert info == {
        "username": "bob",
        "groups": ["people", "system:authenticated"],
        "extra": {"acme.com/team": ["x"]},
    }
    account = {"Impersonate-User": "system:serviceaccount:ns:sa"}
    info = (await http("POST", WHO, json={}, headers=account))[1]["status"]["userInfo"]
    assert info["groups"] == ["system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"]
    code, body = await http("GET", "/api/v1/pods", headers={"Impersonate-Group": "people"})
    assert (code, body["reason"]) == (400, "BadRequest")
    assert (await http("GET", "/api/v1/pods"))[0] == 200


async def test_who_may_not_cannot(server: Standalone, tmp_path: Path) -> None:
    async with as_user(server, tmp_path, "jane", "people") as jane:
        for headers in (
            {"Impersonate-User": "admin", "Impersonate-Group": "system:masters"},
            {"Impersonate-User": "system:serviceaccount:ns:sa"},
        ):
            code, body = await jane("GET", "/api/v1/namespaces/default/pods", headers=headers)
            assert code == 403
            assert 'User "jane" cannot impersonate resource' in body["message"]


async def test_kubectl_asks_for_others(server: Standalone) -> None:
    assert server.kubectl("auth", "can-i", "list", "pods").strip() == "yes"
    assert server.kubectl("auth", "can-i", "list", "pods", "--as", "bob", check=False).strip().endswith("no")


ACTING = {
    "as": "bob",
    "as-uid": "7",
    "as-groups": ["a", "b"],
    "as-user-extra": {"acme.com/team%": ["1", "2"]},
}


def acting(server: Standalone, folder: Path, said: dict[str, Any]) -> Path:
    """The administrator's kubeconfig, whose user acts as somebody else."""
    document = yaml.safe_load(server.kubeconfig.read_text())
    for user in document["users"]:
        user["user"] |= said
    path = folder / "acting.conf"
    path.write_text(yaml.safe_dump(document))
    return path


async def test_a_kubeconfig_that_acts_as_somebody_else(server: Standalone, tmp_path: Path) -> None:
    async with HttpClient.from_kubeconfig(acting(server, tmp_path, ACTING)) as client:
        answer = json.loads(await client.request("POST", WHO, body=b"{}"))
    assert answer["status"]["userInfo"] == {
        "username": "bob",
        "uid": "7",
        "groups": ["a", "b", "system:authenticated"],
        "extra": {"acme.com/team%": ["1", "2"]},
    }


@pytest.mark.parametrize(
    "said",
    [
        {"as-groups": ["a"]},
        {"as": "a", "as-groups": "b"},
        {"as": "a", "as-user-extra": {"k": "v"}},
        {"as": "\n"},
    ],
)
def test_what_nobody_can_act_as(server: Standalone, tmp_path: Path, said: dict[str, Any]) -> None:
    with pytest.raises(kubeconfig.KubeconfigError, match=r"acting\.conf: as"):
        kubeconfig.load(acting(server, tmp_path, said))
