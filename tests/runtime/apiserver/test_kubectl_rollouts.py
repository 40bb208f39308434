# SPDX-License-Identifier: GPL-3.0-or-later
"""kubectl's commands for deployments: create, set image, rollout, scale."""

from __future__ import annotations

import json

from apiserver_support import Standalone


def test_a_deployment_lives_through_all_that_kubectl_does_with_it(server: Standalone, namespace: str) -> None:
    def k(*arguments: str) -> str:
        return server.kubectl("-n", namespace, *arguments)

    def rolled_out() -> None:
        assert "successfully rolled out" in k("rollout", "status", "deploy/web", "--timeout=60s")

    def pods() -> dict[str, str]:
        """The image of each pod that is not ending."""
        found = json.loads(k("get", "pods", "-l", "app=web", "-o", "json"))["items"]
        living = [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]
        return {pod["metadata"]["name"]: pod["spec"]["containers"][0]["image"] for pod in living}

    def images() -> set[str]:
        return set(pods().values())

    k("create", "deployment", "web", "--image=i:1", "--replicas=2")
    rolled_out()
    heading, row = k("get", "deploy").splitlines()
    assert heading.split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert row.split()[:4] == ["web", "2/2", "2", "2"]
    assert k("get", "rs").splitlines()[1].split()[1:4] == ["2", "2", "2"]

    k("set", "image", "deploy/web", "i=i:2")
    rolled_out()
    assert images() == {"i:2"}
    k("annotate", "deploy/web", "kubernetes.io/change-cause=third")
    k("set", "image", "deploy/web", "i=i:3")
    rolled_out()
    history = k("rollout", "history", "deploy/web")
    assert [line.split()[0] for line in history.splitlines()[2:] if line] == ["1", "2", "3"]
    assert "third" in history
    assert "i:1" in k("rollout", "history", "deploy/web", "--revision=1")

    assert "rolled back" in k("rollout", "undo", "deploy/web", "--to-revision=1")
    rolled_out()
    assert images() == {"i:1"}

    k("rollout", "pause", "deploy/web")
    k("set", "image", "deploy/web", "i=i:4")
    k("scale", "deploy/web", "--replicas=3")
    k("wait", "deploy/web", "--for=jsonpath={.status.readyReplicas}=3", "--timeout=60s")
    assert images() == {"i:1"}
    k("rollout", "resume", "deploy/web")
    rolled_out()
    assert images() == {"i:4"}

    before = pods()
    k("rollout", "restart", "deploy/web")
    rolled_out()
    assert not before.keys() & pods().keys()
    assert "NewReplicaSetAvailable" in k("describe", "deploy", "web")
    assert "RollingUpdate" in k("explain", "deployment.spec.strategy.type")

    k("delete", "deploy", "web", "--timeout=30s")
    k("wait", "rs", "-l", "app=web", "--for=delete", "--timeout=30s")
    k("wait", "pods", "-l", "app=web", "--for=delete", "--timeout=60s")
