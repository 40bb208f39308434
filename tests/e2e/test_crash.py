# SPDX-License-Identifier: GPL-3.0-or-later
"""Killed and restarted: no answered write is lost, no container is restarted, and the cluster goes on."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

import pytest
import requests

from .conftest import Cluster, containers, pid, run, start, until

WRITERS = 8


def kill(service: str) -> None:
    victim = pid(service)
    assert victim, f"{service} does not run"
    os.kill(victim, signal.SIGKILL)
    until(lambda: pid(service) != victim, 30, f"{service} is gone")


def restarts(cluster: Cluster) -> dict[str, int]:
    return {
        f"{pod['metadata']['name']}/{state['name']}": state["restartCount"]
        for pod in cluster.pods()
        for state in pod["status"].get("containerStatuses", [])
    }


def ready_pods(cluster: Cluster) -> int:
    return sum(
        any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))
        for pod in cluster.pods()
    )


@pytest.fixture
def settled(cluster: Cluster) -> dict[str, str]:
    """The containers of a cluster at rest."""
    until(lambda: ready_pods(cluster) == 4, 60, "four ready pods")
    return containers()


@pytest.mark.parametrize("service", ["navarch-kubelet", "navarch-master"])
def test_kill_9_restarts_no_container(cluster: Cluster, settled: dict[str, str], service: str) -> None:
    before = restarts(cluster)
    kill(service)
    start(service)
    until(lambda: pid(service), 30, f"{service} runs again")
    until(cluster.node_ready, 60, "the node is ready")
    until(lambda: ready_pods(cluster) == 4, 60, "the pods are ready")
    time.sleep(3)  # time in which a kubelet that does not know its containers would replace them
    assert containers() == settled
    assert restarts(cluster) == before


@pytest.mark.parametrize("service", ["navarch-kubelet", "navarch-master"])
def test_an_orderly_restart_restarts_no_container(
    cluster: Cluster, settled: dict[str, str], service: str
) -> None:
    done = run("service", service, "restart", seconds=60)
    assert done.returncode == 0, done.stdout + done.stderr
    until(cluster.node_ready, 60, "the node is ready")
    until(lambda: ready_pods(cluster) == 4, 60, "the pods are ready")
    time.sleep(3)
    assert containers() == settled


def test_kill_9_of_the_master_under_load_loses_no_answered_write(cluster: Cluster) -> None:
    cluster.kubectl("create", "namespace", "load")
    answered: list[tuple[str, str]] = []
    stop = threading.Event()

    def write(writer: int) -> None:
        session = requests.Session()
        session.trust_env = False
        session.verify, session.cert = cluster.session.verify, cluster.session.cert
        for number in range(5000):
            if stop.is_set():
                return
            name = f"w{writer}-{number}"
            body: dict[str, Any] = {"metadata": {"name": name}, "data": {"number": str(number)}}
            try:
                answer = session.post(
                    f"{cluster.server}/api/v1/namespaces/load/configmaps", json=body, timeout=5
                )
            except requests.RequestException:
                return  # the master is gone; what was not answered is not promised
            if answer.status_code == 201:
                answered.append((name, answer.json()["metadata"]["resourceVersion"]))

    threads = [threading.Thread(target=write, args=(n,), name=f"writer-{n}") for n in range(WRITERS)]
    try:
        for thread in threads:
            thread.start()
        time.sleep(2)
        until(lambda: len(answered) > 100, 60, "writes enough to prove something")
        kill("navarch-master")
        stop.set()
        for thread in threads:
            thread.join(20)
        start("navarch-master")
        until(lambda: cluster.get("/api/v1/namespaces/load"), 60, "the master answers again")
        found = {
            item["metadata"]["name"]: item["metadata"]["resourceVersion"]
            for item in cluster.get("/api/v1/namespaces/load/configmaps")["items"]
        }
        assert len(answered) > 100, "too few writes to prove anything"
        lost = [entry for entry in answered if found.get(entry[0]) != entry[1]]
        assert not lost, f"{len(lost)} of {len(answered)} answered writes are gone, such as {lost[:3]}"
        made = cluster.request(
            "POST", "/api/v1/namespaces/load/configmaps", json={"metadata": {"name": "after"}}
        )
        assert made.status_code == 201
        newest = max(int(version) for _, version in answered)
        assert int(made.json()["metadata"]["resourceVersion"]) > newest
    finally:
        stop.set()
        if not pid("navarch-master"):
            start("navarch-master")
        until(lambda: cluster.get("/api/v1/namespaces"), 60, "the master answers")
        cluster.kubectl("delete", "namespace", "load", "--ignore-not-found", "--timeout=90s", seconds=100)
    until(cluster.node_ready, 60, "the node is ready")
