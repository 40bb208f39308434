# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods stay some time on a node that is not ready or reachable, unless they say themselves for how long."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from navarch.api.core.pod.affinity import Toleration
from navarch.api.machinery.scheme import Kind
from navarch.registry.admission import Admission, Operation, Request

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"


class DefaultTolerations(Admission):
    def __init__(self, seconds: int = 300) -> None:
        """seconds: how long a pod stays; the master's defaultTolerationSeconds."""
        self._defaults = [
            Toleration(key=key, operator="Exists", effect="NoExecute", toleration_seconds=seconds)
            for key in (NOT_READY, UNREACHABLE)
        ]

    def handles(self, kind: Kind[Any], operation: Operation) -> bool:
        return kind.resource == "pods" and not kind.group and operation == "CREATE"

    def mutate(self, request: Request) -> Any:
        pod = request.obj
        if pod.spec is None:
            return pod
        given = pod.spec.tolerations
        if not given:
            return replace(pod, spec=replace(pod.spec, tolerations=self._defaults))
        missing = [
            default for default in self._defaults if not any(_covers(own, default.key) for own in given)
        ]
        if not missing:
            return pod
        return replace(pod, spec=replace(pod.spec, tolerations=[*given, *missing]))


def _covers(own: Toleration, key: str | None) -> bool:
    """Whether the pod has decided about the taint itself. An empty key tolerates every taint."""
    return own.key in (None, "", key) and own.effect in (None, "", "NoExecute")
