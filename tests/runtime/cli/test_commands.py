# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands as a person or a service manager runs them: what they say, how they end."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from ports_support import free_port

SRC = Path(__file__).resolve().parents[3] / "src"


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "navarch", *arguments]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SRC), **more}


def navarch(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=40, env=environment())


def failed(found: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """It ended with the code and one line that has the words."""
    assert found.returncode == code, found.stderr
    assert len(found.stderr.strip().splitlines()) == 1, found.stderr
    for word in words:
        assert word in found.stderr


def test_version() -> None:
    assert navarch("version").stdout == "navarch 0.1.0 (Kubernetes API v1.37)\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prot: 6443", ["prot", "unknown key"]),
        ("port: many", ["port", "int"]),
        ("port: 70000", ["port: 70000"]),
        ("serviceCIDR: here", ["serviceCIDR"]),
        ("serviceCIDR: 10.244.1.0/24", ["serviceCIDR", "overlaps"]),
        ("nodeMonitorGracePeriod: soon", ["nodeMonitorGracePeriod", "duration"]),
        ("logLevel: loud", ["logLevel"]),
        ("- a list", ["expected keys and values"]),
        ("a: [", ["not valid YAML"]),
        ("port: 1\ntlsCertFile: /none/there", ["tlsCertFile", "/none/there"]),
    ],
)
def test_a_bad_master_file_is_one_line_that_names_the_key(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    file = tmp_path / "master.yaml"
    port = f"port: {free_port()}\n" if text.startswith("port: 1\n") else ""
    file.write_text(text.replace("port: 1\n", port) + ("\nclientCAKeyFile: ''\n" if port else "\n"))
    failed(navarch("master", "--config", str(file)), 2, str(file), *words)


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = str(sock.getsockname()[1])
        found = navarch("standalone", "--kubeconfig", str(tmp_path / "k"), "--port", port)
    failed(found, 1, port, "taken")
    assert not (tmp_path / "k").exists()


def test_bad_options_of_standalone(tmp_path: Path) -> None:
    kubeconfig = str(tmp_path / "k")
    failed(navarch("standalone", "--kubeconfig", kubeconfig, "--nodes", "-1"), 2, "--nodes")
    failed(navarch("standalone", "--kubeconfig", kubeconfig, "--nodes", "40000"), 2, "--nodes: 32768")
    failed(navarch("standalone", "--kubeconfig", kubeconfig, "--token", "short"), 2, "--token")
    failed(navarch("standalone", "--kubeconfig", str(tmp_path / "no" / "where")), 2, "--kubeconfig")


def test_a_master_from_its_files_tells_systemd_and_joins_nodes_by_token(tmp_path: Path) -> None:
    port = free_port()
    made = navarch(
        "pki", "init", "--dir", str(tmp_path / "pki"), "--master-name", "127.0.0.1",
        "--server", f"https://127.0.0.1:{port}",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    files = {
        "tlsCertFile": "apiserver.crt", "tlsKeyFile": "apiserver.key", "clientCAFile": "ca.crt",
        "clientCAKeyFile": "ca.key", "kubeletClientCertFile": "kubelet-client.crt",
        "kubeletClientKeyFile": "kubelet-client.key", "serviceAccountKeyFile": "sa.key",
    }  # fmt: skip
    (tmp_path / "tokens").write_text('secret-token,robot,1,"system:masters"\n')
    config = {key: str(tmp_path / "pki" / name) for key, name in files.items()}
    config |= {
        "dataDir": str(tmp_path / "data"),
        "bindAddress": "127.0.0.1",
        "tokenFile": str(tmp_path / "tokens"),
    }
    file = tmp_path / "master.yaml"
    file.write_text(json.dumps({**config, "port": port}))
    told: list[bytes] = []
    ready = threading.Event()
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(str(tmp_path / "notify"))
    notify.settimeout(120)  # between the two messages lie five commands

    def listen() -> None:
        while not told or told[-1] != b"STOPPING=1":
            try:
                told.append(notify.recv(100))
            except OSError:
                break
            ready.set()
        ready.set()

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    master = subprocess.Popen(
        command("master", "--config", str(file)),
        env=environment(NOTIFY_SOCKET=str(tmp_path / "notify")),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert ready.wait(20)
        assert told == [b"READY=1"], (
            master.stderr.read() if master.poll() is not None and master.stderr else told
        )
        admin = ["--kubeconfig", str(tmp_path / "admin.conf")]
        made = navarch("token", "create", *admin, "--ttl", "30m", "--description", "for n1")
        assert made.returncode == 0, made.stderr
        id, _, secret = made.stdout.strip().partition(".")
        assert (len(id), len(secret)) == (6, 16)
        listed = navarch("token", "list", *admin).stdout
        assert id in listed
        assert "for n1" in listed
        assert secret not in listed
        assert navarch("token", "delete", id, *admin).returncode == 0
        failed(navarch("token", "delete", id, *admin), 1, id, "not found")
        failed(navarch("token", "create", *admin, "--ttl", "soon"), 2, "--ttl")
    finally:
        master.send_signal(signal.SIGTERM)
        try:
            code = master.wait(15)
        except subprocess.TimeoutExpired:
            master.kill()
            raise
        listener.join(5)
        notify.close()
    assert code == 0
    assert told[-1] == b"STOPPING=1"


def test_a_second_master_on_a_data_directory_is_one_line(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    options = ("--kubeconfig", str(tmp_path / "k"), "--data-dir", str(data))
    with open(data / "store.db.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        failed(navarch("standalone", *options), 1, str(data), "in use by another process")
    (data / "store.db").write_bytes(b"this is not a database, and it is long enough to see that" * 100)
    failed(navarch("standalone", *options), 1, str(data), "not a SQLite database")


def test_a_temporary_store_is_gone_after_the_end(tmp_path: Path) -> None:
    process = subprocess.Popen(
        command("standalone", "--kubeconfig", str(tmp_path / "k")),
        stdout=subprocess.PIPE,
        text=True,
        env=environment(TMPDIR=str(tmp_path)),
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready https://127.0.0.1:")
        assert list(tmp_path.glob("navarch-*"))
        assert (tmp_path / "k").stat().st_mode & 0o777 == 0o600
    finally:
        process.terminate()
        assert process.wait(15) == 0
    assert not list(tmp_path.glob("navarch-*"))
