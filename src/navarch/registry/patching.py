# SPDX-License-Identifier: GPL-3.0-or-later
"""From stored bytes and a patch to the object that is wanted.

The patch formats themselves are `api.patch`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from navarch.api import decode, patch
from navarch.api.errors import unsupported_media_type
from navarch.api.scheme import Kind


def patched(kind: Kind[Any], value: bytes, body: Any, type: str) -> Any:
    """Raises StatusError 400, 415, 422."""
    document = msgspec.json.decode(value)
    match type:
        case "merge":
            made = patch.merge_patch(document, body)
        case "strategic":
            made = patch.strategic_merge_patch(kind.type, document, body)
        case "json":
            made = patch.json_patch(document, body)
        case _:
            raise unsupported_media_type(f"patches of type {type!r} are not supported")
    return decode.from_document(kind, made)
