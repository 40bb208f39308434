# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests from addresses and vaults, and waits that end for want of a node."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_support import player, tool

Result = dict[str, Any]
Direct = Callable[..., Result]


def config_map(name: str) -> Result:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"word": "aloha"}}


@pytest.fixture
def site() -> Iterator[str]:
    """A site with one page, /shop.yml, of two objects."""
    page = "---\n".join(json.dumps(config_map(name)) + "\n" for name in ("one", "two")).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            there = self.path == "/shop.yml"
            self.send_response(200 if there else 404)
            self.end_headers()
            self.wfile.write(page if there else b"none")

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(5)


def test_manifests_from_an_address(direct: Direct, site: str) -> None:
    made = direct("manifest", src=[f"{site}/shop.yml"])
    assert made.get("counts") == {"created": 2}, made
    none = direct("manifest", src=[f"{site}/none.yml"])
    assert none["failed"]
    assert none["msg"] == f"src: cannot fetch {site}/none.yml: 404 Not Found"
    away = direct("manifest", src=["http://127.0.0.1:9/shop.yml"])
    assert away["failed"]
    assert away["msg"] == "src: cannot fetch http://127.0.0.1:9/shop.yml: Connection refused"
    gone = direct("manifest", src=[f"{site}/shop.yml"], state="absent")
    assert gone["counts"] == {"deleted": 2}


def test_vaulted_manifests_are_decrypted_on_the_controller(
    environment: dict[str, str], kubeconfig: str, tmp_path: Path
) -> None:
    password, source = tmp_path / "password", tmp_path / "secret.yml"
    password.write_text("sesame\n")
    source.write_text(json.dumps(config_map("vaulted")))
    known = environment | {"ANSIBLE_VAULT_PASSWORD_FILE": str(password)}
    done = subprocess.run(
        [tool("ansible-vault"), "encrypt", str(source)],
        env=known, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert source.read_text().startswith("$ANSIBLE_VAULT")
    task = {"navarch.cluster.manifest": {"src": [str(source)]}}
    away = {"navarch.cluster.manifest": {"src": [str(source)], "state": "absent"}}
    made, gone = player(known, kubeconfig, tmp_path)(task, away)
    assert (made["counts"], gone["counts"]) == ({"created": 1}, {"deleted": 1})
    assert made["objects"][0]["object"]["data"] == {"word": "aloha"}


def test_a_wait_ends_at_once_for_want_of_a_node_when_asked(direct: Direct) -> None:
    containers = [{"name": "c", "image": "busybox:1", "resources": {"requests": {"cpu": 100000}}}]
    began = time.monotonic()
    pod = direct(
        "pod", name="giant", containers=containers, wait=True, wait_timeout=60, wait_unschedulable=False
    )
    raw = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "titan"},
        "spec": {"containers": [{**containers[0], "resources": {"requests": {"cpu": "100000"}}}]},
    }
    options = {"definition": raw, "wait": True, "wait_timeout": 60, "wait_unschedulable": False}
    manifest = direct("manifest", **options)
    assert time.monotonic() - began < 40
    for result, name in ((pod, "pod giant"), (manifest, "Pod titan")):
        assert result["failed"]
        assert f"{name} will not be Ready: " in result["msg"]
        assert "Insufficient cpu" in result["msg"]
    for name in ("giant", "titan"):
        direct("pod", name=name, state="absent", delete_grace_period=0)
