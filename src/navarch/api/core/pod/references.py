# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets, config maps and service accounts that a PodSpec names.

The node authorizer lets a kubelet read these, and admission keeps a kubelet from making pods that name any.
"""

from __future__ import annotations

from typing import Any


def named(spec: Any, resource: str) -> set[str]:
    """Names of the secrets, configmaps or service accounts that a PodSpec names, wherever it does."""
    found: set[str] = set()
    if resource == "serviceaccounts":
        _add(found, spec, "service_account_name")
        return found
    key = "secret" if resource == "secrets" else "config_map"
    containers = [*(spec.init_containers or ()), *(spec.containers or ()), *(spec.ephemeral_containers or ())]
    for container in containers:
        for source in container.env_from or ():
            _add(found, getattr(source, f"{key}_ref", None), "name")
        for variable in container.env or ():
            _add(found, getattr(variable.value_from, f"{key}_key_ref", None), "name")
    for volume in spec.volumes or ():
        _volume(found, volume, key)
        projected = getattr(volume, "projected", None)
        for source in (projected.sources or ()) if projected is not None else ():
            _add(found, getattr(source, key, None), "name")
    if key == "secret":
        for reference in spec.image_pull_secrets or ():
            _add(found, reference, "name")
    return found


def _volume(found: set[str], volume: Any, key: str) -> None:
    if key == "config_map":
        _add(found, getattr(volume, "config_map", None), "name")
        return
    _add(found, getattr(volume, "secret", None), "secret_name")
    for source in ("cephfs", "rbd", "iscsi", "flex_volume", "scale_io", "storageos", "azure_file"):
        held = getattr(volume, source, None)
        _add(found, held, "secret_name")
        _add(found, getattr(held, "secret_ref", None), "name")
    csi = getattr(volume, "csi", None)
    _add(found, getattr(csi, "node_publish_secret_ref", None), "name")


def _add(found: set[str], holder: Any, field: str) -> None:
    name = getattr(holder, field, None)
    if name:
        found.add(name)
