# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an inventory's answer is kept under: a digest of everything that was asked, and of who asked."""

from __future__ import annotations

import hashlib
import json
import typing as t


def digest(asked: t.Any) -> str:
    """Of values as YAML and Ansible have them, dates and vaulted texts too. Secrets are in it as a digest."""
    return hashlib.sha256(json.dumps(_plain(asked), sort_keys=True).encode()).hexdigest()


def _plain(value: t.Any) -> t.Any:
    if isinstance(value, t.Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
