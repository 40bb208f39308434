# SPDX-License-Identifier: GPL-3.0-or-later
"""Authentication: the client certificate first, then the bearer token. There is no anonymous user.

One file a method of authentication. A method of tokens is a `TokenMethod`: it knows a token or passes on to
the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from navarch.api.machinery import errors
from navarch.auth.authn import certificate
from navarch.auth.user import User

#: The group of everyone who is known.
AUTHENTICATED = "system:authenticated"


class Known(msgspec.Struct, frozen=True):
    """A token's owner. `lasting`: it holds as long as the process, so a connection may remember it.
    `audiences`: those for whom the token was made; None when it says nothing of them, and is for this API.
    """

    user: User
    lasting: bool
    audiences: tuple[str, ...] | None = None


class Connection(Protocol):
    """What a connection remembers of its peer: the user of its certificate and of its last lasting token."""

    #: Whether the certificate was read.
    identified: bool
    certificate: certificate.Shown | None
    #: The Authorization header of `bearer_user`.
    bearer: str
    bearer_user: User | None

    @property
    def transport(self) -> asyncio.BaseTransport | None: ...


class Request(Protocol):
    """A request, as far as authentication reads it."""

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def protocol(self) -> Connection: ...

    def header(self, name: str) -> str:
        """ "" when there is none."""


class Revocations(Protocol):
    """Nodes that were removed from the cluster; the registry knows them."""

    def before(self, node: str) -> float:
        """Credentials of the node issued before this (seconds since the epoch) are refused; 0: none are."""


class TokenMethod(Protocol):
    async def find(self, token: str) -> Known | None:
        """Whose token it is; None when this method does not know it. Tokens are compared in constant time."""


class Authenticator:
    def __init__(
        self, methods: Sequence[TokenMethod], audience: str, revocations: Revocations | None = None
    ) -> None:
        """audience: this API's own name in tokens. revocations: nodes that were thrown out."""
        self._methods = tuple(methods)
        self._revocations = revocations
        self._own = (audience,)

    async def token(self, token: str, audiences: Sequence[str] = ()) -> Known | None:
        """The owner of a bearer token that is for one of the audiences (this API when none are named), and
        for which of them; None when no method knows it.
        """
        if not token:
            return None
        wanted = audiences or self._own
        for method in self._methods:
            known = await method.find(token)
            if known is not None:
                meant = self._own if known.audiences is None else known.audiences
                both = tuple(audience for audience in wanted if audience in meant)
                return Known(with_authenticated(known.user), known.lasting, both) if both else None
        return None

    def remembered(self, request: Request) -> User | None:
        """The user as far as the connection knows it already: what every request but the first takes.

        Raises StatusError 401 for a node that was thrown out.
        """
        connection = request.protocol
        authorization = request.headers.get("Authorization")
        if authorization is None or authorization == connection.bearer:
            if not connection.identified:
                connection.identified = True
                shown = certificate.read(connection.transport)
                if shown is not None:
                    user = with_authenticated(shown.user)
                    connection.certificate = msgspec.structs.replace(shown, user=user)
            if connection.certificate is not None:
                return self._accepted(connection.certificate)
            return connection.bearer_user if authorization is not None else None
        return None

    async def identify(self, request: Request) -> User:
        """Raises StatusError 401."""
        user = self.remembered(request)
        if user is not None:
            return user
        connection = request.protocol
        if connection.certificate is not None:
            return self._accepted(connection.certificate)
        authorization = request.header("Authorization")
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise errors.unauthorized()
        known = await self.token(token.strip())
        if known is None:
            raise errors.unauthorized()
        if known.lasting:
            connection.bearer = authorization
            connection.bearer_user = known.user
        return known.user

    def _accepted(self, shown: certificate.Shown) -> User:
        """Raises StatusError 401."""
        node, revocations = shown.node, self._revocations
        if node is not None and revocations is not None and shown.issued < revocations.before(node):
            raise errors.unauthorized()
        return shown.user


def with_authenticated(user: User) -> User:
    if AUTHENTICATED in user.groups:
        return user
    return msgspec.structs.replace(user, groups=(*user.groups, AUTHENTICATED))
