# SPDX-License-Identifier: GPL-3.0-or-later
"""Authentication by service account token: signed by us, in time, and what it is bound to exists. It returns
the audiences and does not judge them.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any

from navarch.api.core.node.identity import NODE_OF_POD
from navarch.api.machinery import meta
from navarch.api.machinery.errors import StatusError
from navarch.auth import tokens
from navarch.auth.authn import Known, Revocations
from navarch.auth.authz.roles import SERVICE_ACCOUNTS as GROUP
from navarch.auth.user import User

#: Seconds for which a pod that ends may still use its token.
_LEEWAY = 60
#: Tokens whose signature was verified; what they are bound to is looked at every time.
_KEPT = 10_000

#: Reads an object of the core group by (resource, namespace, name). Raises StatusError 404.
Find = Callable[[str, str | None, str], Any]


class ServiceAccountTokens:
    def __init__(
        self,
        find: Find,
        signer: tokens.Signer,
        *,
        longest: int = tokens.LONGEST,
        revocations: Revocations | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """find: reads the accounts and pods that tokens are bound to.
        longest: seconds after which a token is over, whatever it says: it may be of before the bound.
        revocations: nodes that were thrown out, whose pods' tokens are refused.
        """
        self._find = find
        self._signer = signer
        self._longest = longest
        self._revocations = revocations
        self._clock = clock
        self._verified: dict[bytes, tokens.Claims] = {}

    async def find(self, token: str) -> Known | None:
        if token.count(".") != 2:
            return None
        digest = hashlib.sha256(token.encode(errors="surrogateescape")).digest()
        claims = self._verified.get(digest)
        if claims is None:
            claims = self._signer.verify(token)
            if claims is None:
                return None
            if len(self._verified) >= _KEPT:
                self._verified.clear()
            self._verified[digest] = claims
        moment = self._clock()
        if claims.iss != self._signer.issuer:
            return None
        ends = min(claims.exp, claims.iat + self._longest)
        if not claims.nbf - 5 <= moment < ends or not self._lives(claims, moment):
            return None
        return Known(_user(claims), lasting=False, audiences=tuple(claims.aud))

    def _lives(self, claims: tokens.Claims, moment: float) -> bool:
        """Whether the account, and the pod when there is one, are those that the token was made for."""
        bound = claims.bound
        node, revocations = bound.node, self._revocations
        # Both are whole seconds: a token of the same second may be of before.
        if node is not None and revocations is not None and claims.iat <= revocations.before(node.name):
            return False
        wanted = [("serviceaccounts", bound.serviceaccount)]
        if bound.pod is not None:
            wanted.append(("pods", bound.pod))
        for resource, named in wanted:
            try:
                found = self._find(resource, bound.namespace, named.name)
            except StatusError:
                return False
            if found.metadata.uid != named.uid:
                return False
            ends = found.metadata.deletion_timestamp
            if ends and meta.parse_time(ends).timestamp() + _LEEWAY < moment:
                return False
        return True


def _user(claims: tokens.Claims) -> User:
    bound = claims.bound
    extra = {"authentication.kubernetes.io/credential-id": [f"JTI={claims.jti}"]}
    if bound.pod is not None:
        extra["authentication.kubernetes.io/pod-name"] = [bound.pod.name]
        extra["authentication.kubernetes.io/pod-uid"] = [bound.pod.uid]
    if bound.node is not None:
        extra[NODE_OF_POD] = [bound.node.name]
        extra["authentication.kubernetes.io/node-uid"] = [bound.node.uid]
    return User(
        name=claims.sub,
        groups=(GROUP, f"{GROUP}:{bound.namespace}"),
        uid=bound.serviceaccount.uid,
        extra=extra,
    )
