# SPDX-License-Identifier: GPL-3.0-or-later
"""A master in a process of its own for a benchmark: durable SQLite on disk, TLS and authorization on."""

from __future__ import annotations

import asyncio
import compileall
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.load import Target
from navarch.client import kubeconfig

ROOT = Path(__file__).resolve().parent.parent


class Master(msgspec.Struct, frozen=True):
    process: subprocess.Popen[str]
    folder: Path
    kubeconfig: Path
    #: Seconds from exec to the line that says it is ready.
    ready_after: float

    @property
    def target(self) -> Target:
        return Target.of(kubeconfig.load(self.kubeconfig))

    def cpu(self) -> float:
        """Seconds of processor time so far: what a request costs, however busy the machine is."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss(self) -> float:
        """MiB."""
        return rss(self.process.pid)


def rss(pid: int) -> float:
    """Resident memory of a process, MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} is gone")


@contextlib.contextmanager
def master(*options: str) -> Iterator[Master]:
    """A fresh control plane, ended and removed at the end. The data lies beside the benchmarks, not on a
    tmpfs."""
    base = ROOT / ".bench"
    base.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=base))
    config = folder / "kubeconfig"
    command = [
        sys.executable,
        "-m",
        "navarch",
        "standalone",
        "--kubeconfig",
        str(config),
        "--data-dir",
        str(folder / "data"),
    ]
    compileall.compile_dir(ROOT / "src", quiet=1)  # as an installed navarch is
    started = time.perf_counter()
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("ready "):
                break
        else:
            raise RuntimeError("the master did not become ready")
        yield Master(process, folder, config, time.perf_counter() - started)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def report(figure: str, value: float, unit: str, **more: Any) -> None:
    """One figure, one line of JSON."""
    rounded = {key: round(number, 3) if isinstance(number, float) else number for key, number in more.items()}
    print(json.dumps({"figure": figure, "value": round(value, 3), "unit": unit, **rounded}), flush=True)


def run(main: Any) -> None:
    """A benchmark's coroutine on uvloop."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def pod(
    name: str, *, cpu: str = "100m", memory: str = "200Mi", scheduler: str = "default-scheduler"
) -> bytes:
    """A pod as a client sends it, about as large as a real one."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "labels": {"app": "bench", "tier": "web"},
                "annotations": {"note": "x" * 120},
            },
            "spec": {
                "schedulerName": scheduler,
                "containers": [
                    {
                        "name": "web",
                        "image": "registry.local/web:1.2.3",
                        "args": ["--listen", "0.0.0.0:8080"],
                        "env": [{"name": "MODE", "value": "bench"}],
                        "ports": [{"containerPort": 8080, "name": "http"}],
                        "resources": {
                            "requests": {"cpu": cpu, "memory": memory},
                            "limits": {"memory": memory},
                        },
                    }
                ],
            },
        }
    ).encode()
