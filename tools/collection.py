# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the collection's tarball and install it into this Python's site-packages, when a source changed.

``collection.py install`` does that. ``collection.py build [DIR]`` makes the tarball of a release, in
``build`` if no folder is named. It has the runtime as one wheel in place of ``src``: a collection that others
include may use only what is in ``meta``, ``plugins``, ``roles`` and ``playbooks``. ``collection.py tree DIR``
lays out ``DIR/ansible_collections/navarch/cluster`` with the unit tests, as ansible-test needs it.

Not here: checks of the tarball (tests/collection).
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
# What is never part of the collection nor of its tests, by name, anywhere in the tree.
SKIPPED = {".git", ".venv", "build", "__pycache__", "output"}
# What galaxy.yml keeps out of the tarball; a change in there is no reason to build again.
NOT_SHIPPED = {"benchmarks", "tests", "tools", "Makefile"}
# What the runtime's wheel is made from.
SOURCE = {"src", "pyproject.toml"}


def files() -> list[Path]:
    """Every file that the tarball is made from, relative to the root."""
    found = []
    for path in sorted(ROOT.rglob("*")):
        relative = path.relative_to(ROOT)
        if SKIPPED.intersection(relative.parts) or relative.parts[0] in NOT_SHIPPED or not path.is_file():
            continue
        if any(part.startswith(".") or part.endswith((".egg-info", ".whl")) for part in relative.parts):
            continue
        found.append(relative)
    return found


def fingerprint() -> str:
    digest = hashlib.sha256(sys.version.encode())
    for relative in files():
        digest.update(
            str(relative).encode() + b"\0" + hashlib.sha256((ROOT / relative).read_bytes()).digest()
        )
    return digest.hexdigest()


def galaxy(log: Path, *arguments: str, cwd: Path = ROOT) -> None:
    """Run ansible-galaxy with its output in the log; a failure names the log and exits."""
    command = [str(Path(sys.executable).parent / "ansible-galaxy"), "collection", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cwd)
    with log.open("a") as stream:
        stream.write(done.stdout)
    if done.returncode:
        last = (done.stdout.strip().splitlines() or ["no output"])[-1]
        raise SystemExit(
            f"error: ansible-galaxy collection {arguments[0]}: {last} (all of it: {log.relative_to(ROOT)})"
        )


def copy(paths: Iterable[Path], target: Path) -> None:
    """Copies files, given relative to the root, into a folder of the same layout."""
    for relative in paths:
        destination = target / relative
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / relative, destination)


def build(out: Path = BUILD) -> Path:
    """The tarball, built in this folder in place of an earlier one."""
    out.mkdir(parents=True, exist_ok=True)
    log = BUILD / "logs" / "collection.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    for old in out.glob("navarch-cluster-*.tar.gz"):
        old.unlink()
    with tempfile.TemporaryDirectory(prefix="navarch-collection-") as folder:
        staged = Path(folder)
        copy((path for path in files() if path.parts[0] not in SOURCE), staged)
        parts = Path("roles/runtime/files")
        made = [
            sys.executable,
            str(ROOT / parts / "build_wheel.py"),
            f"--root={ROOT}",
            f"--out={staged / parts}",
        ]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
        galaxy(log, "build", "--force", "--output-path", str(out.resolve()), cwd=staged)
    return next(out.glob("navarch-cluster-*.tar.gz"))


def install() -> None:
    stamp = Path(sys.prefix) / ".collection"
    want = fingerprint()
    if stamp.exists() and stamp.read_text() == want:
        return
    print("==> Building the collection and installing it into .venv", flush=True)
    tarball = build()
    site = sysconfig.get_path("purelib")
    galaxy(BUILD / "logs" / "collection.log", "install", "--force", "--offline", "-p", site, str(tarball))
    stamp.write_text(want)


def tree(parent: Path) -> Path:
    """What runs inside Ansible (plugins, roles, playbooks) with its unit tests, laid out for ansible-test.

    Without the runtime: its rules are ruff's and mypy's; some of ansible-test's are meant for plugins alone.
    """
    target = parent / "ansible_collections" / "navarch" / "cluster"
    unit = (path.relative_to(ROOT) for path in (ROOT / "tests" / "unit").rglob("*") if path.is_file())
    wanted = {path for path in files() if path.parts[0] != "src"}
    wanted |= {path for path in unit if not SKIPPED.intersection(path.parts)}
    copy(wanted, target)
    return target


def main(arguments: list[str]) -> None:
    match arguments:
        case ["install"]:
            install()
        case ["build", *out] if len(out) < 2:
            print(build(*map(Path, out)))
        case ["tree", parent]:
            print(tree(Path(parent)))
        case _:
            raise SystemExit("usage: collection.py install | build [DIR] | tree DIR")


if __name__ == "__main__":
    main(sys.argv[1:])
