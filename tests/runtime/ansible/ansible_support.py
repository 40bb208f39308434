# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of this folder share: where things are, and one request to the API past the modules."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]


def tool(name: str) -> str:
    """A program of ansible-core: where NAVARCH_TEST_ANSIBLE says, beside this Python or on the PATH."""
    folders = [
        os.environ.get("NAVARCH_TEST_ANSIBLE"),
        str(Path(sys.executable).parent),
        os.environ.get("PATH"),
    ]
    found = shutil.which(name, path=os.pathsep.join(filter(None, folders)))
    if found is None:
        assert not os.environ.get("CI"), f"{name} of ansible-core is missing: nothing would be proven"
        pytest.skip(f"needs {name} of ansible-core")
    return found


def request(kubeconfig: str, verb: str, path: str, body: Any = None) -> Any:
    """The API's answer to one request, sent as the kubeconfig's user."""
    with open(kubeconfig) as file:
        config = yaml.safe_load(file)
    cluster, token = config["clusters"][0]["cluster"], config["users"][0]["user"]["token"]
    trust = ssl.create_default_context(cadata=b64decode(cluster["certificate-authority-data"]).decode())
    form = "application/merge-patch+json" if verb == "PATCH" else "application/json"
    asked = urllib.request.Request(
        cluster["server"] + path,
        data=None if body is None else json.dumps(body).encode(),
        method=verb,
        headers={"Authorization": f"Bearer {token}", "Content-Type": form},
    )
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
    )
    with opener.open(asked, timeout=10) as answer:
        return json.load(answer)


def list_inventory(environment: dict[str, str], path: Path, content: dict[str, Any]) -> dict[str, Any]:
    """What ansible-inventory --list prints for a file of this content; of a failure, what it said."""
    path.write_text(json.dumps(content))
    command = [tool("ansible-inventory"), "-i", str(path), "--list"]
    env = environment | {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        return {"failed": done.stderr}
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@contextlib.contextmanager
def control_plane(folder: Path, nodes: int) -> Iterator[str]:
    """The kubeconfig of a control plane whose simulated nodes are ready."""
    path, log = str(folder / "kubeconfig"), folder / "log"
    command = [sys.executable, "-m", "navarch", "standalone", "--kubeconfig", path, "--nodes", str(nodes)]
    with log.open("w") as told:
        env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
        master = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=told, text=True)
    with master:
        try:
            assert master.stdout is not None
            assert master.stdout.readline().startswith("ready "), log.read_text()[-2000:]
            wait_for_nodes(path, nodes)
            yield path
        finally:
            master.terminate()
            try:
                master.wait(15)
            except subprocess.TimeoutExpired:
                master.kill()


class Restarting:
    """A control plane that keeps its data and its address, and is ended and started again every so often.

    ``seconds``: between two ends, and at least twice what its start took, as a machine that is busy would
    else never let it do anything. ``away``: how long it stays away beside its start. Every second end is one
    without notice (SIGKILL). ``count`` is of the ends so far.
    """

    def __init__(self, folder: Path, nodes: int, seconds: float, away: float) -> None:
        self.kubeconfig = str(folder / "kubeconfig")
        self.count = 0
        self._log = folder / "log"
        self._seconds, self._away = seconds, away
        self._over = threading.Event()
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        self._command = [
            *(sys.executable, "-m", "navarch", "standalone", "--kubeconfig", self.kubeconfig),
            *("--nodes", str(nodes), "--data-dir", str(folder / "data"), "--port", str(port)),
            *("--token", "restarting"),
        ]
        self._thread = threading.Thread(target=self._restart)

    def __enter__(self) -> Restarting:
        self._master = self._start()
        return self

    def begin(self) -> None:
        self._thread.start()

    def __exit__(self, *_problem: object) -> None:
        self._over.set()
        if self._thread.ident:
            self._thread.join(60)
        self._end(kill=False)

    def _start(self) -> subprocess.Popen[str]:
        env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
        with self._log.open("a") as told:
            master = subprocess.Popen(self._command, env=env, stdout=subprocess.PIPE, stderr=told, text=True)
        assert master.stdout is not None
        assert master.stdout.readline().startswith("ready "), self._log.read_text()[-2000:]
        return master

    def _end(self, kill: bool) -> None:
        if kill:
            self._master.kill()
        else:
            self._master.terminate()
        with self._master:
            try:
                self._master.wait(15)
            except subprocess.TimeoutExpired:
                self._master.kill()

    def _restart(self) -> None:
        up = self._seconds
        while not self._over.wait(up):
            self._end(kill=self.count % 2 == 1)
            self.count += 1
            self._over.wait(self._away)
            began = time.monotonic()
            self._master = self._start()
            up = max(self._seconds, 2 * (time.monotonic() - began))


def wait_for_nodes(kubeconfig: str, count: int) -> None:
    """Until so many nodes are ready and without taints: a control plane is, before its simulated nodes have
    joined, and what taints say of them follows what they are.
    """
    deadline = time.monotonic() + 30
    while True:
        nodes = request(kubeconfig, "GET", "/api/v1/nodes")["items"]
        conditions = [one for node in nodes for one in node.get("status", {}).get("conditions", ())]
        ready = [one for one in conditions if (one["type"], one["status"]) == ("Ready", "True")]
        specs = [node.get("spec", {}) for node in nodes]
        if len(ready) == count and all("podCIDR" in spec and not spec.get("taints") for spec in specs):
            return
        assert time.monotonic() < deadline, f"not ready: {nodes}"
        time.sleep(0.1)


def player(
    environment: dict[str, str], kubeconfig: str, folder: Path, seconds: float = 120
) -> Callable[..., list[dict[str, Any]]]:
    """play(task, ...): the result of each task, of which none keeps the next from running."""

    def run(*tasks: dict[str, Any], **variables: Any) -> list[dict[str, Any]]:
        answers = folder / "results.json"
        numbered = [
            {"name": f"Task {n}", "register": f"result_{n}", "ignore_errors": True, **task}
            for n, task in enumerate(tasks)
        ]
        names = ", ".join(f"result_{n}" for n in range(len(tasks)))
        save = {"content": f"{{{{ [{names}] | to_json }}}}", "dest": str(answers), "mode": "0600"}
        book = [
            {
                "hosts": "localhost",
                "connection": "local",
                "gather_facts": False,
                "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}", **variables},
                "module_defaults": {"group/navarch.cluster.cluster": {"kubeconfig": kubeconfig}},
                "tasks": [*numbered, {"name": "Save", "ansible.builtin.copy": save, "check_mode": False}],
            }
        ]
        path = folder / "play.json.yml"
        path.write_text(json.dumps(book))
        done = subprocess.run(
            [tool("ansible-playbook"), "-i", "localhost,", str(path)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return json.loads(answers.read_text())

    return run
