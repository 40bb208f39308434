# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose the newest versions that fit every supported Python, and write the two constraints files.

Asks pip of each Python what it would install, without installing. Where the Pythons differ the runtime gets
the oldest choice, which all of them take; the tools get one line a Python, as ansible-core supports few.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ["python3.11", "python3.12", "python3.13"]
LICENCE = "# SPDX-License-Identifier: GPL-3.0-or-later\n"
Versions = dict[str, str]


def resolve(python: str, *arguments: str) -> Versions:
    """Name and version of everything that pip would install for the arguments."""
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([python, "-m", "venv", f"{scratch}/venv"], check=True)
        report = Path(scratch) / "report.json"
        pip = [
            f"{scratch}/venv/bin/python",
            "-m",
            "pip",
            "--quiet",
            "install",
            "--dry-run",
            "--ignore-installed",
        ]
        subprocess.run([*pip, "--report", str(report), *arguments], check=True, cwd=ROOT)
        chosen = json.loads(report.read_text())["install"]
    return {
        one["metadata"]["name"].lower().replace("_", "-"): one["metadata"]["version"]
        for one in chosen
        if one["metadata"]["name"] != "navarch"
    }


def oldest(choices: list[Versions]) -> Versions:
    """Of every package the choice of the first Python that wants it: the oldest Python gets the oldest."""
    merged: Versions = {}
    for choice in reversed(choices):
        merged.update(choice)
    return merged


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted: list[str] = project["dependencies"]
    runtime = oldest([resolve(python, *wanted) for python in PYTHONS])
    note = "# Exact versions of what a host needs (Python 3.11-3.13); `make lock` writes them.\n"
    pins = [f"{name}=={version}" for name, version in sorted(runtime.items())]
    runtime_file = ROOT / "roles/runtime/files/constraints.txt"
    runtime_file.write_text(LICENCE + note + "\n".join(pins) + "\n")

    files = ["-r", "tools/requirements.txt", "-r", "tools/requirements-test.txt", "-c", str(runtime_file)]
    tools = [resolve(python, *files) for python in PYTHONS]
    lines = []
    for name in sorted(set().union(*tools) - set(runtime)):
        old, new = tools[0].get(name), tools[1].get(name)
        if old == new:
            lines.append(f"{name}=={old}")
            continue
        lines += [f'{name}=={old}; python_version < "3.12"'] if old else []
        lines += [f'{name}=={new}; python_version >= "3.12"'] if new else []
    note = "# Exact versions of what building and testing need beside the runtime; `make lock` writes them.\n"
    (ROOT / "tools/constraints.txt").write_text(LICENCE + note + "\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
