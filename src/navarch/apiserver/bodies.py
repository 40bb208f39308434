# SPDX-License-Identifier: GPL-3.0-or-later
"""Types that are only sent through subresources, never stored, and no kinds of their own: Scale."""

from __future__ import annotations

from typing import Annotated

from navarch.api.machinery.fields import Struct, field, wire
from navarch.api.machinery.meta import Object


class ScaleSpec(Struct):
    replicas: Annotated[int | None, wire(1, "Wanted number of replicas.", format="int32")] = field(
        "replicas", None
    )


class ScaleStatus(Struct):
    replicas: Annotated[int, wire(1, "Number of replicas there are.", format="int32", required=True)] = field(
        "replicas", 0
    )
    selector: Annotated[str | None, wire(2, "Label selector of the replicas, as a string.")] = field(
        "selector", None
    )


class Scale(Object):
    spec: Annotated[ScaleSpec | None, wire(2, "What is wanted.")] = field("spec", None)
    status: Annotated[ScaleStatus | None, wire(3, "What there is.")] = field("status", None)
