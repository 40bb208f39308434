# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders and files that a pod's processes read, with the modes they are to have.

The service runs with umask 077, under which `mkdir` and `touch` make what only root can read.
"""

from __future__ import annotations

from pathlib import Path


def make_folder(path: Path, mode: int = 0o755) -> None:
    """Make it, and what is missing above it, with this mode. What is there keeps its own."""
    missing = []
    while not path.exists():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        folder.chmod(mode)


def make_file(path: Path, mode: int = 0o644) -> None:
    """Make it, empty, or leave what it holds; the mode is this one in any case."""
    path.touch()
    path.chmod(mode)
