# SPDX-License-Identifier: GPL-3.0-or-later
"""One real cluster on this machine for the session: made by `make quickstart`, taken down at the end.

Here is how tests reach it: kubectl, the raw API, services, containers. What they prove is in the tests.
"""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest
import requests
import yaml

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".venv" / "bin"
KUBECONFIG = Path("/etc/navarch/admin.conf")
SYSTEMD = Path("/run/systemd/system").is_dir()
# The label by which a kubelet knows its containers; its value ends with a hash of the kubelet's folder.
OWNER = "navarch.io/kubelet"
OWNED_BY_THIS = "." + hashlib.sha256(b"/var/lib/navarch/kubelet").hexdigest()[:12]

Done = subprocess.CompletedProcess[str]


def run(*command: str | Path, seconds: float = 120, stdin: str = "", **env: str) -> Done:
    """A command with its output; the caller looks at the exit status."""
    return subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        env={**os.environ, "LC_ALL": "C.UTF-8", **env},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """The first true value of `condition`; fails with `what` and the last value or error after `seconds`."""
    deadline = time.monotonic() + seconds
    last: object = None
    while time.monotonic() < deadline:
        try:
            if value := condition():
                return value
            last = value
        except (requests.RequestException, AssertionError, KeyError) as error:
            last = error
        time.sleep(0.2)
    pytest.fail(f"not within {seconds} s: {what}; last seen: {last!r}")


@dataclass
class Cluster:
    """The running cluster. made: what the first `make quickstart` said."""

    made: Done
    server: str
    session: requests.Session

    def kubectl(self, *words: str, stdin: str = "", seconds: float = 60) -> str:
        """kubectl's output. Fails the test when kubectl does."""
        done = self.try_kubectl(*words, stdin=stdin, seconds=seconds)
        assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    def try_kubectl(self, *words: str, stdin: str = "", seconds: float = 60) -> Done:
        return run(BIN / "kubectl", "--kubeconfig", KUBECONFIG, *words, stdin=stdin, seconds=seconds)

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.session.request(method, self.server + path, timeout=20, **options)

    def get(self, path: str) -> dict[str, Any]:
        answer = self.request("GET", path)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def node_ready(self) -> bool:
        nodes = self.get("/api/v1/nodes")["items"]
        conditions = {c["type"]: c["status"] for node in nodes for c in node["status"].get("conditions", [])}
        return len(nodes) == 1 and conditions.get("Ready") == "True"

    def pods(self, selector: str = "") -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.get(f"/api/v1/namespaces/default/pods?labelSelector={selector}")[
            "items"
        ]
        return items


def pid(service: str) -> int:
    """The process of a service, 0 when none."""
    if SYSTEMD:
        return int(run("systemctl", "show", "-p", "MainPID", "--value", service).stdout or 0)
    try:
        number = int(Path(f"/run/{service}.pid").read_text())
        os.kill(number, 0)
    except (OSError, ValueError):
        return 0
    return number


def start(service: str) -> None:
    done = run("systemctl", "start", service) if SYSTEMD else run("service", service, "start")
    assert done.returncode == 0, done.stdout + done.stderr


def containers() -> dict[str, str]:
    """Id and start time of every container of the cluster's kubelet, from the Engine itself."""
    engine = docker.from_env()
    try:
        found = engine.containers.list(filters={"label": OWNER})
        return {
            one.id: one.attrs["State"]["StartedAt"]
            for one in found
            if one.labels[OWNER].endswith(OWNED_BY_THIS)
        }
    finally:
        engine.close()


def session_of(kubeconfig: Path, folder: Path) -> tuple[str, requests.Session]:
    """Server and authenticated session of a kubeconfig with embedded data."""
    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]

    def file(name: str, data: str) -> str:
        path = folder / name
        path.write_bytes(base64.b64decode(data))
        path.chmod(0o600)
        return str(path)

    session = requests.Session()
    session.trust_env = False
    session.verify = file("ca.crt", cluster["certificate-authority-data"])
    if "token" in user:
        session.headers["Authorization"] = f"Bearer {user['token']}"
    else:
        session.cert = (
            file("client.crt", user["client-certificate-data"]),
            file("client.key", user["client-key-data"]),
        )
    return cluster["server"], session


def make(target: str, seconds: float = 900) -> Done:
    return run("make", "--no-print-directory", target, seconds=seconds)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if os.geteuid() != 0:
        pytest.fail("the end-to-end tests make a real cluster on this machine: run them as root")
    if Path("/etc/navarch").exists() or pid("navarch-master"):
        pytest.fail(
            "this machine has a cluster already, which the tests would take down: make quickstart-down first"
        )
    try:
        made = make("quickstart")
        assert made.returncode == 0, f"make quickstart: {made.stdout[-6000:]}\n{made.stderr[-2000:]}"
        server, session = session_of(KUBECONFIG, tmp_path_factory.mktemp("credentials"))
        yield Cluster(made, server, session)
    finally:
        gone = make("quickstart-down")
        assert gone.returncode == 0, f"make quickstart-down: {gone.stdout[-3000:]}\n{gone.stderr[-2000:]}"
