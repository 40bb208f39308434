# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs ansible-inventory again and again without loading it anew: a process forks for each line of JSON that
comes in, and its exit status goes out. For tests, which ask often; none of the collection is loaded before.
"""

from __future__ import annotations

import json
import os
import sys

from ansible.cli.inventory import InventoryCLI


def run(asked: dict[str, object]) -> None:
    """One run, in a process of its own."""
    os.environ.update(asked["env"])
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(str(asked[name]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, number)
    InventoryCLI.cli_executor(asked["words"])


for line in sys.stdin:
    child = os.fork()
    if not child:
        run(json.loads(line))  # which ends the process
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
