# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns of tables that show a pod template: names and images of its containers."""

from __future__ import annotations

from navarch.api.core.pod.spec import PodTemplateSpec
from navarch.api.machinery.scheme import Column

CONTAINERS = Column("Containers", description="Names of the containers.", priority=1)
IMAGES = Column("Images", description="Images of the containers.", priority=1)


def containers(template: PodTemplateSpec | None) -> tuple[str, str]:
    """The names and the images of a template's containers."""
    found = template.spec.containers if template is not None and template.spec is not None else []
    return ",".join(c.name for c in found), ",".join(c.image or "" for c in found)
