# SPDX-License-Identifier: GPL-3.0-or-later
"""The fixed roles: administrators, what everyone known may ask, bootstrapping kubelets, the master's own
parts.

A rule is data; `system:masters` is not asked here at all but let through by the server before any authorizer.
"""

from __future__ import annotations

from typing import NamedTuple

from navarch.api.core.node.identity import KUBELET_CLIENT
from navarch.auth.authn import AUTHENTICATED
from navarch.auth.authn.bootstrap import GROUP as BOOTSTRAPPERS
from navarch.auth.authz import ALLOWED, NO_OPINION, Attributes, Decision
from navarch.auth.user import User

MASTERS = "system:masters"
SERVICE_ACCOUNTS = "system:serviceaccounts"


class Rule(NamedTuple):
    """Resources may carry a subresource (`pods/status`); "*" stands for everything."""

    verbs: frozenset[str]
    groups: frozenset[str]
    resources: frozenset[str]

    def allows(self, a: Attributes) -> bool:
        return (
            (a.verb in self.verbs or "*" in self.verbs)
            and (a.group in self.groups or "*" in self.groups)
            and (a.full_resource in self.resources or "*" in self.resources)
        )


def rule(verbs: str, groups: str, resources: str) -> Rule:
    """A rule from words; groups "core" is the core group."""
    names = frozenset("" if g == "core" else g for g in groups.split())
    return Rule(frozenset(verbs.split()), names, frozenset(resources.split()))


READ = "get list watch"
WRITE = "create update patch delete deletecollection"

#: Paths, without resource, that everyone known may get.
OPEN_PATHS = ("/api", "/apis", "/openapi", "/version", "/healthz", "/livez", "/readyz")

BY_GROUP: dict[str, tuple[Rule, ...]] = {
    MASTERS: (rule("*", "*", "*"),),
    AUTHENTICATED: (
        rule("create", "authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews"),
        rule("create", "authentication.k8s.io", "selfsubjectreviews"),
    ),
    BOOTSTRAPPERS: (rule("create get list watch", "certificates.k8s.io", "certificatesigningrequests"),),
}

#: What a service account may in its own namespace: see what runs there and how it is reached, no
#: configuration and no secrets.
OWN_NAMESPACE: tuple[Rule, ...] = (
    rule(READ, "core", "pods services endpoints replicationcontrollers events"),
    rule("get", "core", "pods/status serviceaccounts replicationcontrollers/status"),
    rule(READ, "discovery.k8s.io", "endpointslices"),
    rule(READ, "events.k8s.io", "events"),
)

#: The master as it asks the kubelets, and its parts when they run as processes of their own.
BY_USER: dict[str, tuple[Rule, ...]] = {
    # The reference's system:kubelet-api-admin.
    KUBELET_CLIENT: (
        rule(
            "*",
            "core",
            "nodes/checkpoint nodes/configz nodes/healthz nodes/log nodes/metrics nodes/pods nodes/proxy"
            " nodes/spec nodes/stats",
        ),
    ),
    "system:kube-scheduler": (
        rule(
            READ,
            "core",
            "pods nodes namespaces replicationcontrollers services persistentvolumes persistentvolumeclaims",
        ),
        rule("create", "core", "pods/binding bindings"),
        rule("patch update", "core", "pods/status"),
        rule("delete", "core", "pods"),
        rule("create patch update", "core events.k8s.io", "events"),
        rule("create get update patch list watch", "coordination.k8s.io", "leases"),
    ),
    "system:kube-controller-manager": (rule("*", "*", "*"),),
}


class Roles:
    async def authorize(self, attributes: Attributes) -> Decision:
        user = attributes.user
        if MASTERS in user.groups:
            return ALLOWED
        if not attributes.resource:
            return ALLOWED if attributes.verb in ("get", "head") and _open(attributes.path) else NO_OPINION
        return ALLOWED if any(r.allows(attributes) for r in rules(user, attributes.namespace)) else NO_OPINION


def rules(user: User, namespace: str = "") -> list[Rule]:
    """All rules that hold for a user, in a namespace when one is given."""
    found = [rule for group in user.groups for rule in BY_GROUP.get(group, ())]
    if namespace and f"{SERVICE_ACCOUNTS}:{namespace}" in user.groups:
        found += OWN_NAMESPACE
    return found + list(BY_USER.get(user.name, ()))


def _open(path: str) -> bool:
    return any(path == p or path.startswith(p + "/") for p in OPEN_PATHS)
