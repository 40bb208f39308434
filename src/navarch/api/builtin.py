# SPDX-License-Identifier: GPL-3.0-or-later
"""The scheme of the built-in kinds: every module-level `Kind` of every file in the group packages.

No list of kinds stands here: a file that declares a kind is found by its place.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Any

from navarch.api.machinery.scheme import Kind, Scheme


@cache
def scheme() -> Scheme:
    """All built-in kinds. Imports every module of `navarch.api`."""
    package = importlib.import_module("navarch.api")
    found: dict[int, Kind[Any]] = {}
    for info in pkgutil.walk_packages(package.__path__, "navarch.api."):
        for value in vars(importlib.import_module(info.name)).values():
            if isinstance(value, Kind):
                found[id(value)] = value
    return Scheme(list(found.values()))
