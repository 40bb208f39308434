# SPDX-License-Identifier: GPL-3.0-or-later
"""From stored bytes and a patch to the new object.

The patch formats are `api.machinery.patch`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from navarch.api.machinery import decode, patch, strict
from navarch.api.machinery.errors import invalid, invalid_object, unsupported_media_type
from navarch.api.machinery.scheme import Kind
from navarch.registry.context import Context

encode = msgspec.json.Encoder().encode


def patched(kind: Kind[Any], value: bytes, body: Any, type: str, ctx: Context) -> Any:
    """Raises StatusError 400, 415, 422; warns of fields that the kind has not, or refuses them, as the
    request asks.
    """
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
    obj = decode.from_document(kind, made)
    # What is stored knows no unknown field: those that are found now came with the patch.
    if ctx.field_validation != "Ignore" and (found := strict.problems(kind, encode(made))):
        if ctx.field_validation == "Strict":
            why = f"strict decoding error: {', '.join(found)}"
            # Neither the patch nor what it made: either may hold a Secret's values, and errors are logged.
            raise invalid_object(
                kind.kind, obj.metadata.name or "", [invalid("patch", None, why)], kind.group
            )
        # Once, however often another writer came first.
        ctx.warnings += [problem for problem in found if problem not in ctx.warnings]
    return obj
