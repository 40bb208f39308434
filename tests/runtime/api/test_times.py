# SPDX-License-Identifier: GPL-3.0-or-later
"""Times in what clients send: every spelling is taken, one is kept, and what is no time is refused."""

from __future__ import annotations

import json

import pytest

from navarch.api.coordination.lease import LEASE
from navarch.api.core.node.node import NODE
from navarch.api.core.pod.pod import POD
from navarch.api.machinery.decode import decode, from_document
from navarch.api.machinery.errors import StatusError


def pod(at: str) -> bytes:
    status = {"containerStatuses": [{"name": "c", "state": {"running": {"startedAt": at}}}]}
    return json.dumps({"metadata": {"name": "p", "creationTimestamp": at}, "status": status}).encode()


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
        ("2026-01-31T12:00:00+00:00", "2026-01-31T12:00:00Z"),
        ("2026-01-31T12:00:00.123456+00:00", "2026-01-31T12:00:00Z"),
        ("2026-01-31T01:00:00+02:00", "2026-01-30T23:00:00Z"),
        ("2026-01-31T12:00:00.5Z", "2026-01-31T12:00:00Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    ],
)
def test_every_spelling_is_taken_and_one_is_kept(sent: str, kept: str) -> None:
    for made in (decode(POD, pod(sent)), from_document(POD, json.loads(pod(sent)))):
        assert made.metadata.creation_timestamp == kept
        assert made.status.container_statuses[0].state.running.started_at == kept


def test_micro_time_has_six_decimals() -> None:
    for sent in ("2026-01-31T13:00:00+01:00", "2026-01-31T12:00:00.0Z"):
        body = json.dumps({"metadata": {"name": "l"}, "spec": {"renewTime": sent}}).encode()
        made = decode(LEASE, body)
        assert made.spec.renew_time == "2026-01-31T12:00:00.000000Z"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-02-30T00:00:00Z",
        "2026-01-31",
        "2026-01-31T12:00:00",
        "0001-01-01T00:00:00+05:00",
    ],
)
def test_what_is_no_time_is_refused_with_its_path(text: str) -> None:
    with pytest.raises(StatusError) as caught:
        decode(POD, pod(text))
    assert caught.value.code == 400
    assert "metadata.creationTimestamp" in caught.value.message
    node = {"spec": {"taints": [{"key": "a", "effect": "NoExecute"}, {"key": "b", "timeAdded": text}]}}
    with pytest.raises(StatusError) as caught:
        from_document(NODE, node)
    assert "spec.taints[1].timeAdded" in caught.value.message


def test_an_object_without_odd_times_is_itself() -> None:
    body = json.loads(pod("2026-01-02T03:04:05Z"))
    assert json.loads(json.dumps(body)) == body
    assert decode(POD, json.dumps(body).encode()) == from_document(POD, body)
