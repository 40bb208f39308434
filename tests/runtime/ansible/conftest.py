# SPDX-License-Identifier: GPL-3.0-or-later
"""A real master with simulated nodes, and real ansible-playbook runs against it."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ansible_support import ROOT, player, request
from pods_support import Live, able, make_live
from shared_cluster import SharedCluster

Result = dict[str, Any]
Play = Callable[..., list[Result]]
CREDENTIALS = ("K8S_AUTH_", "KUBECONFIG", "ANSIBLE_")
OURS = "navarch.cluster."


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which Ansible finds this collection, and nothing of the machine's settings."""
    home = tmp_path_factory.mktemp("home")
    tree = home / "ansible_collections" / "navarch"
    tree.mkdir(parents=True)
    (tree / "cluster").symlink_to(ROOT)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(CREDENTIALS)}
    return kept | {
        "ANSIBLE_COLLECTIONS_PATH": str(home),
        "ANSIBLE_HOME": str(home / ".ansible"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        "ANSIBLE_NOCOLOR": "true",
        "ANSIBLE_PIPELINING": "true",
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
    }


@pytest.fixture(scope="session")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedCluster]:
    cluster = SharedCluster(tmp_path_factory.mktemp("shared"))
    try:
        yield cluster
    finally:
        cluster.close()


@pytest.fixture(scope="module")
def kubeconfig(shared_cluster: SharedCluster) -> Iterator[str]:
    """The kubeconfig of a control plane with three simulated nodes, as other modules found it."""
    yield shared_cluster.start()
    shared_cluster.put_back()


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A cluster of one node that runs real containers; a module's ``kubeconfig`` can be its ``admin``."""
    if not able():
        pytest.skip("needs root, a running Docker Engine and busybox-static")
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    cluster = make_live(tmp_path_factory.mktemp("live"), worker)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def call(kubeconfig: str) -> Callable[..., Any]:
    """call(verb, path, body): one request to the API, past the modules."""
    return partial(request, kubeconfig)


@pytest.fixture(scope="session")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The collection's plugins, importable in this process by the name that it returns."""
    path = tmp_path_factory.mktemp("path")
    tree = path / "ansible_collections" / "navarch"
    tree.mkdir(parents=True)
    (tree / "cluster").symlink_to(ROOT)
    sys.path.insert(0, str(path))
    yield "ansible_collections.navarch.cluster.plugins"
    sys.path.remove(str(path))


@pytest.fixture
def direct(plugins: str, kubeconfig: str) -> Callable[..., Result]:
    """direct(module, check=False, **options): the result of a task as the action plugin has it, without a
    play around it, which costs seconds."""
    in_process = importlib.import_module(f"{plugins}.plugin_utils.in_process")

    def run(module: str, /, check: bool = False, **options: Any) -> Result:
        return in_process.run_task(module, {"kubeconfig": kubeconfig, **options}, check)

    return run


@pytest.fixture
def play(environment: dict[str, str], kubeconfig: str, tmp_path: Path) -> Play:
    """play(task, ...): the result of each task, of which none keeps the next from running."""
    return player(environment, kubeconfig, tmp_path)


@pytest.fixture
def run(plugins: str, kubeconfig: str, play: Play) -> Play:
    """run(task, ...): like ``play``, without starting Ansible for tasks that have no keyword but check_mode
    and diff. What they do there is the same code.
    """
    in_process = importlib.import_module(f"{plugins}.plugin_utils.in_process")

    def done(task: Result) -> Result:
        name = next(key for key in task if key.startswith(OURS))
        if task.keys() - {name, "check_mode", "diff"}:
            return play(task)[0]
        options = {"kubeconfig": kubeconfig, **task[name]}
        module, check, diff = name.removeprefix(OURS), task.get("check_mode", False), task.get("diff", False)
        result: Result = in_process.run_task(module, options, check, diff)
        return result

    return lambda *tasks: [done(task) for task in tasks]
