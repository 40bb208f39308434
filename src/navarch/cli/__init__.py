# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: one file a command, loaded only when it is asked for. A command has `add(parser)` and
`run(arguments)`.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

COMMANDS = {
    "version": "say which version this is",
    "standalone": "run a complete control plane on a loopback port, for tests and for trying things",
    "master": "run the master: API server, scheduler and controllers",
    "kubelet": "run the agent of a node",
    "pki": "make and renew the cluster's certificates",
    "token": "manage the tokens that nodes join with",
    "backup": "write the store and the keys of a running cluster into one archive",
    "restore": "put the store and the keys of such an archive back",
    "store": "check the master's database for damage, and repair it from such an archive",
}


class Failure(Exception):
    """What went wrong, in one line for the person at the terminal."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(
        prog="navarch", description="A light pod cluster that speaks the Kubernetes API."
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    # Only the given command is imported: the others would slow its start.
    requested = next((word for word in given if not word.startswith("-")), None)
    for name, help in COMMANDS.items():
        sub = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        if name == requested:
            importlib.import_module(f"navarch.cli.{name}").add(sub)
    options = parser.parse_args(given)
    command = importlib.import_module(f"navarch.cli.{options.command}")
    try:
        code: int = command.run(options)
        return code
    except Failure as failure:
        print(f"navarch {options.command}: {failure}", file=sys.stderr)
        return failure.code
    except KeyboardInterrupt:
        return 130
