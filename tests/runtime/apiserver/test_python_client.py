# SPDX-License-Identifier: GPL-3.0-or-later
"""The `kubernetes` package, the most used client in Python, against a real server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from apiserver_support import Standalone

kubernetes: Any = pytest.importorskip("kubernetes", reason="the kubernetes client package is not installed")


@pytest.fixture
def core(server: Standalone) -> Iterator[Any]:
    with kubernetes.config.new_client_from_config(str(server.kubeconfig)) as api:
        yield kubernetes.client.CoreV1Api(api)


def test_the_life_of_a_pod(core: Any, namespace: str) -> None:
    client = kubernetes.client
    container = client.V1Container(name="c", image="i")
    pod = client.V1Pod(metadata=client.V1ObjectMeta(name="p"), spec=client.V1PodSpec(containers=[container]))
    made = core.create_namespaced_pod(namespace, pod)
    assert made.metadata.uid
    watch = kubernetes.watch.Watch()
    phases = []
    for event in watch.stream(core.list_namespaced_pod, namespace, timeout_seconds=20):
        phases.append(event["object"].status.phase)
        if phases[-1] == "Running":
            watch.stop()
    assert phases[-1] == "Running"
    body = {"metadata": {"labels": {"a": "b"}}}
    assert core.patch_namespaced_pod("p", namespace, body).metadata.labels == {"a": "b"}
    assert [p.metadata.name for p in core.list_namespaced_pod(namespace, label_selector="a=b").items] == ["p"]
    core.delete_namespaced_pod("p", namespace, grace_period_seconds=0)


def test_read_change_and_replace(core: Any, namespace: str) -> None:
    """The client spells times in its own way."""
    core.create_namespaced_pod(
        namespace,
        {"metadata": {"name": "r"}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
    )
    for _ in range(20):
        read = core.read_namespaced_pod("r", namespace)
        read.metadata.labels = {"a": "b"}
        try:
            core.replace_namespaced_pod("r", namespace, read)
            break
        except kubernetes.client.ApiException as error:
            assert error.status == 409  # The pod is being started.
    assert core.read_namespaced_pod("r", namespace).metadata.labels == {"a": "b"}
    core.delete_namespaced_pod("r", namespace, grace_period_seconds=0)


def test_errors_are_api_exceptions(core: Any, namespace: str) -> None:
    with pytest.raises(kubernetes.client.ApiException) as caught:
        core.read_namespaced_pod("none", namespace)
    assert caught.value.status == 404
    made = core.create_namespaced_config_map(namespace, {"metadata": {"name": "c"}})
    core.patch_namespaced_config_map("c", namespace, {"data": {"a": "b"}})
    made.data = {"c": "d"}
    with pytest.raises(kubernetes.client.ApiException) as caught:
        core.replace_namespaced_config_map("c", namespace, made)
    assert caught.value.status == 409


def test_several_threads_on_one_client(core: Any, namespace: str) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for i in range(10):
                core.create_namespaced_config_map(namespace, {"metadata": {"name": f"t{number}-{i}"}})
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failures
    assert len(core.list_namespaced_config_map(namespace).items) == 40
