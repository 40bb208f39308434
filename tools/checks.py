# SPDX-License-Identifier: GPL-3.0-or-later
"""How a step of test.py runs its tool: logs, time limits, ansible-test's tree and home, own environments.

What is run, and in which order, stands in test.py.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
BUILD = ROOT / "build"


class Log:
    """A step's log file, and the way to run a command into it within a time limit.

    patient: give way to everything else on the machine.
    """

    def __init__(self, path: Path, patient: bool) -> None:
        self.path = path
        self.patient = patient
        self.stream = path.open("w")

    def run(self, *command: str | Path, cwd: Path = ROOT, seconds: int = 900, **env: str) -> int:
        self.say(f"$ {' '.join(map(str, command))}")
        try:
            return subprocess.run(
                [*(["nice", "-n", "15"] if self.patient else []), *(str(word) for word in command)],
                cwd=cwd,
                env=environment(**env),
                stdin=subprocess.DEVNULL,
                stdout=self.stream,
                stderr=subprocess.STDOUT,
                timeout=seconds,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            self.say(f"\nstill running after {seconds} s; ended")
            return 124
        finally:
            self.stream.flush()

    def say(self, line: str) -> None:
        self.stream.write(f"{line}\n")
        self.stream.flush()

    def lines(self) -> list[str]:
        self.stream.flush()
        return self.path.read_text(errors="replace").splitlines()


Check = Callable[[Log], int]


def environment(**extra: str) -> dict[str, str]:
    env = {**os.environ, **extra}
    env["PATH"] = f"{BIN}:{env.get('PATH', os.defpath)}"
    env["ANSIBLE_NOCOLOR"] = env["NO_COLOR"] = "1"
    env.setdefault("LC_ALL", "C.UTF-8")
    return env


def command(*words: str, seconds: int = 900) -> Check:
    def run(log: Log) -> int:
        return log.run(BIN / words[0], *words[1:], seconds=seconds)

    return run


def pytest(folder: str, *words: str, seconds: int = 1200, **env: str) -> Check:
    def run(log: Log) -> int:
        return log.run(BIN / "pytest", folder, "-p", "no:cacheprovider", *words, seconds=seconds, **env)

    return run


def in_order(*checks: Check) -> Check:
    """All of them, going on after a failure; the first failure's status."""

    def run(log: Log) -> int:
        return next(iter([code for check in checks if (code := check(log))]), 0)

    return run


def without_shims() -> list[str]:
    """The PATH without a version manager's shims, which look like other Pythons and are none."""
    return [part for part in os.environ.get("PATH", os.defpath).split(":") if not part.endswith("/shims")]


def collection_tree(log: Log, parent: str) -> Path | None:
    """The collection with its unit tests, laid out as Ansible wants it; without what .gitignore names."""
    if log.run(BIN / "python", ROOT / "tools/collection.py", "tree", parent):
        return None
    return Path(parent) / "ansible_collections/navarch/cluster"


def ansible_test_home(home: Path, venv: Path) -> None:
    """A home for ansible-test, which hands on no PIP_* variables and wants get-pip.py from elsewhere.

    It finds the settings of pip in force here as a pip.conf, and a get-pip.py that takes pip from the index.
    """
    settings = subprocess.run(
        [str(BIN / "python"), "-m", "pip", "config", "list"],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    ).stdout
    lines = {}
    for name, value in re.findall(r"^(?:global|:env:|install)\.([a-z-]+)='(.*)'$", settings, re.MULTILINE):
        lines[name] = value.replace("\\n", "\n  ")
    if proxy := os.environ.get("https_proxy", os.environ.get("HTTPS_PROXY")):
        lines.setdefault("proxy", proxy)
    if bundle := os.environ.get("REQUESTS_CA_BUNDLE", os.environ.get("SSL_CERT_FILE")):
        lines.setdefault("cert", bundle)
    (home / ".config/pip").mkdir(parents=True, exist_ok=True)
    (home / ".config/pip/pip.conf").write_text(
        "[global]\n"
        + "".join(f"{name} = {value}\n" for name, value in lines.items() if name != "config-file")
    )
    cache = home / ".ansible/test/cache"
    cache.mkdir(parents=True, exist_ok=True)
    for source in venv.glob("lib/python*/site-packages/ansible_test/_internal/python_requirements.py"):
        for version in set(re.findall(r"pip='([\d.]+)'", source.read_text())):
            shutil.copy(ROOT / "tools/get_pip.py", cache / f"get_pip_{version.replace('.', '_')}.py")


def ansible_test(*words: str, venv: Path = BIN.parent) -> Check:
    """ansible-test of that environment, with the environment's own Python."""

    def run(log: Log) -> int:
        home = BUILD / "ansible-test-home"
        ansible_test_home(home, venv)
        base, version = about(venv / "bin/python")
        with tempfile.TemporaryDirectory(prefix="navarch-tree-") as parent:
            tree = collection_tree(log, parent)
            if tree is None:
                return 1
            return log.run(
                venv / "bin/ansible-test",
                *words,
                "--python",
                version,
                cwd=tree,
                seconds=1200,
                HOME=str(home),
                PATH=":".join([f"{venv}/bin", f"{base}/bin", *without_shims()]),
            )

    return run


def about(python: str | Path) -> tuple[str, str]:
    """Where a Python is installed, and its version as in 3.13."""
    says = "import sys; print(sys.base_prefix, '%d.%d' % sys.version_info[:2])"
    base, version = subprocess.run(
        [str(python), "-c", says], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
    ).stdout.split()
    return base, version


def venv(log: Log, name: str, python: str | Path, files: list[str], *arguments: str) -> Path | None:
    """build/venvs/NAME with what pip installs for the arguments; made anew when one of the files changed."""
    target = BUILD / "venvs" / name
    stamp = target / ".stamp"
    content = b"".join((ROOT / file).read_bytes() for file in files)
    want = hashlib.sha256(f"{about(python)} {arguments}".encode() + content).hexdigest()
    if stamp.exists() and stamp.read_text() == want:
        return target
    shutil.rmtree(target, ignore_errors=True)
    if log.run(python, "-m", "venv", target):
        return None
    if log.run(target / "bin/python", "-m", "pip", "install", "--no-input", "--quiet", *arguments):
        return None
    stamp.write_text(want)
    return target


def other_pythons() -> Iterator[Path]:
    """Every python3.12 or newer that is there: on the PATH, and where version managers keep theirs."""
    folders = [Path(part) for part in without_shims() if part]
    folders += sorted(Path.home().glob(".pyenv/versions/3.*/bin"), reverse=True)
    folders += sorted(Path.home().glob(".local/share/uv/python/cpython-3.*/bin"), reverse=True)
    for minor in (13, 12):
        for folder in folders:
            candidate = folder / f"python3.{minor}"
            if candidate.exists() and works(candidate):
                yield candidate


def works(python: Path) -> bool:
    done = subprocess.run(
        [str(python), "-c", "import venv, ensurepip, ssl"], capture_output=True, timeout=20, check=False
    )
    return done.returncode == 0


def newest_core(log: Log) -> int:
    """Sanity, units and module tests with the newest ansible-core, which wants a newer Python than 3.11."""
    if sys.version_info >= (3, 12):
        log.say("left out: .venv has the newest ansible-core already, so all other steps ran with it")
        return 0
    python = next(other_pythons(), None)
    if python is None:
        log.say("left out: it needs Python 3.12 or 3.13, and this machine has neither")
        return 0
    constraints = ["tools/constraints.txt", "roles/runtime/files/constraints.txt"]
    packages = ["ansible-core", "requests", "PyYAML", "pytest", "pytest-mock", "pytest-xdist"]
    pins = [word for file in constraints for word in ("-c", file)]
    place = venv(log, "newest-core", python, constraints, *packages, *pins)
    if place is None:
        return 1
    modules = ["tests/runtime/ansible/test_modules.py", "tests/runtime/ansible/test_action.py"]
    check = in_order(
        pytest(modules[0], *modules[1:], "-q", NAVARCH_TEST_ANSIBLE=str(place / "bin")),
        ansible_test("units", venv=place),
        ansible_test("sanity", venv=place),
    )
    log.run(place / "bin/ansible", "--version")
    return check(log)


def galaxy_importer(log: Log) -> int:
    """What Galaxy does with an upload, in an environment of its own: its attrs is older than the runtime's.

    Not a warning may come of it. ansible-lint has a step of its own, in the production profile.
    """
    files = ["tools/requirements-importer.txt", "tools/constraints.txt"]
    place = venv(log, "galaxy-importer", BIN / "python", files, "-r", files[0], "-c", files[1])
    if place is None:
        return 1
    with tempfile.TemporaryDirectory(prefix="navarch-import-") as scratch:
        if log.run(BIN / "python", ROOT / "tools/collection.py", "build", scratch):
            return 1
        code = log.run(
            place / "bin/python", "-m", "galaxy_importer.main", next(Path(scratch).glob("*.tar.gz")),
            cwd=Path(scratch), GALAXY_IMPORTER_RUN_ANSIBLE_LINT="0",
        )  # fmt: skip
    said = "\n".join(log.lines()).partition("galaxy_importer.main")[2]  # pip may have warned before that
    warned = re.findall(r"^(?:WARNING|ERROR|CRITICAL): ", said, re.MULTILINE)
    return code or len(warned)


def documentation(log: Log) -> int:
    """Every plugin's and role's documentation keeps the rules and renders; references lead somewhere."""
    with tempfile.TemporaryDirectory(prefix="navarch-docs-") as parent:
        tree = collection_tree(log, parent)
        if tree is None:
            return 1
        lint = log.run(
            BIN / "antsibull-docs", "lint-collection-docs", "--plugin-docs", "--check-extra-docs-refs",
            "--validate-collection-refs", "dependent", "--disallow-unknown-collection-refs", ".", cwd=tree,
        )  # fmt: skip
        return log.run(BIN / "python", ROOT / "tools/docs.py", f"{parent}/rendered") or lint
