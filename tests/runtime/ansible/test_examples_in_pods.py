# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of modules that need running containers, as they stand in the documentation, in a real pod."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_support import ROOT, tool
from pods_support import Live
from test_examples import PLUGINS, examples

pytestmark = [pytest.mark.docker, pytest.mark.root]
FETCHED = Path("/tmp/fetched-web.conf")


@pytest.fixture(scope="module")
def kubeconfig(live: Live) -> str:
    live.pod("web", {"name": "web"})
    return str(live.admin)


def test_examples_run(play: Callable[..., list[dict[str, Any]]], live: Live, tmp_path: Path) -> None:
    (tmp_path / "site" / "img").mkdir(parents=True)
    (tmp_path / "site" / "index.html").write_text("hello")
    modules = ("pod_exec", "pod_copy", "pod_logs")
    tasks = [task for name in modules for task in examples(PLUGINS / "modules" / f"{name}.py")]
    try:
        results = play(
            *(task | {"register": f"result_{n}"} for n, task in enumerate(tasks)), web={"log_lines": []}
        )
        assert FETCHED.read_text() == "listen 8080\n"
    finally:
        FETCHED.unlink(missing_ok=True)
    assert not [result["msg"] for result in results if result.get("failed")]
    assert live.inside("web", "cat", "/tmp/made", container="web") == "hello\n"
    owner = live.inside("web", "stat", "-c", "%u", "/tmp/www/index.html", container="web")
    assert owner == "1000\n"


def test_the_guide_works(environment: dict[str, str], live: Live, kubeconfig: str, tmp_path: Path) -> None:
    guide = (
        (ROOT / "docs" / "guides" / "inside-pods.md")
        .read_text()
        .replace("/etc/navarch/admin.conf", kubeconfig)
    )
    one, inventory, every = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    hosts = tmp_path / "web.navarch_pods.yml"
    hosts.write_text(inventory)
    here = tmp_path / "here.yml"
    local = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    here.write_text(json.dumps({"all": {"hosts": {"localhost": local}}}))
    book = tmp_path / "play.yml"
    book.write_text(one + every)
    done = subprocess.run(
        [tool("ansible-playbook"), "-i", str(hosts), "-i", str(here), str(book)],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"web\.default +: ok=2 ", done.stdout), done.stdout
    assert live.inside("web", "cat", "/tmp/index.html", container="web") == "Hello\n"
