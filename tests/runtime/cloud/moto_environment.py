# SPDX-License-Identifier: GPL-3.0-or-later
"""A Python environment with moto, made once in build/: moto and our tests want different versions."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PINS = Path(__file__).with_name("moto.txt")


def python() -> str:
    """The environment's Python. Tests that run at the same time wait for one that makes it."""
    home = ROOT / "build" / "moto"
    home.mkdir(parents=True, exist_ok=True)
    stamp = home / "stamp"
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != PINS.read_text():
            subprocess.run(
                [sys.executable, "-m", "venv", "--clear", str(home / "venv")], check=True, timeout=120
            )
            pip = [str(home / "venv/bin/python"), "-m", "pip", "install", "--quiet", "--no-input"]
            subprocess.run([*pip, "--no-deps", "-r", str(PINS)], check=True, timeout=600)
            stamp.write_text(PINS.read_text())
    return str(home / "venv/bin/python")
