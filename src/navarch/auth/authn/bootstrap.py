# SPDX-License-Identifier: GPL-3.0-or-later
"""Bootstrap tokens: `id.secret`, kept as Secrets `bootstrap-token-<id>` in kube-system, with an expiry and a
usage.

Source of the format: the API reference's "Authenticating with Bootstrap Tokens". A token that expires or
is deleted ends at once: nothing is remembered here.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

from navarch.api.machinery import meta
from navarch.auth.authn import Known
from navarch.auth.user import User

NAMESPACE = "kube-system"
SECRET_TYPE = "bootstrap.kubernetes.io/token"
PREFIX = "bootstrap-token-"
GROUP = "system:bootstrappers"

_TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_EXTRA_GROUP = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")

#: Reads the data (base64 values) of a Secret of the type above in kube-system; None when there is none of
#: that name and type.
ReadSecret = Callable[[str], Awaitable[Mapping[str, str] | None]]


class BootstrapTokens:
    def __init__(self, read: ReadSecret) -> None:
        self._read = read

    async def find(self, token: str) -> Known | None:
        match = _TOKEN.fullmatch(token)
        if match is None:
            return None
        id, secret = match.groups()
        data = await self._read(PREFIX + id)
        if data is None:
            return None
        values = {key: _text(value) for key, value in data.items()}
        if not hmac.compare_digest(values.get("token-secret", "").encode(), secret.encode()):
            return None
        if values.get("token-id") != id or values.get("usage-bootstrap-authentication") != "true":
            return None
        if expired(values.get("expiration", "")):
            return None
        extra = [g.strip() for g in values.get("auth-extra-groups", "").split(",") if g.strip()]
        groups = (GROUP, *(g for g in extra if _EXTRA_GROUP.fullmatch(g)))
        return Known(User(name=f"system:bootstrap:{id}", groups=groups), lasting=False)


def expired(expiration: str) -> bool:
    """Whether a token with this RFC 3339 expiration is over. An unreadable one is: better refused than for
    ever.
    """
    if not expiration:
        return False
    try:
        return meta.parse_time(expiration) <= datetime.now(UTC)
    except ValueError:
        return True


def _text(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
