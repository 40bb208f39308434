# SPDX-License-Identifier: GPL-3.0-or-later
"""What tables of several kinds have in common: columns and how cells are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from navarch.api import selectors
from navarch.api.errors import StatusError
from navarch.api.meta import LabelSelector
from navarch.api.podspec import PodTemplateSpec
from navarch.api.scheme import Column

NONE = "<none>"
UNKNOWN = "<unknown>"

NAME = Column("Name", format="name", description="Name, unique within the namespace and kind.")
AGE = Column("Age", description="Time since the object was created.")
CONTAINERS = Column("Containers", description="Names of the containers.", priority=1)
IMAGES = Column("Images", description="Images of the containers.", priority=1)
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


def containers(template: PodTemplateSpec | None) -> tuple[str, str]:
    """The names and the images of a template's containers."""
    found = template.spec.containers if template is not None and template.spec is not None else []
    return ",".join(c.name for c in found), ",".join(c.image or "" for c in found)
