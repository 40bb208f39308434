# SPDX-License-Identifier: GPL-3.0-or-later
"""What has a time to live: certificate requests (an hour when answered, a day until then), bootstrap tokens
(their `expiration`), revocations of nodes (until all that they refuse has ended).

Events have one too, but are written with a lease: the store ends them by itself.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from navarch.api.certificates.certificatesigningrequest import (
    APPROVED,
    DENIED,
    FAILED,
    CertificateSigningRequest,
)
from navarch.api.core.secret import Secret
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import Preconditions, parse_time
from navarch.api.navarch.noderevocation import NodeRevocation
from navarch.client.views import View
from navarch.controllers.base import Context
from navarch.controllers.views import Meta

log = logging.getLogger(__name__)

_PERIOD = 60.0
#: How long a certificate request is kept, as in Kubernetes.
_UNANSWERED = timedelta(hours=24)
_ANSWERED = timedelta(hours=1)
#: Certificates of nodes are good for a year at most.
_REVOKED = timedelta(days=367)


class _ConditionView(View):
    type: str = ""
    last_update_time: str | None = None
    last_transition_time: str | None = None


class _StatusView(View):
    conditions: list[_ConditionView] | None = None


class _RequestView(View):
    metadata: Meta = Meta()
    status: _StatusView = _StatusView()


class TimeToLive:
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
        for request in (await self._client.list(CertificateSigningRequest, view=_RequestView)).items:
            if _done(request, moment):
                await self._remove(CertificateSigningRequest, request.metadata)
        tokens = await self._client.list(Secret, "kube-system", fields="type=bootstrap.kubernetes.io/token")
        for token in tokens.items:
            expires = (token.data or {}).get("expiration", b"").decode(errors="replace")
            if expires and _past(expires, moment):
                await self._remove(Secret, token.metadata)

        for revocation in (await self._client.list(NodeRevocation)).items:
            if _past(revocation.spec.issued_before or "", moment - _REVOKED):
                await self._remove(NodeRevocation, revocation.metadata)

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


def _done(request: _RequestView, moment: datetime) -> bool:
    made = request.metadata.creation_timestamp or ""
    answers = [c for c in request.status.conditions or () if c.type in (APPROVED, DENIED, FAILED)]
    if not answers:
        return _past(made, moment - _UNANSWERED)
    times = [c.last_update_time or c.last_transition_time or made for c in answers]
    return any(_past(time, moment - _ANSWERED) for time in times)


def _past(text: str, moment: datetime) -> bool:
    """Whether a time lies before the moment; one that cannot be read does not."""
    try:
        return parse_time(text) < moment
    except ValueError:
        return False
