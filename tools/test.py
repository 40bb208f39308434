# SPDX-License-Identifier: GPL-3.0-or-later
"""Run everything that `make test` promises, as named steps with logs and times, going on after a failure.

``test.py [STEP...]`` runs the named steps, or all. What a step proves lives in the tests and tools it calls;
here is only their order, what they need on the machine, and the sum at the end. How they are run: checks.py.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from dataclasses import dataclass

from checks import (
    BIN,
    BUILD,
    ROOT,
    Check,
    Log,
    ansible_test,
    command,
    documentation,
    galaxy_importer,
    newest_core,
    pytest,
)

LOGS = BUILD / "logs" / "test"
# Beside a Docker Engine: strace and etcd for the store's tests, the rest for the kubelet's and network's.
PACKAGES = [
    "busybox-static", "containernetworking-plugins", "etcd-client", "etcd-server", "iproute2", "nftables",
    "procps", "strace",
]  # fmt: skip
# The tests on hosts of their own, which are containers.
HOSTS = ("tests/e2e/test_install.py", "tests/e2e/three_hosts")
# A cloud of such hosts.
GCE = "tests/e2e/test_gce.py"
ASIDE = (*HOSTS, GCE)
#: A line in which a linter names a place: path:line: what is wrong, or an arrow to it.
PLACE = re.compile(r"(ERROR: )?[\w./-]+:\d+(:\d+)?: .|\s*--> \S+:\d+")


@dataclass(frozen=True)
class Step:
    """One named check. beside: it reads files only, so it may run beside the others, giving way to them."""

    name: str
    says: str
    run: Check
    beside: bool = False
    #: Run only when it is named: too long for every run.
    asked: bool = False


def machine(log: Log) -> int:
    """What the tests need on the machine: packages, and a Docker Engine, by the collection's own roles."""
    return log.run(
        BIN / "ansible-playbook", ROOT / "tools/ansible/engine.yml", "-e", f"packages={','.join(PACKAGES)}",
        ANSIBLE_CONFIG=str(ROOT / "tools/ansible/ansible.cfg"),
    )  # fmt: skip


STEPS = [
    Step("ruff", "no lint in the Python files", command("ruff", "check", "."), beside=True),
    Step("format", "the Python files are formatted", command("ruff", "format", "--check", "."), beside=True),
    Step("imports", "the layers of the design hold", command("lint-imports"), beside=True),
    Step("mypy", "the runtime is typed, strictly", command("mypy"), beside=True),
    Step(
        "changelog",
        "the changelog fragments are well-formed",
        command("antsibull-changelog", "lint"),
        beside=True,
    ),
    Step(
        "role-docs",
        "roles' READMEs tell of their options",
        command("python", "tools/role_docs.py", "--check"),
        beside=True,
    ),
    Step(
        "kinds",
        "what follows from the table of kinds is written",
        command("python", "tools/kinds.py", "--check"),
        beside=True,
    ),
    Step("collection", "metadata, tarball and guides", pytest("tests/collection", "-q"), beside=True),
    Step("docs", "the reference of plugins and roles, by antsibull-docs", documentation, beside=True),
    Step("units", "the plugins' logic", ansible_test("units"), beside=True),
    Step(
        "ansible-lint",
        "roles and playbooks, production profile",
        command("ansible-lint", "--offline"),
        beside=True,
    ),
    Step("galaxy-importer", "Galaxy takes the collection without a warning", galaxy_importer, beside=True),
    Step("sanity", "ansible-test sanity, nothing ignored", ansible_test("sanity"), beside=True),
    Step("newest-core", "modules, units and sanity with the newest ansible-core", newest_core, beside=True),
    Step("machine", "packages and a Docker Engine for the tests", machine),
    Step(
        "runtime",
        "the runtime, against real parts",
        # worksteal: a folder's tests mostly stay in one process, so what they share is started once.
        pytest("tests/runtime", "-q", "-n", "2", "--dist", "worksteal", "--durations=40", seconds=2700),
    ),
    Step(
        "fuzz",
        "20,000 random requests after our OpenAPI documents: answered all, and nothing grows",
        pytest("tests/fuzz", "-q", seconds=1800),
    ),
    Step(
        "e2e",
        "quickstart, kubectl, crashes, bad input, teardown on this machine",
        pytest("tests/e2e", "-v", "--durations=15", *(f"--ignore={path}" for path in ASIDE), seconds=1800),
    ),
    Step(
        "hosts",
        "the tarball on a fresh host, three hosts: overlays, services, firewalls, losses",
        pytest(*HOSTS, "-v", "--durations=15", seconds=1800),
    ),
    Step(
        "gce",
        "playbook gce on hosts that an emulated Google gives: cluster, routes, fewer, none",
        pytest(GCE, "-v", seconds=1800),
        asked=True,
    ),
    Step(
        "molecule",
        "roles and a cluster of three, by Molecule, on hosts of their own",
        command("python", "tools/molecule.py", seconds=1800),
        asked=True,
    ),
]
NEED_ROOT = ("machine", "runtime", "e2e", "hosts", "gce", "molecule")


def chosen(names: list[str]) -> list[Step]:
    known = {step.name: step for step in STEPS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(f"error: no step {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in names] if names else [step for step in STEPS if not step.asked]


def verdict(log: Log) -> str:
    """The step's own last word: pytest's count, or why it was left out."""
    lines = log.lines()
    for line in reversed(lines):
        if line.startswith("left out: "):
            return f"  [{line}]"
    for line in reversed(lines[-5:]):
        if found := re.search(r"\d+ (?:passed|failed).*? in [\d.]+s", line):
            return f"  [{found.group()}]"
    return ""


def culprits(log: Log) -> list[str]:
    """The tests that failed, as pytest names them in its summary, each with the first line of its reason; or
    the places that a linter names."""
    reasons: dict[str, str] = {}
    section = ""
    for line in log.lines():
        if title := re.fullmatch(r"_{3,} (?:ERROR at \w+ of )?(\S.*?) _{3,}", line):
            section = title.group(1)
        elif line.startswith("E  ") and section:
            reasons.setdefault(section, line[1:].strip()[:500])
    found = []
    for line in log.lines():
        if re.match(r"(FAILED|ERROR) \S+::", line):
            name = line.partition(" - ")[0]
            found.append(name)
            if why := reasons.get(name.split("::", 1)[1].replace("::", ".")):
                found.append(f"    {why}")
    return found or [line.strip() for line in log.lines() if PLACE.match(line)][:20]


class Run:
    """The steps' course. Two at once at most: one of each lane, with one line at a time on the terminal."""

    def __init__(self) -> None:
        self.failed: dict[str, list[str]] = {}
        self._terminal = threading.Lock()

    def lane(self, steps: list[Step]) -> None:
        for step in steps:
            self._step(step)

    def _step(self, step: Step) -> None:
        self._say(f"==> {step.name}: {step.says}")
        started = time.monotonic()
        log = Log(LOGS / f"{step.name}.log", patient=step.beside)
        try:
            code = step.run(log)
        except Exception as error:  # a step that breaks has failed, and the next ones still run
            log.say(f"{type(error).__name__}: {error}")
            code = 1
        took = time.monotonic() - started
        lines = [f"    {step.name} {'FAILED' if code else 'passed'} in {took:.0f} s{verdict(log)}"]
        if code:
            self.failed[step.name] = culprits(log)
            lines += [f"    | {line}" for line in log.lines()[-60:]]
            lines.append(f"    all of it: {log.path.relative_to(ROOT)}")
        self._say(*lines)

    def _say(self, *lines: str) -> None:
        with self._terminal:
            print(*lines, sep="\n", flush=True)


def main(names: list[str]) -> int:
    steps = chosen(names)
    if any(step.name in NEED_ROOT for step in steps) and os.geteuid() != 0:
        raise SystemExit("error: these tests make containers, networks and services, so they need root")
    LOGS.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    run = Run()
    beside = threading.Thread(target=run.lane, args=([step for step in steps if step.beside],), daemon=True)
    beside.start()
    run.lane([step for step in steps if not step.beside])
    beside.join()
    took = (time.monotonic() - begun) / 60
    failed = [step.name for step in steps if step.name in run.failed]
    for name in failed:
        print(f"\n{name} failed", *run.failed[name], sep="\n    ")
    print(f"\n{len(steps)} steps in {took:.1f} min; failed: {', '.join(failed) or 'none'}")
    print(f"{len(steps) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
