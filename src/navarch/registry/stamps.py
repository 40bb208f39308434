# SPDX-License-Identifier: GPL-3.0-or-later
"""Timestamps and UIDs of writes, made cheaply.

`datetime.strftime` and `str(uuid4())` together cost as much as encoding ten pods.
"""

from __future__ import annotations

import os
from random import Random
from time import time

from navarch.api.machinery.meta import Time, now

_last = (0, "")
_bits = Random(os.urandom(32)).getrandbits


def second() -> Time:
    """The present second, as meta/v1 Time."""
    global _last
    present = int(time())
    if _last[0] != present:
        _last = (present, now())
    return _last[1]


def uid() -> str:
    """A random UUID (RFC 9562, version 4). Unique, not secret: nothing may rest on it."""
    text = f"{_bits(128):032x}"
    variant = "89ab"[int(text[16], 16) & 3]
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"
