# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays in containers: modules where there is Python, raw and files where there is sh, become, failures."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_support import tool
from pods_support import USR, WITH_USR, Live

pytestmark = [pytest.mark.docker, pytest.mark.root]
PlayIn = Callable[..., list[dict[str, Any]]]
PlayAll = Callable[..., list[list[dict[str, Any]]]]


@pytest.fixture(scope="module")
def pods(live: Live) -> None:
    live.pod("con-bare")
    live.pod("con-python", {"name": "main", **WITH_USR}, {"name": "other"}, **USR)


@pytest.fixture
def play_all(environment: dict[str, str], live: Live, pods: None, tmp_path: Path) -> PlayAll:
    """play_all((pod, variables, task, ...), ...): in one run, for each pod the results of its tasks. Hosts
    have their pods' names, with a number behind where a pod comes twice.
    """

    def run(*cases: tuple[Any, ...], env: dict[str, str] | None = None) -> Any:
        answers = tmp_path / "results.json"
        always = {"ignore_errors": True, "ignore_unreachable": True}
        here = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
        hosts: dict[str, Any] = {"localhost": here}
        book: list[dict[str, Any]] = []
        found = []
        for number, (pod, variables, *tasks) in enumerate(cases):
            host = f"{pod}-{number}" if pod in hosts else pod
            hosts[host] = {
                "ansible_connection": "navarch.cluster.pod",
                "ansible_pod_kubeconfig": str(live.admin),
                "ansible_pod_container": "main",
                **({} if host == pod else {"ansible_pod_name": pod}),
                **variables,
            }
            numbered = [
                {"name": f"Task {n}", "register": f"result_{n}", **always, **task}
                for n, task in enumerate(tasks)
            ]
            book.append({"hosts": host, "gather_facts": False, "tasks": numbered})
            results = (f"hostvars['{host}'].result_{n} | default({{}})" for n in range(len(tasks)))
            found.append(f"[{', '.join(results)}]")
        save = {"content": f"{{{{ [{', '.join(found)}] | to_json }}}}", "dest": str(answers), "mode": "0600"}
        book.append({"hosts": "localhost", "gather_facts": False, "tasks": [{"name": "Save", "copy": save}]})
        inventory = tmp_path / "hosts.yml"
        inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
        path = tmp_path / "play.json.yml"
        path.write_text(json.dumps(book))
        done = subprocess.run(
            [tool("ansible-playbook"), "-vvv", "-i", str(inventory), str(path)],
            env=environment | (env or {}), capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return json.loads(answers.read_text())

    return run


@pytest.fixture
def play_in(play_all: PlayAll) -> PlayIn:
    """play_in(host, task, ..., variables): the result of each task in a container."""

    def run(host: str, *tasks: dict[str, Any], env: dict[str, str] | None = None, **variables: Any) -> Any:
        return play_all((host, variables, *tasks), env=env)[0]

    return run


def test_modules_and_facts_where_there_is_python(play_in: PlayIn, live: Live, tmp_path: Path) -> None:
    large = os.urandom(3_000_000)
    (tmp_path / "large").write_bytes(large)
    facts, copied, again, fetched, template = play_in(
        "con-python",
        {"setup": {"gather_subset": ["!all", "min"]}},
        {"copy": {"src": str(tmp_path / "large"), "dest": "/tmp/large", "mode": "0600"}},
        {"copy": {"src": str(tmp_path / "large"), "dest": "/tmp/large", "mode": "0600"}},
        {"fetch": {"src": "/tmp/large", "dest": str(tmp_path / "back"), "flat": True}},
        {"command": "hostname"},
    )
    assert facts["ansible_facts"]["ansible_hostname"] == "con-python"
    assert (copied["changed"], again["changed"]) == (True, False)
    assert fetched["changed"]
    assert (tmp_path / "back").read_bytes() == large
    assert template["stdout"] == "con-python"


def test_without_pipelining(play_in: PlayIn) -> None:
    [result] = play_in("con-python", {"command": "id -un"}, env={"ANSIBLE_PIPELINING": "false"})
    assert result["stdout"] == "root"


def test_raw_script_and_files_where_there_is_a_shell(play_in: PlayIn, tmp_path: Path) -> None:
    (tmp_path / "s.sh").write_text("#!/bin/sh\necho from script $1; echo err >&2; exit 4\n")
    raw, script, failed, fetched = play_in(
        "con-bare",
        {"raw": "echo $((6 * 7)); cat /etc/hostname"},
        {"script": f"{tmp_path / 's.sh'} word"},
        {"raw": "exit 7"},
        {"raw": "ls /tmp; ls -d /root/.ansible/tmp/* 2>/dev/null; true"},
    )
    assert raw["stdout_lines"] == ["42", "con-bare"]
    assert (script["rc"], script["stdout_lines"], script["stderr_lines"]) == (
        4,
        ["from script word"],
        ["err"],
    )
    assert failed["rc"] == 7
    assert fetched["stdout"] == ""


def test_become(play_all: PlayAll) -> None:
    su = {"ansible_become": True, "ansible_become_method": "su", "ansible_become_user": "sailor"}
    (raw,), (module,) = play_all(
        ("con-bare", su, {"raw": "id -un"}),
        ("con-python", {**su, "ansible_become_exe": "/bin/su"}, {"command": "id -un"}),
    )
    assert raw["stdout"].strip() == "sailor"
    assert module.get("stdout") == "sailor", module


def test_a_password_for_become(play_all: PlayAll, live: Live) -> None:
    """A program that asks as sudo does: on standard error, for a line of standard input."""
    fake = """#!/bin/sh
while [ "$1" != -p ]; do shift; done; printf '%s' "$2" >&2; shift 2
IFS= read -r word; [ "$word" = pa55word ] || { printf '%s' "again" >&2; exit 1; }
shift 2; exec "$@"
"""
    live.inside("con-bare", "sh", "-c", 'printf "%s" "$0" > /bin/fakesudo; chmod 755 /bin/fakesudo', fake)
    how = {"ansible_become": True, "ansible_become_exe": "/bin/fakesudo"}
    works = {"raw": "echo it works"}
    [right], [wrong] = play_all(
        ("con-bare", {**how, "ansible_become_password": "pa55word"}, works),
        ("con-bare", {**how, "ansible_become_password": "other"}, works),
    )
    assert right["stdout"].strip() == "it works"
    assert wrong.get("failed") or wrong.get("unreachable")
    assert "it works" not in wrong.get("stdout", "")


def test_trouble_is_told_in_a_line(play_all: PlayAll) -> None:
    cases: tuple[tuple[str, dict[str, Any], str], ...] = (
        ("con-none", {}, "there is no pod default/con-none"),
        ("con-bare", {"ansible_pod_container": "x"}, "has no container x; it has main"),
        ("con-bare", {"ansible_pod_kubeconfig": "/not/there"}, "kubeconfig: there is no file /not/there"),
        (
            "con-bare",
            {"ansible_shell_executable": "/bin/zsh"},
            "executable: pod default/con-bare has no /bin/zsh",
        ),
        ("con-bare", {"ansible_pod_timeout": 1}, "timeout: the command has not ended in time"),
    )
    results = play_all(*((pod, variables, {"raw": "sleep 5"}) for pod, variables, _word in cases))
    for [result], (_pod, _variables, word) in zip(results, cases, strict=True):
        assert result.get("unreachable"), word
        assert word in result["msg"]
        assert "\n" not in result["msg"]


def test_a_reset_goes_on_in_the_same_pod(play_in: PlayIn) -> None:
    [before, _reset, after] = play_in(
        "renamed",
        {"raw": "hostname"},
        {"meta": "reset_connection"},
        {"raw": "hostname"},
        ansible_pod_name="con-bare",
    )
    assert before["stdout"] == after["stdout"]
