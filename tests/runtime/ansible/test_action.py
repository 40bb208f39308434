# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin: when a task runs in Ansible's own process, and that nobody can tell by its result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_support import ROOT, player

Options = dict[str, Any]
Result = dict[str, Any]
Play = Callable[..., list[Result]]
#: Those that ask a cluster. Others run on the node that they ask.
MODULES = sorted(
    path.stem
    for path in (ROOT / "plugins" / "modules").glob("*.py")
    if "  - navarch.cluster.auth\n" in path.read_text()
)
AS_MODULE = {"environment": {"NAVARCH_TEST": "1"}}
NO_SHELL = {"ansible_shell_executable": "/bin/false"}  # with which no module can be started
PASSING = {
    "resourceVersion",
    "uid",
    "creationTimestamp",
    "lastHeartbeatTime",
    "lastTransitionTime",
    "renewTime",
    "issuedBefore",
}

CONTAINERS = [{"name": "c", "image": "busybox:1"}]
OF_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "same"}, "data": {"a": "b"}}
SECRET_AND_MAP = [
    OF_MAP,
    {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "same"},
        "stringData": {"a": "inline-secret"},
    },
]
#: For each module tasks that work and tasks that fail, which leave the cluster as it is.
TASKS: dict[str, list[tuple[Options, Options]]] = {
    "manifest": [
        ({"definition": SECRET_AND_MAP}, {"check_mode": True}),
        ({"definition": [{**OF_MAP, "kind": "Nothing"}, OF_MAP]}, {"check_mode": True}),
        ({"definition": "a: ["}, {}),
        ({"state": "absent", "definition": SECRET_AND_MAP}, {}),
        ({}, {}),
        ({"definition": SECRET_AND_MAP, "wait_timeout": "soon"}, {"no_log": False}),
    ],
    "object_info": [
        ({"kind": "services"}, {}),
        ({"kind": "Nothing"}, {}),
        ({"kind": "Pod", "api_version": "x/v1"}, {}),
    ],
    "cluster_info": [({}, {}), ({"api_key": "wrong-secret"}, {})],
    "config_map": [
        ({"name": "same", "data": {"a": True, "b": 1.5, "c": None}}, {"check_mode": True}),
        ({"name": "same", "data": {"a": ["x"]}}, {}),
    ],
    "namespace": [({"name": "same"}, {"check_mode": True}), ({"name": "Not_A_Label"}, {})],
    "node": [
        ({"name": "none", "state": "absent"}, {"check_mode": True}),
        ({"name": "none", "taints": [{"key": "a"}]}, {}),
    ],
    "secret": [
        ({"name": "same", "string_data": {"a": "inline-secret"}}, {"check_mode": True}),
        ({"name": "same", "data": {"a": "inline-secret"}}, {}),
        ({"name": "same", "data": {"a": "inline-secret"}, "other": 1}, {}),
    ],
    "service": [
        ({"name": "same", "ports": [{"port": "80"}], "cluster_ip": "None"}, {"check_mode": True}),
        ({"name": "same", "ports": [{"port": 0}]}, {}),
    ],
    "config_map_info": [({"label_selectors": ["a=b"]}, {}), ({"label_selectors": "a in"}, {})],
    "namespace_info": [({"name": "default"}, {}), ({"namespace": "x"}, {})],
    "replication_controller_info": [({}, {}), ({"field_selectors": "a.b=c"}, {})],
    "secret_info": [({"namespace": "default"}, {}), ({"label_selectors": "a in"}, {})],
    "service_info": [({"name": "kubernetes"}, {}), ({"nmae": "x"}, {})],
    "node_info": [({}, {}), ({"label_selectors": "a in"}, {}), ({"name": "none", "field_selectors": []}, {})],
    "pod_info": [
        ({"namespace": "default"}, {}),
        ({"api_key": "wrong-secret"}, {}),
        ({"nmae": "x"}, {}),
        ({"kubeconfig": {"users": [{"name": "u", "user": {"token": "inline-secret"}}]}, "context": "x"}, {}),
        ({"ca_cert": "/inline-secret", "api_key": "inline-secret", "ssl_ca_cert": "/inline-secret"}, {}),
    ],
    "pod": [
        ({"name": "same", "containers": CONTAINERS}, {"check_mode": True}),
        ({"name": "same", "namespace": "none", "containers": CONTAINERS}, {"check_mode": True}),
        ({"name": "same", "state": "absent"}, {}),
        ({"name": "same"}, {}),
        ({"name": "same", "wait_timeout": "soon"}, {}),
        ({"name": 7, "labels": {1: True, "b": None}, "containers": CONTAINERS}, {"check_mode": True}),
        ({"name": "same", "containers": [{"name": "c"}]}, {}),
    ],
    "pod_copy": [
        ({"name": "none", "content": "inline-secret", "dest": "/x"}, {}),
        ({"name": "none", "content": "inline-secret", "dest": "x"}, {"check_mode": True}),
        ({"name": "none", "dest": "/x"}, {}),
    ],
    "pod_exec": [
        ({"name": "none", "command": "true"}, {"check_mode": True}),
        ({"name": "none", "command": "true", "creates": "/x"}, {}),
        ({"name": "none", "command": "'"}, {}),
        ({"name": "none"}, {}),
        ({"name": "none", "argv": ["true"], "timeout": 0}, {}),
    ],
    "pod_logs": [({"name": "none"}, {}), ({"name": "none", "since": "once"}, {}), ({}, {})],
    "replication_controller": [
        (
            {"name": "same", "template": {"labels": {"a": "b"}, "containers": CONTAINERS}},
            {"check_mode": True},
        ),
        ({"name": "same", "replicas": -1}, {}),
        ({"name": "same", "state": "absent"}, {}),
    ],
    "schedule": [
        ({"state": "planned", "template": {"containers": CONTAINERS}}, {}),
        ({"pod": "none", "node": "none"}, {}),
        ({"state": "planned"}, {}),
    ],
}
for row in yaml.safe_load((ROOT / "tools" / "kinds.yml").read_text()):
    TASKS.setdefault(row["name"] + "_info", [({}, {}), ({"label_selectors": "a in"}, {})])


def lasting(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: lasting(item) for key, item in value.items() if key not in PASSING}
    return [lasting(item) for item in value] if isinstance(value, list) else value


def test_every_module_is_led_to_the_action_plugin() -> None:
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())
    routes = {name: {"action_plugin": "navarch.cluster.pod"} for name in MODULES}
    assert routes.items() <= runtime["plugin_routing"]["modules"].items()
    assert sorted(TASKS) == MODULES


@pytest.fixture(scope="module")
def both_ways(
    environment: dict[str, str], kubeconfig: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[list[Result], list[Result]]]:
    """The results of all tasks of each module, in Ansible's process and as modules: one play, for its start
    costs more than the tasks."""
    tasks = [
        (name, {f"navarch.cluster.{name}": options, **keywords})
        for name in MODULES
        for options, keywords in TASKS[name]
    ]
    play = player(environment, kubeconfig, tmp_path_factory.mktemp("both"), 500)
    results = play(
        *({**task, "vars": NO_SHELL} for _, task in tasks), *(task | AS_MODULE for _, task in tasks)
    )
    found: dict[str, tuple[list[Result], list[Result]]] = {name: ([], []) for name in MODULES}
    for (name, _task), ours, theirs in zip(tasks, results, results[len(tasks) :], strict=False):
        found[name][0].append(ours)
        found[name][1].append(theirs)
    return found


@pytest.mark.parametrize("name", MODULES)
def test_both_ways_give_the_same_result(
    both_ways: dict[str, tuple[list[Result], list[Result]]], name: str
) -> None:
    here, there = both_ways[name]
    assert not any(result.get("unreachable") for result in here)
    for ours, theirs in zip(here, there, strict=True):
        assert lasting(ours) == lasting(theirs)
        assert "inline-secret" not in str(ours) + str(theirs)
        assert "wrong-secret" not in str(ours) + str(theirs)
    assert any(result.get("failed") for result in here)
    assert not all(result.get("failed") for result in here) or name in ("pod_copy", "pod_logs")


def test_what_is_no_plain_local_task_goes_to_the_module(play: Play, tmp_path: Path) -> None:
    (tmp_path / "python").symlink_to("/usr/bin/true")
    look: Options = {"navarch.cluster.pod_info": {"namespace": "default"}}
    results = play(
        look | {"vars": NO_SHELL},
        look | {"vars": NO_SHELL | {"ansible_python_interpreter": "auto_silent"}},
        look | {"vars": NO_SHELL, "environment": [{}]},
        look | {"vars": NO_SHELL, "delegate_to": "127.0.0.1"},
        look | {"vars": NO_SHELL} | AS_MODULE,
        look | {"vars": NO_SHELL, "become": True},
        look | {"vars": NO_SHELL | {"ansible_python_interpreter": str(tmp_path / "python")}},
        look | {"async": 30, "poll": 1, "vars": {"ansible_async_dir": str(tmp_path)}},
    )
    failed = [bool(result.get("failed") or result.get("unreachable")) for result in results]
    assert failed == [False] * 4 + [True] * 3 + [False], results[-1].get("msg")
    assert results[-1]["ansible_job_id"]


def test_the_environment_of_the_cluster_keeps_the_task_here(
    environment: dict[str, str], kubeconfig: str, tmp_path: Path
) -> None:
    """It is the task's own, and the next task has none of it."""
    look: Options = {"navarch.cluster.pod_info": {"namespace": "default"}, "vars": NO_SHELL}
    no_defaults = {"module_defaults": {"group/navarch.cluster.cluster": {}}}
    ours = {"K8S_AUTH_KUBECONFIG": "{{ path }}", "K8S_AUTH_VERIFY_SSL": True}
    play = player(environment, "/none", tmp_path)
    results = play(
        look | no_defaults | {"environment": ours},
        look | no_defaults | {"environment": [{"KUBECONFIG": "{{ path }}"}]},
        look | no_defaults,
        look
        | no_defaults
        | {"environment": {"K8S_AUTH_CONTEXT": "{{ item }}", "KUBECONFIG": "{{ path }}"}, "loop": ["none"]},
        look | no_defaults | {"environment": ours | {"PATH": "/bin"}},
        path=kubeconfig,
    )
    assert [result.get("pods") for result in results[:2]] == [[], []]
    assert "no cluster" in results[2]["msg"] or "kubeconfig" in results[2]["msg"]
    assert results[3]["results"][0]["msg"].startswith("context: no context none")
    assert results[4].get("failed") or results[4].get("unreachable")  # a module, for which there is no shell


def test_defaults_and_loops(play: Play, kubeconfig: str) -> None:
    """Defaults of one module are not those of another, though both have one action plugin."""
    loop = {"navarch.cluster.pod_info": {"name": "{{ item }}"}, "loop": ["a", "b", "c"], "vars": NO_SHELL}
    only = {"navarch.cluster.pod_info": {"name": "web", "namespace": "none"}}
    results = play(
        loop,
        {
            "navarch.cluster.pod_info": {},
            "vars": NO_SHELL,
            "module_defaults": {
                "navarch.cluster.pod_info": {"label_selectors": ["x in"], "kubeconfig": kubeconfig}
            },
        },
        {
            "navarch.cluster.node_info": {},
            "vars": NO_SHELL,
            "module_defaults": {
                "navarch.cluster.pod_info": {"label_selectors": ["x in"]},
                "group/navarch.cluster.cluster": {"kubeconfig": kubeconfig},
            },
        },
        only,
    )
    assert [item["pods"] for item in results[0]["results"]] == [[], [], []]
    assert "400" in results[1]["msg"]
    assert len(results[2]["nodes"]) == 3
    assert results[3]["pods"] == []
