# SPDX-License-Identifier: GPL-3.0-or-later
"""pod_exec in real containers: what it returns, when it runs, and one line for what keeps it from running."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest
from pods_support import Live, state

from navarch.api.core.pod.pod import Pod

Play = Callable[..., list[dict[str, Any]]]
Direct = Callable[..., dict[str, Any]]
pytestmark = [pytest.mark.docker, pytest.mark.root]


@pytest.fixture(scope="module")
def kubeconfig(live: Live) -> str:
    live.pod("exec-box")
    live.pod("exec-two", {"name": "main"}, {"name": "other"})
    return str(live.admin)


def task(command: Any, name: str = "exec-box", **options: Any) -> dict[str, Any]:
    how = {} if command is None else {"command": command}
    return {"navarch.cluster.pod_exec": {"name": name, **how, **options}}


def test_output_and_exit_code(play: Play) -> None:
    here, there, failed, binary = play(
        task("echo 'a  b' c"),
        {**task("echo 'a  b' c"), "environment": {"AS": "module"}},
        task(["sh", "-c", "echo out; echo err >&2; exit 3"]),
        task(["printf", r"\377\n\n"], strip_empty_ends=False),
    )
    for passing in ("start", "end", "delta", "ansible_facts"):
        here.pop(passing, None), there.pop(passing, None)
    assert here == there
    assert (here["changed"], here["rc"], here["stdout"]) == (True, 0, "a  b c")
    assert here["cmd"] == ["echo", "a  b", "c"]
    assert (failed["failed"], failed["rc"], failed["msg"]) == (True, 3, "non-zero return code")
    assert (failed["stdout_lines"], failed["stderr_lines"]) == (["out"], ["err"])
    assert binary["stdout"] == "\ufffd\n\n"


def test_stdin_and_folder(run: Play) -> None:
    results = run(
        task("wc -c", stdin="hello"),
        task("wc -c", stdin="hello", stdin_add_newline=False),
        task("wc -c", stdin="", stdin_add_newline=False),
        task("cat"),  # without stdin there is none: it ends at once
        task("pwd", chdir="/home/sailor"),
        task("pwd", chdir="/not/there"),
        task("wc -c", stdin="x" * 3_000_000, stdin_add_newline=False),
    )
    assert [r["stdout"] for r in results[:5]] == ["6", "5", "0", "", "/home/sailor"]
    assert results[5]["failed"]
    assert "/not/there" in results[5]["stderr"]
    assert results[6]["stdout"] == "3000000"


def test_it_runs_only_when_there_is_need(run: Play, live: Live) -> None:
    spaced = "/tmp/a b"
    results = run(
        task(["touch", spaced], creates=spaced),
        task(["touch", spaced], creates=spaced),
        task(["touch", spaced], creates="/tmp/a*"),
        task(["touch", spaced], creates="/tmp/b*"),
        task("rm '/tmp/a b'", removes=spaced),
        task("rm '/tmp/a b'", removes=spaced),
        {**task("touch /tmp/never"), "check_mode": True},
        {**task("touch /tmp/never", creates="/tmp/never"), "check_mode": True},
        {**task("touch /tmp/never", creates="/tmp"), "check_mode": True},
    )
    assert [r["changed"] for r in results] == [True, False, False, True, True, False, False, True, False]
    assert [bool(r.get("skipped")) for r in results[6:]] == [True, False, False]
    assert "/tmp/a b exists" in results[1]["msg"]
    assert "does not exist" in results[5]["msg"]
    assert live.inside("exec-box", "ls", "/tmp") == ""


def test_what_keeps_it_from_running_is_told_in_a_line(run: Play) -> None:
    results = run(
        task("true", name="nobody"),
        task("true", namespace="nowhere"),
        task("true", name="exec-two"),
        task("true", container="nobody"),
        task("not-a-program"),
        task("sleep 20", timeout=1),
        task("sleep 20", timeout=0),
        task("'"),
        task([]),
        task({"a": 1}),
        task("true", argv=["true"]),
        task("true", name="exec-two", container="other"),
    )
    words = [
        "name: there is no pod default/nobody",
        "name: there is no pod nowhere/exec-box",
        "container: pod default/exec-two has several: say which of main, other",
        "container: pod default/exec-box has no container nobody; it has main",
        'exec: "not-a-program": executable file not found',
        "timeout: the command has not ended in time",
        "timeout: must be",
        "command: cannot be split",
        "command: is empty",
        "command: must be",
        "mutually exclusive: command|argv",
    ]
    for result, word in zip(results, words, strict=False):
        assert result["failed"]
        assert word in result["msg"]
        assert "\n" not in result["msg"]
    assert not results[-1].get("failed")


def test_containers_that_do_not_run_are_told_apart(direct: Direct, live: Live) -> None:
    def said(name: str) -> str:
        return str(direct("pod_exec", name=name, command="true")["msg"])

    live.pod("exec-ended", {"name": "main", "command": ["false"]}, met=phase("Failed"), restartPolicy="Never")
    assert "pod default/exec-ended has ended (Failed)" in said("exec-ended")
    live.pod("exec-wait", met=unschedulable, nodeSelector={"no": "node"})
    assert "pod default/exec-wait is on no node yet: Unschedulable" in said("exec-wait")
    live.pod("exec-crash", {"name": "main", "command": ["false"]}, met=crashed)
    # Asked at once, without a play to be started: in ten seconds it runs again, for a moment.
    assert "container main of pod default/exec-crash does not run: waiting, CrashLoop" in said("exec-crash")


def test_a_node_that_is_away_is_told(run: Play, live: Live) -> None:
    live.kill_kubelet(signal.SIGKILL)
    try:
        [result] = run(task("true"))
    finally:
        live.start_kubelet()
    assert "node kubelet-test, which has the pod, cannot be reached" in result["msg"]
    assert "\n" not in result["msg"]


def phase(name: str) -> Callable[[Pod], bool]:
    return lambda pod: bool(pod.status and pod.status.phase == name)


def unschedulable(pod: Pod) -> bool:
    return any(c.reason == "Unschedulable" for c in (pod.status and pod.status.conditions) or ())


def crashed(pod: Pod) -> bool:
    found = state(pod, "main")
    return bool(found and found.state.waiting and found.state.waiting.reason == "CrashLoopBackOff")
