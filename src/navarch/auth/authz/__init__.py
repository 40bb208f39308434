# SPDX-License-Identifier: GPL-3.0-or-later
"""Authorization: each authorizer decides in turn, the first decision counts. Without one the answer is no.

One file an authorizer: `roles` (fixed roles), `node` (a kubelet and what is its own). RBAC becomes one more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from navarch.api.machinery import errors
from navarch.auth.user import User


class Attributes(NamedTuple):
    """What somebody wants to do. A request for no resource has a `path` and an HTTP verb in lower case."""

    user: User
    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    #: The field selector of a list or watch, as sent.
    fields: str = ""
    version: str = "v1"

    @property
    def full_resource(self) -> str:
        """`pods`, `pods/log`, `leases.coordination.k8s.io`."""
        resource = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        return resource


class Decision(NamedTuple):
    """allowed None: no opinion, the next authorizer decides."""

    allowed: bool | None
    reason: str = ""


NO_OPINION = Decision(None)
ALLOWED = Decision(True)


class Authorizer(Protocol):
    async def authorize(self, attributes: Attributes) -> Decision: ...


class Union:
    """Several authorizers as one."""

    def __init__(self, authorizers: Sequence[Authorizer]) -> None:
        self._authorizers = tuple(authorizers)

    async def authorize(self, attributes: Attributes) -> Decision:
        reasons: list[str] = []
        for authorizer in self._authorizers:
            decision = await authorizer.authorize(attributes)
            if decision.allowed is not None:
                return decision
            if decision.reason:
                reasons.append(decision.reason)
        return Decision(False, ", ".join(reasons))


def refusal(attributes: Attributes, reason: str) -> errors.StatusError:
    """The 403 that says who wanted what, in the words kubectl users know."""
    a = attributes
    if not a.resource:
        message = f'User "{a.user.name}" cannot {a.verb} path "{a.path}"'
        message = f"{message}: {reason}" if reason else message
        return errors.StatusError(403, "Forbidden", f"forbidden: {message}", {})
    where = f'in the namespace "{a.namespace}"' if a.namespace else "at the cluster scope"
    text = (
        f'User "{a.user.name}" cannot {a.verb} resource "{a.full_resource}" in API group "{a.group}" {where}'
    )
    return errors.forbidden_request(a.resource, a.name, f"{text}: {reason}" if reason else text, a.group)
