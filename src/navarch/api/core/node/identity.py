# SPDX-License-Identifier: GPL-3.0-or-later
"""The identity of a node: a user `system:node:NAME` in the group `system:nodes`.

Only this file makes or reads such names. Certificate requests, authorization, admission and tokens use it.
The rights of nodes are in `auth.authz.node`. Source: the API reference, "Node authorization".
"""

from __future__ import annotations

from collections.abc import Collection

from navarch.api.machinery import names

USER_PREFIX = "system:node:"
GROUP = "system:nodes"
#: The master, as it asks the kubelets.
KUBELET_CLIENT = "kube-apiserver-kubelet-client"
#: Where a user that is a pod's service account says on which node the pod is (`UserInfo.extra`).
NODE_OF_POD = "authentication.kubernetes.io/node-name"


def user_name(node: str) -> str:
    return f"{USER_PREFIX}{node}"


def is_node(user: str, groups: Collection[str]) -> bool:
    """Whether the user is kept to what nodes may. Its node may still have a name that is none."""
    return GROUP in groups and user.startswith(USER_PREFIX)


def node_of(user: str, groups: Collection[str]) -> str | None:
    """Name of the node that a user is; None for every other user, and for a node whose name is not valid:
    it has no rights at all.
    """
    if not is_node(user, groups):
        return None
    name = user[len(USER_PREFIX) :]
    return name if name_error(name) is None else None


def name_error(node: str) -> str | None:
    """What is wrong with the name of a node; None when it is valid."""
    return names.subdomain(node) if node else "must not be empty"
