# SPDX-License-Identifier: GPL-3.0-or-later
"""A pod that names no service account runs as its namespace's `default`."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from navarch.api.scheme import Kind
from navarch.registry.admission import Admission, Operation, Request

_MIRROR = "kubernetes.io/config.mirror"


class ServiceAccount(Admission):
    def handles(self, kind: Kind[Any], operation: Operation) -> bool:
        return kind.resource == "pods" and not kind.group and operation == "CREATE"

    def mutate(self, request: Request) -> Any:
        pod = request.obj
        spec = pod.spec
        if spec is None or spec.service_account_name or _MIRROR in (pod.metadata.annotations or ()):
            return pod
        # serviceAccount is the old name of the same field.
        name = spec.service_account or "default"
        return replace(pod, spec=replace(spec, service_account_name=name, service_account=name))
