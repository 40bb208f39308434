# SPDX-License-Identifier: GPL-3.0-or-later
"""A real master as a process, with certificates and a folder of its own, for tests of the command line."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ports_support import free_port

from navarch.cli import main

MAPS = "/api/v1/namespaces/default/configmaps"


@dataclass
class Master:
    folder: Path
    port: int

    @property
    def arguments(self) -> list[str]:
        return ["--pki-dir", str(self.folder / "pki")]

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "navarch", "master", "--config", str(self.folder / "master.yaml")]
        with (self.folder / "log").open("a") as log:
            return subprocess.Popen(command, stderr=log, env={**os.environ, "PYTHONPATH": "src"})

    @contextlib.contextmanager
    def running(self, end: signal.Signals = signal.SIGTERM) -> Iterator[None]:
        process = self.start()
        try:
            deadline = time.monotonic() + 30
            while True:
                with contextlib.suppress(OSError):
                    self.call("GET", "/readyz")
                    break
                assert process.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < deadline, (self.folder / "log").read_text()
                time.sleep(0.05)
            yield
        finally:
            process.send_signal(end)
            process.wait(20)

    def call(self, method: str, path: str, body: object = None) -> Any:
        tls = ssl.create_default_context(cafile=self.folder / "pki/ca.crt")
        tls.load_cert_chain(self.folder / "pki/admin.crt", self.folder / "pki/admin.key")
        request = urllib.request.Request(
            f"https://127.0.0.1:{self.port}{path}",
            method=method,
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, context=tls, timeout=20) as answer:
            text = answer.read()
        return json.loads(text) if text[:1] == b"{" else text

    def write(self, name: str) -> int:
        made = self.call("POST", MAPS, {"metadata": {"name": name}, "data": {"text": "x" * 500}})
        return int(made["metadata"]["resourceVersion"])

    def names(self) -> set[str]:
        return {item["metadata"]["name"] for item in self.call("GET", MAPS)["items"]} - {"kube-root-ca.crt"}

    def backup(self, to: Path) -> int:
        return main(
            ["backup", "--kubeconfig", str(self.folder / "admin.conf"), "--output", str(to), *self.arguments]
        )

    def restore(self, archive: Path, *words: str) -> int:
        place = ["--data-dir", str(self.folder / "data"), *self.arguments]
        return main(["restore", "--archive", str(archive), *place, *words])


def make_master(tmp_path: Path, **settings: object) -> Master:
    """settings: more keys of master.yaml."""
    port = free_port()
    url = f"https://127.0.0.1:{port}"
    made = main(["pki", "init", "--dir", str(tmp_path / "pki"), "--master-name", "m1", "--server", url])
    assert made == 0
    files = {
        f"{key}File": str(tmp_path / "pki" / name)
        for key, name in (
            ("tlsCert", "apiserver.crt"), ("tlsKey", "apiserver.key"), ("clientCA", "ca.crt"),
            ("clientCAKey", "ca.key"), ("kubeletClientCert", "kubelet-client.crt"),
            ("kubeletClientKey", "kubelet-client.key"), ("serviceAccountKey", "sa.key"),
        )
    }  # fmt: skip
    config = {
        "dataDir": str(tmp_path / "data"),
        "bindAddress": "127.0.0.1",
        "port": port,
        **files,
        **settings,
    }
    (tmp_path / "master.yaml").write_text(json.dumps(config))
    return Master(tmp_path, port)
