# SPDX-License-Identifier: GPL-3.0-or-later
"""What has a time to live: certificate requests (an hour), bootstrap tokens (their `expiration`).

Events have one too, but are written with a lease: the store ends them by itself.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from navarch.api.certificatesigningrequest import CertificateSigningRequest
from navarch.api.errors import StatusError
from navarch.api.meta import Preconditions, parse_time
from navarch.api.secret import Secret
from navarch.controllers.base import Context
from navarch.controllers.views import ObjectView

log = logging.getLogger(__name__)

_PERIOD = 60.0
_KEPT = timedelta(hours=1)


class Expiry:
    def __init__(self, context: Context) -> None:
        self._client = context.client

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_PERIOD)
            try:
                await self._sweep(datetime.now(UTC))
            except StatusError as error:
                log.warning("sweeping what has expired: %s", error)

    async def _sweep(self, moment: datetime) -> None:
        for request in (await self._client.list(CertificateSigningRequest, view=ObjectView)).items:
            if _past(request.metadata.creation_timestamp or "", moment - _KEPT):
                await self._remove(CertificateSigningRequest, request.metadata)
        tokens = await self._client.list(Secret, "kube-system", fields="type=bootstrap.kubernetes.io/token")
        for token in tokens.items:
            expires = (token.data or {}).get("expiration", b"").decode(errors="replace")
            if expires and _past(expires, moment):
                await self._remove(Secret, token.metadata)

    async def _remove(self, kind: type[Any], meta: Any) -> None:
        try:
            await self._client.delete(
                kind,
                meta.name or "",
                meta.namespace,
                preconditions=Preconditions(resource_version=meta.resource_version),
            )
        except StatusError as error:
            if error.code not in (404, 409):
                raise


def _past(text: str, moment: datetime) -> bool:
    """Whether a time lies before the moment; one that cannot be read does not."""
    try:
        return parse_time(text) < moment
    except ValueError:
        return False
