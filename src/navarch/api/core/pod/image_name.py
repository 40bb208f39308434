# SPDX-License-Identifier: GPL-3.0-or-later
"""Parsing image names. Pulling is not known here."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=1024)
def pull_policy(image: str) -> str:
    """The policy when none is given: Always for the tag `latest` and for none, IfNotPresent otherwise."""
    name, _, digest = image.partition("@")
    if digest:
        return "IfNotPresent"
    tag = name.rpartition("/")[2].partition(":")[2]
    return "Always" if tag in ("", "latest") else "IfNotPresent"
