# SPDX-License-Identifier: GPL-3.0-or-later
"""A container's environment: envFrom, env, their sources, and `$(NAME)` in values, commands and arguments."""

from __future__ import annotations

import re
from collections.abc import Mapping

from navarch.api.core.pod.container import Container
from navarch.api.core.pod.environment import EnvVarSource
from navarch.api.core.pod.pod import Pod
from navarch.kubelet import downward
from navarch.kubelet.objects import PodObjects

_REFERENCE = re.compile(r"\$(?:\$|\(([^()]*)\))")


class EnvError(Exception):
    """A source is missing: the container cannot be made now (CreateContainerConfigError)."""


def expand(text: str, values: Mapping[str, str]) -> str:
    """`$(NAME)` becomes the value where there is one and stays as it is where there is none; `$$` is `$`."""

    def one(match: re.Match[str]) -> str:
        if match[1] is None:
            return "$"
        return values.get(match[1], match[0])

    return _REFERENCE.sub(one, text)


def unknown(text: str, values: Mapping[str, str]) -> str:
    """The first NAME of a `$(NAME)` that has no value; "" when all have."""
    names = (match[1] for match in _REFERENCE.finditer(text) if match[1] is not None)
    return next((name for name in names if name not in values), "")


def needs_pod_ip(container: Container) -> bool:
    """Whether the environment cannot be known before the pod has its address."""
    for var in container.env or ():
        ref = var.value_from.field_ref if var.value_from else None
        if ref is not None and ref.field_path in ("status.podIP", "status.podIPs"):
            return True
    return False


async def build(
    pod: Pod,
    container: Container,
    objects: PodObjects,
    *,
    node_ip: str,
    pod_ip: str,
    allocatable: Mapping[str, int],
    services: Mapping[str, str] = {},
) -> dict[str, str]:
    """Name -> value, in order; services: what all others win over. Raises EnvError, ObjectUnavailable."""
    namespace = pod.metadata.namespace or ""
    result: dict[str, str] = dict(services)
    for source in container.env_from or ():
        prefix = source.prefix or ""
        found: dict[str, bytes] | None = {}
        if source.config_map_ref is not None:
            ref = source.config_map_ref
            found = await objects.config_map(namespace, ref.name or "", binary=False)
            if found is None and not ref.optional:
                raise EnvError(f'configmap "{ref.name}" not found')
        elif source.secret_ref is not None:
            secret = source.secret_ref
            found = await objects.secret(namespace, secret.name or "")
            if found is None and not secret.optional:
                raise EnvError(f'secret "{secret.name}" not found')
        for key, value in (found or {}).items():
            result[prefix + key] = value.decode(errors="replace")
    for var in container.env or ():
        if var.value_from is None:
            result[var.name] = expand(var.value or "", result)
            continue
        try:
            text = await _from_source(
                pod,
                container,
                var.value_from,
                objects,
                node_ip=node_ip,
                pod_ip=pod_ip,
                allocatable=allocatable,
            )
        except downward.FieldNotKnown as error:
            raise EnvError(str(error)) from None
        if text is not None:
            result[var.name] = text
    return result


async def _from_source(
    pod: Pod,
    container: Container,
    source: EnvVarSource,
    objects: PodObjects,
    *,
    node_ip: str,
    pod_ip: str,
    allocatable: Mapping[str, int],
) -> str | None:
    namespace = pod.metadata.namespace or ""
    if source.field_ref is not None:
        return downward.field(pod, source.field_ref.field_path, node_ip, pod_ip)
    if source.resource_field_ref is not None:
        return downward.resource(pod, container.name, source.resource_field_ref, allocatable)
    if source.config_map_key_ref is not None:
        ref = source.config_map_key_ref
        return _key(
            "configmap",
            ref.name or "",
            ref.key,
            await objects.config_map(namespace, ref.name or ""),
            ref.optional,
        )
    if source.secret_key_ref is not None:
        sec = source.secret_key_ref
        return _key(
            "secret", sec.name or "", sec.key, await objects.secret(namespace, sec.name or ""), sec.optional
        )
    raise EnvError("an environment variable has a source this kubelet does not support")


def _key(what: str, name: str, key: str, found: dict[str, bytes] | None, optional: bool | None) -> str | None:
    if found is None:
        if optional:
            return None
        raise EnvError(f'{what} "{name}" not found')
    if key not in found:
        if optional:
            return None
        raise EnvError(f"couldn't find key {key} in {what} {name}")
    return found[key].decode(errors="replace")
