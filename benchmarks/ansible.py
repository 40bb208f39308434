# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible: what a task of this collection costs beside `ansible.builtin.ping`, in Ansible's own process, as
an item of a loop and as a module, and what one `manifest` task of 500 objects takes.

A play of many tasks less a play of few, divided by the difference: what starting ansible-playbook costs does
not count. Ratios are of one run, so that a slow machine slows both.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.cluster import ROOT, master, report

FEW, MANY = 2, 22
ITEMS = 10  # of a loop, where a play of tasks has one task
OBJECTS = 500
ROUNDS = 3


@contextmanager
def controller() -> Iterator[dict[str, str]]:
    """An environment in which ansible-playbook has this collection as it stands in the tree."""
    with tempfile.TemporaryDirectory() as home:
        tree = Path(home, "ansible_collections", "navarch")
        tree.mkdir(parents=True)
        (tree / "cluster").symlink_to(ROOT)
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "K8S_AUTH_"))
        }
        yield kept | {
            "ANSIBLE_COLLECTIONS_PATH": home,
            "ANSIBLE_HOME": str(Path(home, ".ansible")),
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "HOME": home,
        }


class Cost(NamedTuple):
    """Of a run of ansible-playbook with all that it starts: seconds until its end, and of processors."""

    wall: float
    cpu: float


class Plays:
    """Plays on the controller itself, timed."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._path = folder / "play.yml"
        self._environment = environment

    def seconds(self, *tasks: dict[str, Any]) -> float:
        return self.cost(*tasks).wall

    def cost(self, *tasks: dict[str, Any]) -> Cost:
        play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": list(tasks)}
        self._path.write_text(json.dumps([play]))
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", str(self._path)]
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, env=self._environment, check=False)
        wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)
        return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    @staticmethod
    def _times(task: dict[str, Any], count: int) -> list[dict[str, Any]]:
        """So many of the task; of one with a loop, so many rounds of ITEMS in one task."""
        return [task | {"loop": list(range(count * ITEMS))}] if "loop" in task else [task] * count

    def per_task(self, **tasks: dict[str, Any]) -> dict[str, Cost]:
        """Milliseconds for each of these, taken in turn: the best of some rounds, as others only add. For a
        task with a loop: for ITEMS of its items.
        """
        runs: dict[tuple[str, int], list[Cost]] = {}
        for _round in range(ROUNDS):
            for name, task in tasks.items():
                for count in (FEW, MANY):
                    runs.setdefault((name, count), []).append(self.cost(*self._times(task, count)))
        best = {key: Cost(*map(min, zip(*costs, strict=True))) for key, costs in runs.items()}
        return {
            name: Cost(
                *(
                    (many - few) / (MANY - FEW) * 1000
                    for few, many in zip(best[name, FEW], best[name, MANY], strict=True)
                )
            )
            for name in tasks
        }


def _config_map(number: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"bench-{number}", "labels": {"app": "bench"}},
        "data": {"page.html": "<h1>Hello</h1>" * 20, "number": str(number)},
    }


def main() -> None:
    with master("--nodes", "1") as here, tempfile.TemporaryDirectory() as name, controller() as environment:
        kubeconfig, plays = str(here.kubeconfig), Plays(Path(name), environment)
        nothing = {"ansible.builtin.meta": "noop"}
        look = {"navarch.cluster.pod_info": {"kubeconfig": kubeconfig, "namespace": "default"}}
        costs = plays.per_task(
            ping={"ansible.builtin.ping": {}},
            here=look,
            item=look | {"loop": []},
            module=look | {"environment": {"BENCH": "1"}},
        )
        ping, items = costs["ping"], costs["item"]
        item = Cost(items.wall / ITEMS, items.cpu / ITEMS)
        for figure, cost in (("", costs["here"]), ("_item", item), ("_as_module", costs["module"])):
            report(
                f"ansible_pod_info{figure}", cost.wall, "ms/task",
                ping_ms=ping.wall, ratio=cost.wall / ping.wall, cpu_ratio=cost.cpu / ping.cpu,
            )  # fmt: skip

        source = Path(name, "manifests.json")
        source.write_text(json.dumps({"kind": "List", "items": [_config_map(n) for n in range(OBJECTS)]}))
        task = {"kubeconfig": kubeconfig, "src": [str(source)]}
        present = {"navarch.cluster.manifest": task}
        absent = {"navarch.cluster.manifest": task | {"state": "absent"}}
        made, again, gone = [], [], []
        for _round in range(ROUNDS):
            idle = plays.seconds(nothing)
            made.append(plays.seconds(present) - idle)
            again.append(plays.seconds(present) - idle)
            gone.append(plays.seconds(absent) - idle)
        report(
            "ansible_manifest_500",
            min(made),
            "s",
            unchanged_s=min(again),
            absent_s=min(gone),
            objects=OBJECTS,
        )


if __name__ == "__main__":
    main()
