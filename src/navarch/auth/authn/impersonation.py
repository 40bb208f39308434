# SPDX-License-Identifier: GPL-3.0-or-later
"""Impersonation (`kubectl --as`): its headers, and who may use them.

The real user must be allowed `impersonate` on each name that is taken on; from there on only the other one
counts.
"""

from __future__ import annotations

from urllib.parse import unquote

from navarch.api.machinery import errors
from navarch.auth.authn import AUTHENTICATED, Request
from navarch.auth.authz import Attributes, Authorizer, refusal
from navarch.auth.user import User

_USER, _GROUP, _UID, _EXTRA = (
    "impersonate-user", "impersonate-group", "impersonate-uid", "impersonate-extra-",
)  # fmt: skip
_ACCOUNT = "system:serviceaccount:"
_ACCOUNTS = "system:serviceaccounts"
_AUTHENTICATION = "authentication.k8s.io"


async def acting(request: Request, user: User, authorizer: Authorizer) -> User:
    """The impersonated user, or the user itself when no header asks for one. Raises StatusError 400, 403."""
    name, groups, uid = "", list[str](), ""
    extra: dict[str, list[str]] = {}
    requested = False
    for header, value in request.headers.items():
        lower = header.lower()
        if not lower.startswith("impersonate-"):
            continue
        requested = True
        if lower == _USER:
            name = value
        elif lower == _GROUP:
            groups.append(value)
        elif lower == _UID:
            uid = value
        elif lower.startswith(_EXTRA):
            extra.setdefault(unquote(lower[len(_EXTRA) :]), []).append(value)
    if not requested:
        return user
    if not name:
        raise errors.bad_request("impersonation wants the header Impersonate-User beside the others")
    namespace, _, account = (
        name[len(_ACCOUNT) :].partition(":") if name.startswith(_ACCOUNT) else ("", "", "")
    )
    if account:
        wanted = [Attributes(user, "impersonate", "", "serviceaccounts", "", namespace, account)]
        groups = groups or [_ACCOUNTS, f"{_ACCOUNTS}:{namespace}"]
    else:
        wanted = [Attributes(user, "impersonate", "", "users", name=name)]
        wanted += [Attributes(user, "impersonate", "", "groups", name=group) for group in groups]
    if uid:
        wanted.append(Attributes(user, "impersonate", _AUTHENTICATION, "uids", name=uid))
    wanted += [
        Attributes(user, "impersonate", _AUTHENTICATION, "userextras", key, name=value)
        for key, values in extra.items()
        for value in values
    ]
    for attributes in wanted:
        decision = await authorizer.authorize(attributes)
        if not decision.allowed:
            raise refusal(attributes, decision.reason)
    if AUTHENTICATED not in groups:
        groups.append(AUTHENTICATED)
    return User(name, tuple(groups), uid, extra)
