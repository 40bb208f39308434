# SPDX-License-Identifier: GPL-3.0-or-later
"""`navarch version`."""

from __future__ import annotations

import argparse

from navarch import API_LEVEL, __version__


def add(parser: argparse.ArgumentParser) -> None:
    return None


def run(options: argparse.Namespace) -> int:
    print(f"navarch {__version__} (Kubernetes API v{'.'.join(API_LEVEL)})")
    return 0
