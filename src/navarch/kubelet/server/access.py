# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may ask the node server what. TLS has verified the client certificate; what its user may, the master
says by a SubjectAccessReview.

The rights are the API reference's "Kubelet authorization": verbs on subresources of the node. Answers are
remembered for as long as the reference remembers them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from navarch.api.authorization.accessreview import (
    ResourceAttributes,
    SubjectAccessReview,
    SubjectAccessReviewSpec,
)
from navarch.api.certificates import subject as certificate_subject
from navarch.api.machinery.errors import StatusError, forbidden_request, unauthorized
from navarch.client.base import Client

#: Seconds that a yes and a no are remembered, and how many answers are.
_YES, _NO, _MOST = 300.0, 30.0, 1000

#: Paths by their first part, with subresources of which one is enough. Everything else is `proxy`.
_SUBRESOURCES = {
    "healthz": ("healthz", "proxy"),
    "metrics": ("metrics",),
    "pods": ("pods", "proxy"),
    "stats": ("stats",),
}
#: What runs something in a pod or speaks to it. A WebSocket begins with a GET: that is no reading.
_ACTIONS = frozenset({"exec", "attach", "portForward"})

_Question = tuple[str, tuple[str, ...], str, str]  # (user, groups, verb, subresource)


class Access:
    def __init__(self, client: Client, node: str) -> None:
        self._client = client
        self._node = node
        self._known: dict[_Question, tuple[bool, float]] = {}

    async def check(self, peer: Mapping[str, Any] | None, path: str) -> None:
        """peer: as `getpeercert()` shows it; path: of a GET. Raises StatusError 401, 403, 500."""
        name, groups = certificate_subject.user(peer or {})
        if not name:
            raise unauthorized()
        verb, subresources = needed(path)
        for subresource in subresources:
            if await self._may((name, groups, verb, subresource)):
                return
        resource = f"nodes/{subresources[-1]}"
        why = f'User "{name}" cannot {verb} resource "{resource}" in API group "" at the cluster scope'
        raise forbidden_request("nodes", self._node, why)

    async def _may(self, question: _Question) -> bool:
        now = asyncio.get_running_loop().time()
        allowed, until = self._known.get(question, (False, 0.0))
        if now < until:
            return allowed
        name, groups, verb, subresource = question
        action = ResourceAttributes(verb=verb, resource="nodes", subresource=subresource, name=self._node)
        spec = SubjectAccessReviewSpec(
            user=name, groups=[*groups, "system:authenticated"], resource_attributes=action
        )
        try:
            answer = await self._client.create(SubjectAccessReview(spec=spec))
        except StatusError as error:
            why = f"the master does not say what {name} may: {error.message}"
            raise StatusError(500, "InternalError", why) from None
        allowed = bool(answer.status and answer.status.allowed)
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[question] = (allowed, now + (_YES if allowed else _NO))
        return allowed


def needed(path: str) -> tuple[str, tuple[str, ...]]:
    """The verb that a GET of the path needs, and the subresources of which one is enough."""
    first = path.lstrip("/").partition("/")[0]
    return "create" if first in _ACTIONS else "get", _SUBRESOURCES.get(first, ("proxy",))
