# SPDX-License-Identifier: GPL-3.0-or-later
"""What a new user sees of `make quickstart`: a cluster, no change the second time, clear words otherwise."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
import requests
from ports_support import free_port

from .conftest import BIN, ROOT, Cluster, containers, make, run, until


def test_it_ends_with_nodes_pods_and_what_to_try_next(cluster: Cluster) -> None:
    tail = cluster.made.stdout[-3000:]
    assert re.search(r"^\S+ +Ready +[\d.]+ +\d+ +\S+$", tail, re.MULTILINE), tail
    row = r"^{} +Running +10\.244\.\d+\.\d+ +{} +\S+ +Hello from {}$"
    assert re.search(row.format("hello", "2/2", "hello"), tail, re.MULTILINE), tail
    assert len(re.findall(row.format(r"(web-\w+)", "1/1", r"\1"), tail, re.MULTILINE)) == 3, tail
    assert "read over localhost: Hello from hello" in tail
    assert re.search(r"read from http://web/: Hello from web-\w+$", tail, re.MULTILINE), tail
    assert "/etc/navarch/admin.conf" in tail
    for line in (found := re.findall(r"^  (\S+/\w+ .*)$", tail, re.MULTILINE)):
        if "logs -f" not in line and "replicas=" not in line:
            done = run("sh", "-c", line, KUBECONFIG="/etc/navarch/admin.conf")
            assert done.returncode == 0, f"{line}: {done.stderr}"
    assert len(found) == 3


def test_every_pod_answers_on_its_own_address(cluster: Cluster) -> None:
    addresses = {
        pod["metadata"]["name"]: pod["status"]["podIP"] for pod in cluster.pods("app in (hello, web)")
    }
    assert len(set(addresses.values())) == 4
    for name, address in addresses.items():
        page = requests.get(f"http://{address}:8080/", timeout=5, proxies={"http": ""})
        assert page.text.strip() == f"Hello from {name}"


def test_a_second_run_changes_nothing(cluster: Cluster) -> None:
    before = containers()
    again = make("quickstart")
    assert again.returncode == 0, again.stdout + again.stderr
    recap = re.search(r"^localhost +: .*$", again.stdout, re.MULTILINE)
    assert recap, again.stdout
    assert " changed=0 " in recap.group(), again.stdout
    assert " failed=0 " in recap.group()
    assert containers() == before


def test_check_mode_finds_nothing_to_change(cluster: Cluster) -> None:
    done = run(
        BIN / "ansible-playbook",
        "navarch.cluster.quickstart",
        "--check",
        "--diff",
        seconds=300,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert re.search(r"^localhost +: .* changed=0 ", done.stdout, re.MULTILINE), done.stdout[-3000:]


def stops(*, word: str, seconds: float, user: int = 0, folder: Path = ROOT, **env: str) -> None:
    """quickstart says one line with `word` in it and ends with a failure within `seconds`."""
    started = time.monotonic()
    drop = ["setpriv", f"--reuid={user}", "--clear-groups"] if user else []
    done = run(*drop, folder / "tools/quickstart.sh", "up", seconds=120, **env)
    took = time.monotonic() - started
    assert done.returncode != 0
    errors = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(errors) == 1, errors
    assert errors[0].startswith("error: ")
    assert word in errors[0], errors[0]
    assert took < seconds, f"{took:.1f} s: {errors[0]}"


@pytest.mark.parametrize("count", ["0", "10", "-1", "three", "2.5"])
def test_a_number_of_nodes_that_cannot_be_is_refused_in_one_line(count: str) -> None:
    stops(word=f"NODES is {count}", seconds=15, NODES=count)


def test_a_demo_pod_that_failed_is_made_anew(cluster: Cluster) -> None:
    """One that shall not start again, as after an earlier run that went wrong."""
    cluster.kubectl("delete", "pod", "hello", "--grace-period=0")
    broken = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "hello", "labels": {"app": "hello"}},
        "spec": {
            "restartPolicy": "Never",
            "containers": [
                {"name": "web", "image": "navarch-demo:1", "imagePullPolicy": "Never", "command": ["false"]}
            ],
        },
    }
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(broken))
    until(
        lambda: cluster.get("/api/v1/namespaces/default/pods/hello")["status"]["phase"] == "Failed",
        60,
        "a failure",
    )
    again = make("quickstart")
    assert again.returncode == 0, again.stdout[-3000:] + again.stderr
    assert cluster.get("/api/v1/namespaces/default/pods/hello")["status"]["phase"] == "Running"


def test_without_root_it_says_so_at_once() -> None:
    """From a copy that every user may enter: the clone may lie in a folder that only its owner may."""
    with tempfile.TemporaryDirectory() as open_to_all:
        folder = Path(open_to_all)
        shutil.copytree(ROOT / "tools", folder / "tools")
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755)
        stops(word="root", seconds=15, user=65534, folder=folder)


def test_a_taken_port_is_named_with_who_has_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        stops(word=f"port {port}", seconds=15, API_PORT=str(port))


def test_no_package_index_is_found_out_at_once(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    shutil.copytree(
        ROOT, clone, ignore=shutil.ignore_patterns(".git", ".venv", "build", "tests", ".mypy_cache")
    )
    stops(
        word="package index",
        seconds=90,
        folder=clone,
        PIP_INDEX_URL="http://127.0.0.1:9/simple",
        PIP_EXTRA_INDEX_URL="",
        PIP_FIND_LINKS="",
        PIP_CONFIG_FILE="/dev/null",
        API_PORT=str(free_port()),
    )
    assert not (clone / "build" / "navarch-cluster-0.1.0.tar.gz").exists()


def test_navarch_says_its_version() -> None:
    done = subprocess.run([str(BIN / "navarch"), "version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "navarch 0.1.0 (Kubernetes API v1.37)"
