# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input: the API's own code and a Status, one line from a module, and nothing half-written."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import requests

from .conftest import BIN, KUBECONFIG, Cluster, pid, run

PODS = "/api/v1/namespaces/default/pods"


def pod(name: str = "bad", **container: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "navarch-demo:1", **container}]},
    }


TOO_MUCH = b'{"a":"' + b"x" * (3 * 1024 * 1024 + 10) + b'"}'
BOATS = "/api/v1/namespaces/default/boats"
CASES: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("malformed JSON", PODS, {"data": '{"metadata": {"name": "bad"'}, 400, "BadRequest"),
    ("a wrong type", PODS, {"json": pod() | {"spec": {"containers": "one"}}}, 400, "BadRequest"),
    ("an unknown kind", BOATS, {"json": {"metadata": {"name": "bad"}}}, 404, "NotFound"),
    ("a name that is no DNS label", PODS, {"json": pod("Bad_Name")}, 422, "Invalid"),
    ("a bad quantity", PODS, {"json": pod(resources={"requests": {"cpu": "12zz"}})}, 422, "Invalid"),
    ("no containers", PODS, {"json": pod() | {"spec": {"containers": []}}}, 422, "Invalid"),
    ("a body over the limit", PODS, {"data": TOO_MUCH}, 413, "RequestEntityTooLarge"),
]


@pytest.mark.parametrize(("what", "path", "body", "code", "reason"), CASES, ids=[case[0] for case in CASES])
def test_the_answer_is_a_status(
    cluster: Cluster, what: str, path: str, body: dict[str, Any], code: int, reason: str
) -> None:
    master = pid("navarch-master")
    answer = cluster.request("POST", path, headers={"Content-Type": "application/json"}, **body)
    assert answer.status_code == code, f"{what}: {answer.status_code} {answer.text[:500]}"
    status = answer.json()
    assert (status["kind"], status["status"], status["code"]) == ("Status", "Failure", code)
    assert status["reason"] == reason
    assert status["message"]
    assert pid("navarch-master") == master
    names = {item["metadata"]["name"] for item in cluster.pods()}
    assert not names & {"bad", "Bad_Name"}


def test_a_stale_resource_version_is_a_conflict(cluster: Cluster) -> None:
    path = "/api/v1/namespaces/default/configmaps"
    try:
        made = cluster.request("POST", path, json={"metadata": {"name": "twice"}, "data": {"a": "1"}}).json()
        first = cluster.request("PUT", f"{path}/twice", json={**made, "data": {"a": "2"}})
        assert first.status_code == 200, first.text
        second = cluster.request("PUT", f"{path}/twice", json={**made, "data": {"a": "3"}})
        assert (second.status_code, second.json()["reason"]) == (409, "Conflict")
        assert cluster.get(f"{path}/twice")["data"] == {"a": "2"}
    finally:
        cluster.request("DELETE", f"{path}/twice")


def test_a_bad_token_gets_in_nowhere(cluster: Cluster) -> None:
    answer = requests.get(
        f"{cluster.server}{PODS}",
        headers={"Authorization": "Bearer nonsense"},
        verify=str(cluster.session.verify),
        timeout=10,
    )
    assert (answer.status_code, answer.json()["reason"]) == (401, "Unauthorized")


CONTAINER = {"name": "c", "image": "navarch-demo:1"}
OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"name": "Bad_Name", "containers": [CONTAINER]}, "name"),
    ({"name": "bad", "containers": [CONTAINER | {"resources": {"requests": {"cpu": "12zz"}}}]}, "cpu"),
    ({"name": "bad", "containers": [CONTAINER | {"imagee": "y"}]}, "imagee"),
    ({"name": "bad"}, "containers"),
]


@pytest.mark.parametrize(("options", "named"), OPTIONS, ids=[case[1] for case in OPTIONS])
def test_a_module_names_the_option_in_one_line(cluster: Cluster, options: dict[str, Any], named: str) -> None:
    done = run(
        BIN / "ansible",
        "localhost",
        "-m",
        "navarch.cluster.pod",
        "-a",
        json.dumps({**options, "kubeconfig": str(KUBECONFIG)}),
        ANSIBLE_LOCALHOST_WARNING="False",
        ANSIBLE_INVENTORY_UNPARSED_WARNING="False",
    )
    assert done.returncode != 0
    text = done.stdout + done.stderr
    assert "Traceback" not in text, text
    message = re.search(r'"msg": "(.*)"', done.stdout)
    assert message, text
    assert named in message.group(1), text
    assert "\\n" not in message.group(1), text
    assert not {item["metadata"]["name"] for item in cluster.pods()} & {"bad", "Bad_Name"}
