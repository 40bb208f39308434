# SPDX-License-Identifier: GPL-3.0-or-later
"""Static bearer tokens from a file: lines of `token,user,uid,"group1,group2"` (the groups may be missing).
Read once, at start.

Tokens are kept and looked up by their SHA-256, so that how long a look-up takes says nothing about a token.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping

from navarch.auth.authn import Known
from navarch.auth.user import User


def parse(text: str, where: str = "token file") -> dict[str, User]:
    """Token -> user. Raises ValueError that names the line."""
    found: dict[str, User] = {}
    for number, row in enumerate(csv.reader(text.splitlines()), start=1):
        if not row or row[0].lstrip().startswith("#"):
            continue
        if len(row) < 3 or not row[0].strip() or not row[1].strip():
            raise ValueError(f'{where}, line {number}: expected token,user,uid[,"group1,group2"]')
        token = row[0].strip()
        if token in found:
            raise ValueError(f"{where}, line {number}: this token stands above already")
        groups = tuple(g.strip() for g in row[3].split(",") if g.strip()) if len(row) > 3 else ()
        found[token] = User(name=row[1].strip(), uid=row[2].strip(), groups=groups)
    return found


class TokenFile:
    def __init__(self, tokens: Mapping[str, User]) -> None:
        self._users = {_digest(token): Known(user, lasting=True) for token, user in tokens.items()}

    async def find(self, token: str) -> Known | None:
        return self._users.get(_digest(token))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()
