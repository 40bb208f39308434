# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads an ES256 token with openssl: nothing here shares code with who made it."""

from __future__ import annotations

import base64
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _integer(data: bytes) -> bytes:
    data = data.lstrip(b"\0") or b"\0"
    data = b"\0" + data if data[0] & 0x80 else data
    return b"\x02" + bytes([len(data)]) + data


def claims(token: str, public_key: bytes) -> dict[str, Any]:
    """Raises CalledProcessError for a signature that is none."""
    head, body, signature = token.split(".")
    assert json.loads(_bytes(head))["alg"] == "ES256"
    raw = _bytes(signature)
    numbers = _integer(raw[:32]) + _integer(raw[32:])
    with tempfile.TemporaryDirectory() as folder:
        key, sign = Path(folder, "key"), Path(folder, "signature")
        key.write_bytes(public_key)
        sign.write_bytes(b"\x30" + bytes([len(numbers)]) + numbers)
        command = ["openssl", "dgst", "-sha256", "-verify", str(key), "-signature", str(sign)]
        subprocess.run(command, input=f"{head}.{body}".encode(), check=True, capture_output=True)
    found: dict[str, Any] = json.loads(_bytes(body))
    return found
