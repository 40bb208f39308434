# SPDX-License-Identifier: GPL-3.0-or-later
"""The PodTemplate kind: a stored recipe for pods."""

from __future__ import annotations

from typing import Annotated

from navarch.api.fields import field, wire
from navarch.api.meta import Object
from navarch.api.podspec import PodTemplateSpec
from navarch.api.scheme import Kind


class PodTemplate(Object):
    """A recipe for pods."""

    template: Annotated[PodTemplateSpec | None, wire(2, "How the pods are made.")] = field("template", None)


POD_TEMPLATE = Kind(PodTemplate, resource="podtemplates", short_names=(), namespaced=True, subresources=())
