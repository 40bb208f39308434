# SPDX-License-Identifier: GPL-3.0-or-later
"""`navarch store check` and `navarch store repair`: find what is damaged in the master's database, and bring
it back from a backup.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from navarch.cli import Failure

if TYPE_CHECKING:
    from navarch.store.sqlite_check import Judge, Report

DATA = "/var/lib/navarch/master"


def add(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser(
        "check",
        help="say what is damaged; the master may run (its pages are checked as well when it does not)",
    )
    which = check.add_mutually_exclusive_group()
    which.add_argument("--data-dir", metavar="DIR", default=DATA, help="the master's folder")
    which.add_argument("--archive", metavar="FILE", help="look into what `navarch backup` wrote instead")
    repair = actions.add_parser(
        "repair", help="bring back what is damaged, from a backup, or drop it; the master must be stopped"
    )
    repair.add_argument("--data-dir", metavar="DIR", default=DATA, help="the master's folder")
    repair.add_argument("--archive", metavar="FILE", help="what `navarch backup` wrote")
    repair.add_argument(
        "--drop", action="store_true", help="delete what is damaged and not in the archive, for good"
    )
    repair.add_argument(
        "--key", metavar="KEY", action="append", default=[], help="repair this one alone (may be repeated)"
    )


def run(options: argparse.Namespace) -> int:
    from navarch.store.base import Unavailable

    try:
        return _check(options) if options.action == "check" else _repair(options)
    except Unavailable as error:
        raise Failure(str(error)) from None


def judge() -> Judge:
    """What is wrong with a value of the store, as far as its kind says."""
    from navarch.api.builtin import scheme
    from navarch.registry.core import read
    from navarch.store.cache import Unreadable

    kinds = [kind for kind in scheme() if kind.stored]

    def look(key: str, value: bytes) -> str:
        for kind in kinds:
            if key.startswith(kind.root):
                try:
                    read(kind, value)
                except Unreadable as error:
                    return str(error)
        return ""

    return look


def _check(options: argparse.Namespace) -> int:
    from navarch.store import sqlite_check, sqlite_file
    from navarch.store.base import Unavailable

    if options.archive:
        with unpacked(options.archive) as path:
            return _say(sqlite_check.check(path, judge(), structure=True), options.archive, running=False)
    path = str(Path(options.data_dir) / "store.db")
    if not os.path.exists(path):
        raise Failure(f"--data-dir: there is no {path}", 2)
    try:
        lock = sqlite_file.Lock(path)
    except Unavailable:
        return _say(sqlite_check.check(path, judge(), structure=False), path, running=True)
    try:
        return _say(sqlite_check.check(path, judge(), structure=True), path, running=False)
    finally:
        lock.release()


def _say(report: Report, path: str, *, running: bool) -> int:
    """One JSON line; for each thing wrong a line for people. The exit code: 1 when anything is."""
    damaged = [{"key": d.key, "revision": d.revision, "why": d.why} for d in report.damaged]
    facts = {
        "store": path, "masterRuns": running, "whole": report.whole, "rows": report.rows,
        "keys": report.keys, "damaged": damaged, "lost": report.lost, "structure": report.structure,
    }  # fmt: skip
    print(json.dumps(facts))
    for line in words(report):
        print(f"navarch store: {line}", file=sys.stderr)
    if not report.whole:
        print(
            "navarch store: stop the master and use `navarch store repair --archive BACKUP`",
            file=sys.stderr,
        )
    return 0 if report.whole else 1


def words(report: Report) -> list[str]:
    """A line for each thing that is wrong."""
    lines = [f"{d.key}, revision {d.revision}: {d.why}" for d in report.damaged]
    lines += [f"nothing can be read from revision {first} to {last}" for first, last in report.lost]
    lines += [f"the database is damaged: {line}" for line in report.structure]
    return lines


def _repair(options: argparse.Namespace) -> int:
    from navarch.store import sqlite_file, sqlite_repair
    from navarch.store.base import Unavailable

    if not options.archive and not options.drop:
        raise Failure("give --archive with a backup, or --drop to delete what is damaged", 2)
    path = str(Path(options.data_dir) / "store.db")
    if not os.path.exists(path):
        raise Failure(f"--data-dir: there is no {path}", 2)
    try:
        lock = sqlite_file.Lock(path)
    except Unavailable as error:
        raise Failure(f"the master must be stopped: {error}") from None
    try:
        if options.archive:
            with unpacked(options.archive) as backup:
                done = sqlite_repair.repair(path, backup, judge(), drop=options.drop, only=options.key)
        else:
            done = sqlite_repair.repair(path, None, judge(), drop=True, only=options.key)
    finally:
        lock.release()
    facts = {
        "restored": done.restored, "older": done.older, "dropped": done.dropped, "left": done.left,
        "lost": done.lost,
    }  # fmt: skip
    print(json.dumps({"store": path, "changed": done.changed, **facts}))
    for key in done.older:
        print(f"navarch store: {key} is as old as the backup: look at it", file=sys.stderr)
    for key in done.left:
        print(f"navarch store: {key} is still damaged: no backup has it (--drop deletes it)", file=sys.stderr)
    for first, last in done.lost:
        print(
            f"navarch store: of revisions {first} to {last} there is what the backup has of them",
            file=sys.stderr,
        )
    return 1 if done.left else 0


@contextmanager
def unpacked(archive: str) -> Iterator[str]:
    """The store in an archive as a file of today's schema. Raises Failure."""
    from navarch.cli.backup import STORE
    from navarch.cli.restore import manifest, verify
    from navarch.store import sqlite_file

    with tempfile.TemporaryDirectory(prefix="navarch-store-") as folder:
        path = Path(folder) / "store.db"
        try:
            with tarfile.open(archive, "r:gz") as tar:
                verify(tar, STORE, manifest(tar)["sha256"][STORE], path)
        except (tarfile.TarError, EOFError) as error:
            raise Failure(f"--archive: {archive} is no backup, or not whole: {error}", 2) from None
        except OSError as error:
            raise Failure(f"{error.filename or archive}: {error.strerror or error}", 2) from None
        sqlite_file.open_for_writing(str(path)).close()
        yield str(path)
