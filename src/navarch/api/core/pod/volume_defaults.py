# SPDX-License-Identifier: GPL-3.0-or-later
"""Defaults of volumes, after the API reference. Idempotent."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from navarch.api.core.pod.image_name import pull_policy
from navarch.api.core.pod.volume import (
    DownwardAPIVolumeFile,
    EmptyDirVolumeSource,
    Volume,
    VolumeProjection,
    VolumeSource,
)
from navarch.api.machinery.quantity import canonical

#: Permission bits of files that are made for the pod: rw-r--r--.
_MODE = 0o644
_TOKEN_SECONDS = 3600
_CERTIFICATE_SECONDS = 86400

_SOURCES = VolumeSource.__struct_fields__
_EMPTY_DIR = EmptyDirVolumeSource()

#: Looked at first.
_COMMON = ("config_map", "secret", "empty_dir", "projected", "persistent_volume_claim", "host_path")

#: Source -> field -> what it is when absent. Empty strings count as absent, as in the reference.
_SIMPLE: dict[str, dict[str, Any]] = {
    "host_path": {"type": ""},
    "secret": {"default_mode": _MODE},
    "config_map": {"default_mode": _MODE},
    "downward_api": {"default_mode": _MODE},
    "projected": {"default_mode": _MODE},
    "iscsi": {"iscsi_interface": "default"},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "azure_disk": {"caching_mode": "ReadWrite", "kind": "Shared", "fs_type": "ext4", "read_only": False},
    "scale_io": {"storage_mode": "ThinProvisioned", "fs_type": "xfs"},
}
_NOTHING: dict[str, Any] = {}


def source_of(v: VolumeSource) -> str | None:
    """The Python name of the (first) source that is set."""
    for name in _COMMON:
        if getattr(v, name) is not None:
            return name
    for name in _SOURCES:
        if getattr(v, name) is not None:
            return name
    return None


def volume(v: Volume) -> Volume:
    name = source_of(v)
    if name is None:
        return replace(v, empty_dir=_EMPTY_DIR)
    source = getattr(v, name)
    changes: dict[str, Any] = {}
    for key, value in _SIMPLE.get(name, _NOTHING).items():
        given = getattr(source, key)
        if given is None or (given == "" and value != ""):
            changes[key] = value
    if name == "empty_dir":
        if source.size_limit is not None and (size := _canonical(source.size_limit)) != source.size_limit:
            changes["size_limit"] = size
    elif name == "downward_api":
        if source.items and (items := _files(source.items)) is not source.items:
            changes["items"] = items
    elif name == "projected":
        if source.sources:
            sources = [_projection(s) for s in source.sources]
            if any(new is not old for new, old in zip(sources, source.sources, strict=True)):
                changes["sources"] = sources
    elif name == "ephemeral":
        claim = source.volume_claim_template
        if claim is not None and claim.spec.volume_mode is None:
            changes["volume_claim_template"] = replace(
                claim, spec=replace(claim.spec, volume_mode="Filesystem")
            )
    elif name == "image" and source.pull_policy is None and source.reference:
        changes["pull_policy"] = pull_policy(source.reference)
    return replace(v, **{name: replace(source, **changes)}) if changes else v


def _canonical(amount: Any) -> Any:
    try:
        return canonical(amount)
    except ValueError:
        return amount


def _files(items: list[DownwardAPIVolumeFile]) -> list[DownwardAPIVolumeFile]:
    done = [
        replace(f, field_ref=replace(f.field_ref, api_version="v1"))
        if f.field_ref is not None and not f.field_ref.api_version
        else f
        for f in items
    ]
    return done if any(new is not old for new, old in zip(done, items, strict=True)) else items


def _projection(p: VolumeProjection) -> VolumeProjection:
    if p.service_account_token is not None and p.service_account_token.expiration_seconds is None:
        token = replace(p.service_account_token, expiration_seconds=_TOKEN_SECONDS)
        return replace(p, service_account_token=token)
    if p.downward_api is not None and p.downward_api.items:
        items = _files(p.downward_api.items)
        if items is not p.downward_api.items:
            return replace(p, downward_api=replace(p.downward_api, items=items))
    if p.pod_certificate is not None and p.pod_certificate.max_expiration_seconds is None:
        return replace(
            p, pod_certificate=replace(p.pod_certificate, max_expiration_seconds=_CERTIFICATE_SECONDS)
        )
    return p
