# SPDX-License-Identifier: GPL-3.0-or-later
"""What is secret is in nothing that Ansible says, however much it is asked to, whichever way a task runs."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_support import tool

Task = dict[str, Any]
WORDS = ("first-hidden-word", "other-hidden-word", "third-hidden-word", "wrong-hidden-token", "vaulted-word")


def forms(word: str) -> list[str]:
    return [word, base64.b64encode(word.encode()).decode()]


def secret(name: str, word: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"k": word}}


@pytest.mark.parametrize("way", [{}, {"environment": {"NAVARCH_TEST": "1"}}], ids=["in-process", "module"])
def test_what_is_revealed_is_registered_and_not_printed(
    environment: dict[str, str], kubeconfig: str, tmp_path: Path, way: Task
) -> None:
    word = WORDS[0]
    tasks: list[Task] = [
        {"navarch.cluster.secret": {"name": "shown", "string_data": {"k": word}}},
        {"navarch.cluster.secret_info": {"name": "shown", "reveal": True}, "register": "one", **way},
        {
            "navarch.cluster.object_info": {"kind": "Secret", "name": "shown", "reveal": "yes"},
            "register": "two",
            "loop": [1],
            **way,
        },
        {"navarch.cluster.secret_info": {"name": "shown"}, "register": "three", **way},
        {
            "navarch.cluster.secret_info": {"reveal": True, "api_key": "wrong-one"},
            "ignore_errors": True,
            **way,
        },
        {
            "ansible.builtin.assert": {
                "that": [
                    f"one.secrets[0].data.k | b64decode == '{word}'",
                    f"two.results[0].objects[0].data.k | b64decode == '{word}'",
                    "three.secrets[0].data.k == 'hidden'",
                ],
                "quiet": True,
            }
        },
    ]
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "module_defaults": {"group/navarch.cluster.cluster": {"kubeconfig": kubeconfig}},
        "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"},
        "tasks": tasks,
    }
    path = tmp_path / "revealed.yml"
    path.write_text(json.dumps([play]))
    done = subprocess.run(
        [tool("ansible-playbook"), "-i", "localhost,", "-c", "local", "-vvv", str(path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    said = " ".join((done.stdout + done.stderr).split())
    assert not [form for form in forms(word) if form in said]
    assert "the cluster does not know these credentials (401" in said  # what fails is told


@pytest.mark.parametrize("way", [{}, {"environment": {"NAVARCH_TEST": "1"}}], ids=["in-process", "module"])
def test_nothing_secret_is_said(
    environment: dict[str, str], kubeconfig: str, tmp_path: Path, way: Task, call: Callable[..., Any]
) -> None:
    first, other, third, wrong, templated = WORDS
    content = yaml.safe_load(Path(kubeconfig).read_text())
    token = content["users"][0]["user"]["token"]
    (tmp_path / "files").mkdir()
    (tmp_path / "templates").mkdir()
    (tmp_path / "files" / "secret.yml").write_text(json.dumps(secret("filed", third)))
    template = "apiVersion: v1\nkind: Secret\nmetadata: {name: templated}\nstringData: {k: '{{ word }}'}\n"
    (tmp_path / "templates" / "secret.yml.j2").write_text(template)
    # What kubectl would leave in a Secret's annotations.
    annotation = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(secret("applied", first))}
    kept = secret("applied", first) | {"metadata": {"name": "applied", "annotations": annotation}}
    head = "apiVersion: v1\nkind: Secret\nmetadata: {name: m}\nstringData:\n"
    block = f"{head}  k: |\n    {first}\n    {other}\n"
    quoted = block.replace("|\n", "'it''s\n\n").replace(f"{other}\n", f"{other}'\n")
    escaped = json.dumps(secret("m", "\N{SNOWMAN} " + first))
    texts = [block, quoted, escaped, block.replace("Secret", "secrets"), block.replace("string", "String")]
    wrong_kinds = [secret("m", first) | {"kind": "secret"}, secret("m", first) | {"stringdata": {"k": other}}]
    tasks: list[Task] = [
        *({"navarch.cluster.manifest": {"definition": given}} for given in [*texts, *wrong_kinds]),
        {"navarch.cluster.manifest": {"definition": block, "wait": first.partition("-")[0]}},
        {"navarch.cluster.manifest": {"definition": [block, secret("m", first)], "wait": "perhaps"}},
        {"navarch.cluster.secret": {"name": "s", "string_data": {"k": first}}},
        {"navarch.cluster.secret": {"name": "s", "data": {"k": forms(other)[1]}}},
        {"navarch.cluster.secret": {"name": "s", "data": {"k": first + "!"}}},
        {"navarch.cluster.secret": {"name": "s", "string_data": {"k": [first]}}},
        {"navarch.cluster.secret": {"name": "s", "string_data": first}},
        {"navarch.cluster.secret": {"name": "s", "data": {"k": third}, "nmae": 1}},
        {"navarch.cluster.secret": {"definition": secret("s", first)}},
        {"navarch.cluster.secret": {"definition": json.dumps(secret("s", third)), "nmae": 1}},
        {"navarch.cluster.manifest": {"definition": secret("m", first)}},
        {"navarch.cluster.manifest": {"definition": json.dumps(secret("m", other))}},
        {"navarch.cluster.manifest": {"definition": [secret("m", first), {"kind": "Broken"}]}},
        {"navarch.cluster.manifest": {"definition": secret("m", first) | {"data": {"k": third + "?"}}}},
        {"navarch.cluster.manifest": {"definition": kept}},
        {"navarch.cluster.manifest": {"definition": kept, "state": "absent"}},
        {"navarch.cluster.manifest": {"src": ["secret.yml"]}},
        {"navarch.cluster.manifest": {"template": ["secret.yml.j2"]}, "vars": {"word": templated}},
        {"navarch.cluster.secret_info": {}},
        {"navarch.cluster.object_info": {"kind": "Secret"}},
        {"navarch.cluster.pod_info": {"kubeconfig": content}},
        {"navarch.cluster.pod_info": {"kubeconfig": json.dumps(content) + "\n"}},
        {"navarch.cluster.pod_info": {"kubeconfig": yaml.safe_dump(content)}},
        {"navarch.cluster.pod_info": {"kubeconfig": yaml.safe_dump(content), "nmae": "x"}},
        {"navarch.cluster.pod_info": {"kubeconfig": yaml.safe_dump(content).replace("users:", "users: [")}},
        {"navarch.cluster.pod_info": {"kubeconfig": kubeconfig, "api_key": wrong}},
        {"navarch.cluster.pod_info": {"host": "https://127.0.0.1:1", "api_key": wrong, "nmae": wrong}},
        {"navarch.cluster.secret": {"name": "s", "state": "absent"}},
        {"navarch.cluster.manifest": {"definition": secret("m", first), "state": "absent"}},
        {"navarch.cluster.manifest": {"src": ["secret.yml"], "state": "absent"}},
        {
            "navarch.cluster.manifest": {"template": ["secret.yml.j2"], "state": "absent"},
            "vars": {"word": "x"},
        },
    ]
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"},
        "module_defaults": {"group/navarch.cluster.cluster": {"kubeconfig": kubeconfig}},
        "tasks": [{"name": f"Task {n}", "ignore_errors": True, **t, **way} for n, t in enumerate(tasks)],
    }
    book = tmp_path / "play.json.yml"
    book.write_text(json.dumps([play]))
    done = subprocess.run(
        [tool("ansible-playbook"), "-vvv", "--diff", "-i", "localhost,", str(book)],
        env=environment | {"ANSIBLE_DISPLAY_TRACEBACK": "never"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    said = "\n".join(_of_results(done.stdout)) + done.stderr
    assert said.count("TASK [Task ") == len(tasks), done.stdout[-2000:]
    assert said.count("(the content of a kubeconfig)") >= 4
    for number in [n for n, t in enumerate(tasks) if t.get("navarch.cluster.pod_info")][:3]:
        assert "\nok: " in said.split(f"TASK [Task {number}]")[1].split("TASK [")[0]
    for word in (token, *WORDS):
        for form in forms(word):
            found = next((line for line in said.splitlines() if form in line), "")
            assert not found, f"{form} in {found[:1000]}"


def _of_results(output: str) -> list[str]:
    """What was said of the tasks: Ansible itself shows where a wrong one stands in the playbook."""
    return [line for line in output.splitlines() if not line.startswith(("Origin:", "<<< caused by"))]
