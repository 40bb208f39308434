# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose the newest versions that fit every supported Python, and write the two constraints files and the
runtime's requirements: its constraints with the hashes of all their files, for any Python and processor.

Asks pip of each Python what it would install, without installing. Where the Pythons differ the runtime gets
the oldest choice, which all of them take; the tools get one line a Python, as ansible-core supports few.
`lock.py hashes` chooses nothing and only writes the requirements for the constraints there are.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNTIME = ROOT / "roles/runtime/files"
PYTHONS = ["python3.11", "python3.12", "python3.13"]
#: What asks an index for the hashes of all files of a version, which pip itself does not tell.
PIP_TOOLS = "pip-tools==7.6.2"
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


def hashed(pins: Path) -> list[str]:
    """The pins with the hashes of all files of their versions, as pip-compile asks the index for them."""
    with tempfile.TemporaryDirectory() as scratch:
        venv, out = f"{scratch}/venv", Path(scratch) / "requirements.txt"
        subprocess.run([PYTHONS[0], "-m", "venv", venv], check=True)
        subprocess.run([f"{venv}/bin/pip", "--quiet", "install", PIP_TOOLS], check=True)
        subprocess.run(
            [
                *(f"{venv}/bin/pip-compile", "--quiet", "--generate-hashes", "--no-header", "--no-annotate"),
                *("--allow-unsafe", "--no-emit-options", "--no-strip-extras", f"--output-file={out}"),
                str(pins.relative_to(ROOT)),
            ],
            check=True,
            cwd=ROOT,
        )
        lines = [line for line in out.read_text().splitlines() if line and not line.startswith("-")]
    wanted = [line for line in pins.read_text().splitlines() if "==" in line]
    found = [line.removesuffix(" \\") for line in lines if "==" in line]
    assert found == wanted, f"pip-compile has {found} for {wanted}"
    return lines


def write_requirements() -> None:
    note = (
        "# Exact versions of what a host needs (Python 3.11-3.13), with the hashes of all of their files; "
        "`make lock` writes them.\n"
    )
    lines = hashed(RUNTIME / "constraints.txt")
    (RUNTIME / "requirements.txt").write_text(LICENCE + note + "\n".join(lines) + "\n")


def main() -> None:
    if sys.argv[1:] == ["hashes"]:
        write_requirements()
        return
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted: list[str] = project["dependencies"]
    runtime = oldest([resolve(python, *wanted) for python in PYTHONS])
    note = "# Exact versions of what a host needs (Python 3.11-3.13); `make lock` writes them.\n"
    pins = [f"{name}=={version}" for name, version in sorted(runtime.items())]
    runtime_file = RUNTIME / "constraints.txt"
    runtime_file.write_text(LICENCE + note + "\n".join(pins) + "\n")
    write_requirements()

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
