# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the Molecule scenarios and say of each how it ended: `molecule.py [SCENARIO...]`, or all.

Scenarios of three hosts run one after the other on the same hosts, beside those of one host on theirs: each
begins with what the one before left, which is what hosts look like in life. What a scenario proves its folder
says. With MOLECULE_KEEP=1 the hosts stay at the end, too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from checks import BIN, BUILD, ROOT, Log

LOGS = BUILD / "logs" / "molecule"
NAME = os.environ.get("MOLECULE_HOSTS_NAME", "navarch-molecule")
#: Hosts' name -> scenarios in their order. The first finds fresh hosts, the last takes their way out.
LANES = {
    NAME: ["cluster", "upgrade", "teardown", "offline"],
    f"{NAME}-one": ["docker", "pki", "master", "kubelet", "registry", "images"],
}
SECONDS = 900

printing = threading.Lock()


def run(scenario: str) -> bool:
    """One scenario, with its output in a log; prints its verdict."""
    started = time.monotonic()
    log = Log(LOGS / f"{scenario}.log", patient=False)
    # Of its own, and gone with the run: Molecule notes there that it has prepared the hosts.
    with tempfile.TemporaryDirectory(prefix="molecule-") as folder:
        # The hosts stay: another scenario may follow.
        code = log.run(
            BIN / "molecule", "test", "--destroy=never", "--scenario-name", scenario,
            seconds=SECONDS, MOLECULE_EPHEMERAL_DIRECTORY=folder,
        )  # fmt: skip
    with printing:
        took = time.monotonic() - started
        print(f"scenario {scenario}: {'passed' if code == 0 else 'FAILED'} in {took:.0f} s", flush=True)
        if code:
            lines = "".join(f"    | {line}\n" for line in log.lines()[-40:])
            print(f"{lines}    all of it: {log.path.relative_to(ROOT)}")
    return code == 0


def lane(name: str, scenarios: list[str]) -> list[str]:
    """Those that failed. The hosts go at the end."""
    try:
        return [scenario for scenario in scenarios if not run(scenario)]
    finally:
        if scenarios and not os.environ.get("MOLECULE_KEEP"):
            subprocess.run(
                [ROOT / "tools/hosts.sh", "down"], env={**os.environ, "HOSTS_NAME": name}, check=False
            )


def main(names: list[str]) -> int:
    unknown = set(names) - {scenario for scenarios in LANES.values() for scenario in scenarios}
    if unknown:
        raise SystemExit(f"error: no scenario {', '.join(sorted(unknown))}")
    LOGS.mkdir(parents=True, exist_ok=True)
    chosen = {
        name: [one for one in scenarios if not names or one in names] for name, scenarios in LANES.items()
    }
    count, started = sum(map(len, chosen.values())), time.monotonic()
    with ThreadPoolExecutor(len(chosen)) as pool:
        failed = [one for lost in pool.map(lane, chosen, chosen.values()) for one in lost]
    took = time.monotonic() - started
    print(f"{count - len(failed)} passed, {len(failed)} failed in {took:.0f}s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
