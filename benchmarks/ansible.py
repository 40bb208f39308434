# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible: milliseconds a task of `navarch.cluster.pod_info` beside `ansible.builtin.ping`, on the
controller itself.

A play of many tasks less a play of few, divided by the difference: what starting ansible-playbook costs does
not count.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.cluster import ROOT, master, report

FEW, MANY = 2, 22


def _play(folder: Path, task: dict[str, Any], count: int) -> float:
    play = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [task] * count}]
    path = folder / "play.yml"
    path.write_text(json.dumps(play))
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", str(path)]
    environment = os.environ | {"ANSIBLE_PYTHON_INTERPRETER": sys.executable}
    configuration = ROOT / ".venv" / "ansible.cfg"
    if configuration.exists():
        environment["ANSIBLE_CONFIG"] = str(configuration)
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return time.perf_counter() - started


def _per_task(folder: Path, task: dict[str, Any]) -> float:
    """Milliseconds, the best of three: what disturbs only adds."""
    few = min(_play(folder, task, FEW) for _ in range(3))
    many = min(_play(folder, task, MANY) for _ in range(3))
    return (many - few) / (MANY - FEW) * 1000


def main() -> None:
    with master("--nodes", "1") as here, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ping = _per_task(folder, {"ansible.builtin.ping": {}})
        ours = _per_task(
            folder, {"navarch.cluster.pod_info": {"kubeconfig": str(here.kubeconfig), "namespace": "default"}}
        )
        report("ansible_pod_info", ours, "ms/task", ping_ms=ping, ratio=ours / ping)
