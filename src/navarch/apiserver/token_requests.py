# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers TokenRequests: checks what a token is to be bound to, and signs it.

The token itself is `auth.tokens`. `authn.service_account` accepts it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from navarch.api.authentication.tokenreview import (
    TOKEN_REQUEST,
    TokenRequest,
    TokenRequestSpec,
    TokenRequestStatus,
)
from navarch.api.core.node.identity import is_node, node_of
from navarch.api.machinery import errors
from navarch.api.machinery.errors import StatusError
from navarch.auth.authn.service_account import Find
from navarch.auth.tokens import LONGEST, Bound, Claims, Named, Signer
from navarch.auth.user import SYSTEM
from navarch.registry.context import Context
from navarch.registry.registry import Registry

#: Seconds that a token is good for when the request names no time.
_SECONDS = 3600


class Issuer:
    """Answers TokenRequests."""

    def __init__(
        self,
        registry: Registry,
        signer: Signer,
        *,
        longest: int = LONGEST,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """longest: seconds that a token is good for at most."""
        self._find = finder(registry)
        self._signer = signer
        self._longest = longest
        self._clock = clock
        registry.reviewers[TOKEN_REQUEST] = self.issue

    async def issue(self, ctx: Context, requested: TokenRequest) -> TokenRequest:
        """Raises StatusError 403, 404, 409, 422."""
        meta, spec = requested.metadata, requested.spec
        namespace, name = meta.namespace or "", meta.name or ""
        account = self._find("serviceaccounts", namespace, name)
        ref = spec.bound_object_ref
        pod: Any = None
        if ref is not None:
            if ref.kind != "Pod" or ref.api_version not in (None, "", "v1"):
                found = errors.invalid("spec.boundObjectRef.kind", ref.kind, "only pods (v1) are supported")
                raise errors.invalid_object("TokenRequest", name, [found], "authentication.k8s.io")
            pod = self._find("pods", namespace, ref.name or "")
            if ref.uid and ref.uid != pod.metadata.uid:
                why = f"the UID in the bound object reference ({ref.uid}) does not match the UID in record"
                raise errors.conflict("pods", ref.name or "", why)
            if (pod.spec.service_account_name or "default") != name:
                why = f"cannot bind a token of service account {name!r} to a pod that runs as another"
                raise errors.forbidden_request("serviceaccounts", name, why)
        self._check_node(ctx, name, spec, pod)
        moment = int(self._clock())
        ends = moment + self._seconds(ctx, spec)
        claims = Claims(
            iss=self._signer.issuer,
            sub=f"system:serviceaccount:{namespace}:{name}",
            aud=spec.audiences or [self._signer.issuer],
            exp=ends,
            iat=moment,
            nbf=moment,
            jti=str(uuid.uuid4()),
            bound=Bound(
                namespace, _named(account), _named(pod) if pod is not None else None, self._node(pod)
            ),
        )
        status = TokenRequestStatus(
            token=self._signer.sign(claims),
            expiration_timestamp=datetime.fromtimestamp(ends, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
        full = replace(spec, audiences=claims.aud, expiration_seconds=ends - moment)
        return replace(requested, spec=full, status=status)

    def _seconds(self, ctx: Context, spec: TokenRequestSpec) -> int:
        """How long the token is good for. One that is shorter than requested comes with a warning."""
        requested = spec.expiration_seconds or _SECONDS
        if requested > self._longest:
            ctx.warnings.append(
                f"requested expiration of {requested} seconds shortened to {self._longest} seconds"
            )
        return min(requested, self._longest)

    def _check_node(self, ctx: Context, name: str, spec: TokenRequestSpec, pod: Any) -> None:
        """A kubelet gets tokens only for pods that are on its node, and only such as the pod mounts (the
        reference's NodeRestriction). Raises StatusError 403.
        """
        user = ctx.user
        if not is_node(user.name, user.groups):
            return
        node = node_of(user.name, user.groups)
        ref, audiences = spec.bound_object_ref, spec.audiences or [""]
        if node is None:
            why = f'could not determine node from user "{user.name}"'
        elif pod is None or ref is None:
            why = f'node "{node}" can only ask for tokens that are bound to one of its pods'
        elif not ref.uid:
            why = f'node "{node}" can only ask for tokens that are bound to the uid of a pod'
        elif pod.spec.node_name != node:
            why = f'node "{node}" can only ask for tokens of pods that are bound to it'
        elif not _audiences(pod).issuperset(audiences):
            why = f"no volume of the pod asks for a token for {', '.join(audiences) or 'this API'}"
        else:
            return
        raise errors.forbidden_request("serviceaccounts", name, why)

    def _node(self, pod: Any) -> Named | None:
        if pod is None or not pod.spec.node_name:
            return None
        try:
            return _named(self._find("nodes", None, pod.spec.node_name))
        except StatusError:
            return None


def finder(registry: Registry) -> Find:
    """Reads objects of the core group."""

    def find(resource: str, namespace: str | None, name: str) -> Any:
        kind = registry.scheme.resource("", "v1", resource)
        if kind is None:
            raise errors.not_found(resource, name)
        return kind.decode(registry.get(kind, namespace, name, Context(SYSTEM)).value)

    return find


def _audiences(pod: Any) -> set[str]:
    """For whom a pod's volumes want tokens; "" is this API."""
    return {
        source.service_account_token.audience or ""
        for volume in pod.spec.volumes or ()
        for source in (volume.projected.sources if volume.projected is not None else None) or ()
        if source.service_account_token is not None
    }


def _named(obj: Any) -> Named:
    return Named(obj.metadata.name or "", obj.metadata.uid or "")
