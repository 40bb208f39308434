# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts in the status of kinds that keep equal pods: none is negative, parts are no more than the whole."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from navarch.api.apps.deployment import DEPLOYMENT
from navarch.api.apps.replicaset import REPLICA_SET
from navarch.api.core.replicationcontroller import REPLICATION_CONTROLLER
from navarch.api.machinery.scheme import Kind


@pytest.mark.parametrize(
    "kind", [REPLICATION_CONTROLLER, REPLICA_SET, DEPLOYMENT], ids=lambda kind: kind.kind
)
@pytest.mark.parametrize(
    ("counts", "wrong"),
    [
        ({"replicas": 3, "ready_replicas": 2, "available_replicas": 1}, []),
        ({"replicas": 3, "ready_replicas": 1, "available_replicas": 2}, ["status.availableReplicas"]),
        ({"replicas": 1, "ready_replicas": 2}, ["status.readyReplicas"]),
        ({"replicas": 1, "observed_generation": -1}, ["status.observedGeneration"]),
    ],
)
def test_counts(kind: Kind[Any], counts: dict[str, int], wrong: list[str]) -> None:
    old = kind.rules.prepare_create(kind.type())
    new = replace(old, status=replace(old.status, **counts))
    assert [error.path for error in kind.rules.validate_status(new, old)] == wrong
