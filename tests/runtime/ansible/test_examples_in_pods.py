# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of modules that need running containers, as they stand in the documentation, in a real pod."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
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
