# SPDX-License-Identifier: GPL-3.0-or-later
"""Decoders of types, made one at a time.

While msgspec makes a decoder it fills in what it knows of each struct, without a lock. A second thread that
makes a decoder of a struct that is half known, or reads into it, crashes the process. So what several threads
may decode, and what is decoded beside them, is decoded by a decoder of this file.
"""

from __future__ import annotations

import threading
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_lock = threading.Lock()
_made: dict[Any, msgspec.json.Decoder[Any]] = {}


def of(type: Any) -> msgspec.json.Decoder[Any]:
    """The decoder of a type, made at first use. It may be used by several threads."""
    found = _made.get(type)
    if found is None:
        with _lock:
            found = _made.get(type)
            if found is None:
                found = _made[type] = msgspec.json.Decoder(type)
    return found


def convert(value: Any, type: type[T]) -> T:
    """`msgspec.convert` from a generic document. Raises msgspec.ValidationError."""
    of(type)  # all that there is to know of the type is known then
    return msgspec.convert(value, type)
