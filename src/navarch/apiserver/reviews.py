# SPDX-License-Identifier: GPL-3.0-or-later
"""Access reviews, rules reviews, self subject reviews and token reviews. Answered by the
authorizer and the authenticator.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from navarch.api.core.node.identity import is_node
from navarch.api.machinery import decoders, errors
from navarch.api.machinery.scheme import Kind
from navarch.auth.authn import Authenticator
from navarch.auth.authz import Attributes, Authorizer, roles
from navarch.auth.user import User
from navarch.registry.context import Context
from navarch.registry.registry import Registry

_AUTHORIZATION = "authorization.k8s.io"
_AUTHENTICATION = "authentication.k8s.io"

#: From the asker and the question (a document with wire names) to the status.
Answer = Callable[[Context, dict[str, Any]], Awaitable[dict[str, Any]]]


class Reviews:
    def __init__(self, authorizer: Authorizer, authenticator: Authenticator) -> None:
        self._authorizer = authorizer
        self._authenticator = authenticator

    def register(self, registry: Registry) -> None:
        """Answer those of the kinds that the scheme has."""
        answers: list[tuple[str, str, Answer]] = [
            (_AUTHORIZATION, "selfsubjectaccessreviews", self._may_i),
            (_AUTHORIZATION, "subjectaccessreviews", self._may_somebody),
            (_AUTHORIZATION, "localsubjectaccessreviews", self._may_somebody),
            (_AUTHORIZATION, "selfsubjectrulesreviews", self._what_may_i),
            (_AUTHENTICATION, "selfsubjectreviews", self._who_am_i),
            (_AUTHENTICATION, "tokenreviews", self._whose_token),
        ]
        for group, resource, answer in answers:
            kind = registry.scheme.resource(group, "v1", resource)
            if kind is not None:
                registry.reviewers[kind] = _reviewer(kind, answer)

    async def _may_i(self, ctx: Context, requested: dict[str, Any]) -> dict[str, Any]:
        return await self._decide(ctx.user, requested.get("spec") or {})

    async def _may_somebody(self, ctx: Context, requested: dict[str, Any]) -> dict[str, Any]:
        spec = requested.get("spec") or {}
        name, groups = spec.get("user") or "", tuple(spec.get("groups") or ())
        if not name and not groups:
            raise errors.bad_request("spec.user or spec.groups must be given")
        user = User(name=name, groups=groups, uid=spec.get("uid") or "", extra=spec.get("extra") or {})
        return await self._decide(user, spec)

    async def _decide(self, user: User, spec: dict[str, Any]) -> dict[str, Any]:
        resource, other = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
        if (resource is None) == (other is None):
            raise errors.bad_request(
                "exactly one of spec.resourceAttributes and spec.nonResourceAttributes must be given"
            )
        if resource is not None:
            attributes = Attributes(
                user,
                resource.get("verb") or "*",
                resource.get("group") or "",
                resource.get("resource") or "*",
                resource.get("subresource") or "",
                resource.get("namespace") or "",
                resource.get("name") or "",
            )
        else:
            assert other is not None
            attributes = Attributes(user, other.get("verb") or "*", path=other.get("path") or "")
        decision = await self._authorizer.authorize(attributes)
        status: dict[str, Any] = {"allowed": bool(decision.allowed)}
        if decision.reason:
            status["reason"] = decision.reason
        return status

    async def _what_may_i(self, ctx: Context, requested: dict[str, Any]) -> dict[str, Any]:
        """The fixed roles' rules. What else a node may depends on its pods and cannot be listed."""
        rules = [
            {"verbs": sorted(r.verbs), "apiGroups": sorted(r.groups), "resources": sorted(r.resources)}
            for r in roles.rules(ctx.user, (requested.get("spec") or {}).get("namespace") or "")
        ]
        paths = (
            ["*"]
            if roles.MASTERS in ctx.user.groups
            else [p + s for p in roles.OPEN_PATHS for s in ("", "/*")]
        )
        return {
            "resourceRules": rules,
            "nonResourceRules": [
                {"verbs": ["*" if paths == ["*"] else "get"], "nonResourceURLs": paths},
            ],
            "incomplete": is_node(ctx.user.name, ctx.user.groups),
        }

    async def _who_am_i(self, ctx: Context, requested: dict[str, Any]) -> dict[str, Any]:
        return {"userInfo": _user_info(ctx.user)}

    async def _whose_token(self, ctx: Context, requested: dict[str, Any]) -> dict[str, Any]:
        spec = requested.get("spec") or {}
        known = await self._authenticator.token(spec.get("token") or "", spec.get("audiences") or ())
        if known is None:
            return {"authenticated": False}
        return {
            "authenticated": True,
            "user": _user_info(known.user),
            "audiences": list(known.audiences or ()),
        }


def _user_info(user: User) -> dict[str, Any]:
    info: dict[str, Any] = {"username": user.name, "groups": list(user.groups)}
    if user.uid:
        info["uid"] = user.uid
    if user.extra:
        info["extra"] = user.extra
    return info


def _reviewer(kind: Kind[Any], answer: Answer) -> Callable[[Context, Any], Awaitable[Any]]:
    async def review(ctx: Context, obj: Any) -> Any:
        document = msgspec.to_builtins(obj)
        document["status"] = await answer(ctx, document)
        return decoders.convert(document, kind.type)

    return review
