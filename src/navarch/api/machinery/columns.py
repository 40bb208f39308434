# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns and cells that tables of several kinds share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from navarch.api.machinery import selectors
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import LabelSelector
from navarch.api.machinery.scheme import Column

NONE = "<none>"
UNKNOWN = "<unknown>"

NAME = Column("Name", format="name", description="Name, unique within the namespace and kind.")
AGE = Column("Age", description="Time since the object was created.")
SELECTOR = Column("Selector", description="Labels of the pods.", priority=1)


def labels(given: Mapping[str, str] | None) -> str:
    """`a=1,b=2`, or `<none>`."""
    return ",".join(f"{key}={given[key]}" for key in sorted(given)) if given else NONE


def selector(given: LabelSelector | None) -> str:
    """`a=1,b in (2,3)`, or `<none>`."""
    try:
        return str(selectors.from_struct(given)) or NONE
    except StatusError:
        return "<error>"


def joined(parts: Sequence[str | None]) -> str:
    return ",".join(part or "" for part in parts) or NONE
