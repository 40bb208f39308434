# SPDX-License-Identifier: GPL-3.0-or-later
"""From stored bytes and a patch to the object that is wanted.

The patch formats themselves are `api.patch`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from navarch.api import decode
from navarch.api.scheme import Kind


def patched(kind: Kind[Any], value: bytes, body: Any, type: str) -> Any:
    """Raises StatusError 400, 415, 422."""
    from navarch.api import patch

    document = msgspec.json.decode(value)
    return decode.from_document(kind, patch.apply(kind.type, document, body, type))
