# SPDX-License-Identifier: GPL-3.0-or-later
"""Run everything that `make test` promises, as named steps with logs and times, going on after a failure.

``test.py [STEP...]`` runs the named steps, or all. What a step proves lives in the tests and tools it calls;
here is only their order (quick ones first), what they need on the machine, and the sum at the end.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
LOGS = ROOT / "build" / "logs" / "test"
# Beside a Docker Engine: strace for the test of the store's sync, the rest for the kubelet's and network's.
PACKAGES = ["busybox-static", "containernetworking-plugins", "iproute2", "nftables", "procps", "strace"]


@dataclass(frozen=True)
class Step:
    """One named check. run: writes its output to the open log and returns an exit status."""

    name: str
    says: str
    run: Callable[[Log], int]


class Log:
    """A step's log file, and the way to run a command into it within a time limit."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stream = path.open("w")

    def run(self, *command: str | Path, cwd: Path = ROOT, seconds: int = 900, **env: str) -> int:
        self.stream.write(f"$ {' '.join(map(str, command))}\n")
        self.stream.flush()
        try:
            return subprocess.run(
                [str(word) for word in command],
                cwd=cwd,
                env=environment(**env),
                stdin=subprocess.DEVNULL,
                stdout=self.stream,
                stderr=subprocess.STDOUT,
                timeout=seconds,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            self.stream.write(f"\nstill running after {seconds} s; ended\n")
            return 124
        finally:
            self.stream.flush()

    def tail(self, lines: int) -> list[str]:
        self.stream.flush()
        return self.path.read_text(errors="replace").splitlines()[-lines:]


def environment(**extra: str) -> dict[str, str]:
    env = {**os.environ, **extra}
    env["PATH"] = f"{BIN}:{env.get('PATH', os.defpath)}"
    env["ANSIBLE_NOCOLOR"] = env["NO_COLOR"] = "1"
    env.setdefault("LC_ALL", "C.UTF-8")
    return env


def machine(log: Log) -> int:
    """What the tests need on the machine: packages, and a Docker Engine, by the collection's own roles."""
    return log.run(
        BIN / "ansible-playbook", ROOT / "tools/ansible/engine.yml", "-e", f"packages={','.join(PACKAGES)}",
        ANSIBLE_CONFIG=str(ROOT / "tools/ansible/ansible.cfg"),
    )  # fmt: skip


def command(*words: str, seconds: int = 900) -> Callable[[Log], int]:
    def run(log: Log) -> int:
        return log.run(BIN / words[0], *words[1:], seconds=seconds)

    return run


def ansible_test_home(home: Path) -> None:
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
    for source in BIN.parent.glob("lib/python*/site-packages/ansible_test/_internal/python_requirements.py"):
        for version in set(re.findall(r"pip='([\d.]+)'", source.read_text())):
            shutil.copy(ROOT / "tools/get_pip.py", cache / f"get_pip_{version.replace('.', '_')}.py")


def ansible_test(*words: str) -> Callable[[Log], int]:
    def run(log: Log) -> int:
        home = ROOT / "build" / "ansible-test-home"
        ansible_test_home(home)
        with tempfile.TemporaryDirectory(prefix="navarch-tree-") as parent:
            if log.run(BIN / "python", ROOT / "tools/collection.py", "tree", parent):
                return 1
            tree = Path(parent) / "ansible_collections/navarch/cluster"
            # The Python of .venv alone: a version manager's shims look like other Pythons and are none.
            python = f"{sys.version_info.major}.{sys.version_info.minor}"
            path = [
                part for part in os.environ.get("PATH", os.defpath).split(":") if not part.endswith("/shims")
            ]
            return log.run(
                BIN / "ansible-test",
                *words,
                "--python",
                python,
                cwd=tree,
                seconds=1200,
                HOME=str(home),
                PATH=":".join([f"{sys.base_prefix}/bin", *path]),
            )

    return run


def pytest(folder: str, *words: str, seconds: int = 1200) -> Callable[[Log], int]:
    return command("pytest", folder, "-p", "no:cacheprovider", *words, seconds=seconds)


TARBALL = "tests/e2e/test_tarball.py"
STEPS = [
    Step("ruff", "no lint in the Python files", command("ruff", "check", ".")),
    Step("format", "the Python files are formatted", command("ruff", "format", "--check", ".")),
    Step("imports", "the layers of the design hold", command("lint-imports")),
    Step("mypy", "the runtime is typed, strictly", command("mypy")),
    Step("changelog", "the changelog fragments are well-formed", command("antsibull-changelog", "lint")),
    Step("ansible-lint", "roles and playbooks, production profile", command("ansible-lint", "--offline")),
    Step("machine", "packages and a Docker Engine for the tests", machine),
    Step("tarball", "the collection holds what it should and nothing else", pytest(TARBALL, "-q")),
    Step("units", "the plugins' logic", ansible_test("units")),
    Step("runtime", "the runtime, against real parts", pytest("tests/runtime", "-q", "-n", "2")),
    Step("sanity", "ansible-test sanity", ansible_test("sanity")),
    Step(
        "e2e",
        "quickstart, kubectl, crashes, bad input, teardown on this machine",
        pytest("tests/e2e", "-v", "--ignore", TARBALL, seconds=1800),
    ),
]


def chosen(names: list[str]) -> list[Step]:
    known = {step.name: step for step in STEPS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(f"error: no step {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in names] if names else STEPS


def verdict(log: Log) -> str:
    """pytest's own last word, where the step is one of pytest's."""
    for line in reversed(log.tail(5)):
        if found := re.search(r"\d+ (?:passed|failed).*? in [\d.]+s", line):
            return f"  [{found.group()}]"
    return ""


def main(names: list[str]) -> int:
    steps = chosen(names)
    if any(step.name in ("machine", "runtime", "e2e") for step in steps) and os.geteuid() != 0:
        raise SystemExit("error: these tests make containers, networks and services, so they need root")
    LOGS.mkdir(parents=True, exist_ok=True)
    failed = []
    begun = time.monotonic()
    for step in steps:
        print(f"==> {step.name}: {step.says}", flush=True)
        started = time.monotonic()
        log = Log(LOGS / f"{step.name}.log")
        code = step.run(log)
        took = time.monotonic() - started
        print(f"    {'passed' if code == 0 else 'FAILED'} in {took:.0f} s{verdict(log)}", flush=True)
        if code:
            failed.append(step.name)
            print("".join(f"    | {line}\n" for line in log.tail(60)), end="")
            print(f"    all of it: {log.path.relative_to(ROOT)}", flush=True)
    took = (time.monotonic() - begun) / 60
    print(f"\n{len(steps)} steps in {took:.1f} min; failed: {', '.join(failed) or 'none'}")
    print(f"{len(steps) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
