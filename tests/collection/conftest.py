# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's tarball, built once, and what is in it."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("built")
    command = [sys.executable, ROOT / "tools" / "collection.py", "build", target]
    subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return next(target.glob("*.tar.gz"))


@pytest.fixture(scope="session")
def unpacked(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(tarball) as content:
        content.extractall(target, filter="data")
    return target
