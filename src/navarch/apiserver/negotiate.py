# SPDX-License-Identifier: GPL-3.0-or-later
"""What form of answer an Accept header wants: plain JSON, a Table, metadata only, or a form of discovery.
Answers are always JSON.

Headers repeat from request to request, so what was understood once is remembered.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, NamedTuple, cast

from navarch.api.machinery import errors

As = Literal["", "Table", "PartialObjectMetadata", "PartialObjectMetadataList", "APIGroupDiscoveryList"]


class Form(NamedTuple):
    """`as_` with its group and version, as in `application/json;as=Table;v=v1;g=meta.k8s.io`. "" is the
    object itself.
    """

    as_: As = ""
    version: str = ""
    #: What to say the answer is.
    content_type: str = "application/json"


PLAIN = Form()

_META = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")


@lru_cache(maxsize=512)
def accept(header: str) -> Form:
    """The first form we can send, in the header's order. Raises StatusError 406 when there is none."""
    if not header:
        return PLAIN
    for part in header.split(","):
        media, *parameters = (p.strip() for p in part.split(";"))
        if media not in ("application/json", "*/*", "application/*"):
            continue
        values = dict(p.partition("=")[::2] for p in parameters if "=" in p)
        as_ = values.get("as", "")
        version, group = values.get("v", ""), values.get("g", "")
        if not as_:
            return PLAIN
        if as_ in _META and version == "v1" and group == "meta.k8s.io":
            content_type = f"application/json;as={as_};v=v1;g=meta.k8s.io"
            return Form(cast(As, as_), version, content_type)
        if as_ == "APIGroupDiscoveryList" and group == "apidiscovery.k8s.io" and version == "v2":
            return Form(
                "APIGroupDiscoveryList",
                version,
                "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
            )
    raise errors.not_acceptable(
        "only the following media types are accepted: application/json, "
        "application/json;as=Table;v=v1;g=meta.k8s.io, "
        "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
    )


@lru_cache(maxsize=512)
def wants_gzip(header: str) -> bool:
    """Whether an Accept-Encoding header takes gzip."""
    for part in header.split(","):
        coding, _, weight = part.partition(";")
        if coding.strip().lower() in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
