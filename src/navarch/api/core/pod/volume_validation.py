# SPDX-License-Identifier: GPL-3.0-or-later
"""Validation of a pod's volumes, after the API reference.

Mounts are validated in `container_validation`.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from navarch.api.core.pod.container_validation import PULL_POLICIES, descending, pod_field, resource_field
from navarch.api.core.pod.volume import (
    CSIVolumeSource,
    DownwardAPIVolumeFile,
    EmptyDirVolumeSource,
    EphemeralVolumeSource,
    HostPathVolumeSource,
    ImageVolumeSource,
    KeyToPath,
    NFSVolumeSource,
    PersistentVolumeClaimVolumeSource,
    ProjectedVolumeSource,
    Volume,
    VolumeProjection,
    VolumeSource,
)
from navarch.api.core.pod.volume_defaults import source_of
from navarch.api.machinery import checks
from navarch.api.machinery.checks import Errors
from navarch.api.machinery.errors import duplicate, forbidden, invalid, not_supported, required

_MODE_RANGE = "must be a number between 0 and 0777 (octal), both inclusive"
_HOST_PATH_TYPES = frozenset(
    {"", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"}
)
_LEAST_TOKEN_SECONDS = 600
_MOST_TOKEN_SECONDS = 1 << 32

#: Python names of the sources, in one place for the hot path, and their wire names.
_SOURCES = VolumeSource.__struct_fields__
_VALUES = attrgetter(*_SOURCES)
_ONE = len(_SOURCES) - 1
_WIRE = dict(zip(VolumeSource.__struct_fields__, VolumeSource.__struct_encode_fields__, strict=True))


def volumes(given: list[Volume], path: str, errors: Errors) -> dict[str, bool]:
    """Names of the volumes, True where the volume is a claim."""
    names: dict[str, bool] = {}
    for i, v in enumerate(given):
        at = f"{path}[{i}]"
        if v.name in names:
            errors.append(duplicate(f"{at}.name", v.name))
        else:
            checks.label(f"{at}.name", v.name, errors)
        names[v.name] = v.persistent_volume_claim is not None or v.ephemeral is not None
        given_sources = _VALUES(v)
        if given_sources.count(None) == _ONE:
            # The common case: exactly one source, found without a look at thirty fields from Python.
            name = source_of(v) or ""
            rule = _RULES.get(name)
            if rule is not None:
                rule(getattr(v, name), f"{at}.{_WIRE[name]}", errors)
            continue
        sources = [n for n, source in zip(_SOURCES, given_sources, strict=True) if source is not None]
        if not sources:
            errors.append(required(at, "must specify a volume type"))
            continue
        for extra in sources[1:]:
            errors.append(forbidden(f"{at}.{_WIRE[extra]}", "may not specify more than 1 volume type"))
        rule = _RULES.get(sources[0])
        if rule is not None:
            rule(getattr(v, sources[0]), f"{at}.{_WIRE[sources[0]]}", errors)
    return names


def _needs(*fields: str) -> Callable[[Any, str, Errors], None]:
    """A rule that fields (Python names) must be set; their wire names come from the struct."""

    def rule(source: Any, path: str, errors: Errors) -> None:
        wire = dict(zip(source.__struct_fields__, source.__struct_encode_fields__, strict=True))
        for field in fields:
            if not getattr(source, field):
                errors.append(required(f"{path}.{wire[field]}"))

    return rule


def _host_path(s: HostPathVolumeSource, path: str, errors: Errors) -> None:
    if not s.path:
        errors.append(required(f"{path}.path"))
    elif ".." in s.path.split("/"):
        errors.append(invalid(f"{path}.path", s.path, "must not contain '..'"))
    checks.maybe_one_of(f"{path}.type", s.type, _HOST_PATH_TYPES, errors)


def _empty_dir(s: EmptyDirVolumeSource, path: str, errors: Errors) -> None:
    if s.size_limit is not None:
        checks.amount(f"{path}.sizeLimit", s.size_limit, errors)
    mode(s.mode, f"{path}.mode", errors)
    if s.medium and s.medium != "Memory" and not s.medium.startswith("HugePages"):
        errors.append(not_supported(f"{path}.medium", s.medium, ("", "HugePages", "Memory")))


def mode(value: int | None, path: str, errors: Errors) -> None:
    """Permission bits."""
    if value is not None and not 0 <= value <= 0o777:
        errors.append(invalid(path, value, _MODE_RANGE))


def _items(given: list[KeyToPath] | None, path: str, errors: Errors) -> None:
    for i, item in enumerate(given or ()):
        if not item.key:
            errors.append(required(f"{path}[{i}].key"))
        file_path(item.path, f"{path}[{i}].path", errors)
        mode(item.mode, f"{path}[{i}].mode", errors)


def file_path(value: str | None, path: str, errors: Errors) -> None:
    """Where a file is put below its volume."""
    if not value:
        errors.append(required(path))
        return
    descending(path, value, errors)
    if value.startswith(".."):
        errors.append(invalid(path, value, "must not start with '..'"))


def _secret(s: Any, path: str, errors: Errors) -> None:
    if not s.secret_name:
        errors.append(required(f"{path}.secretName"))
    mode(s.default_mode, f"{path}.defaultMode", errors)
    _items(s.items, f"{path}.items", errors)


def _config_map(s: Any, path: str, errors: Errors) -> None:
    if not s.name:
        errors.append(required(f"{path}.name"))
    mode(s.default_mode, f"{path}.defaultMode", errors)
    _items(s.items, f"{path}.items", errors)


def _downward(s: Any, path: str, errors: Errors) -> None:
    mode(s.default_mode, f"{path}.defaultMode", errors)
    _files(s.items, f"{path}.items", errors)


def _files(given: list[DownwardAPIVolumeFile] | None, path: str, errors: Errors) -> None:
    for i, f in enumerate(given or ()):
        at = f"{path}[{i}]"
        file_path(f.path, f"{at}.path", errors)
        mode(f.mode, f"{at}.mode", errors)
        if f.field_ref is not None:
            if f.resource_field_ref is not None:
                errors.append(
                    invalid(at, f.path, "fieldRef and resourceFieldRef can not be specified simultaneously")
                )
            pod_field(f.field_ref.field_path, f.field_ref.api_version, f"{at}.fieldRef", errors)
        elif f.resource_field_ref is not None:
            if not f.resource_field_ref.container_name:
                errors.append(required(f"{at}.resourceFieldRef.containerName"))
            resource_field(f.resource_field_ref.resource, f"{at}.resourceFieldRef", errors)
        else:
            errors.append(required(at, "one of fieldRef and resourceFieldRef is required"))


def _projected(s: ProjectedVolumeSource, path: str, errors: Errors) -> None:
    mode(s.default_mode, f"{path}.defaultMode", errors)
    for i, source in enumerate(s.sources or ()):
        _projection(source, f"{path}.sources[{i}]", errors)


def _projection(p: VolumeProjection, path: str, errors: Errors) -> None:
    wire = dict(zip(p.__struct_fields__, p.__struct_encode_fields__, strict=True))
    given = [n for n in p.__struct_fields__ if getattr(p, n) is not None]
    if not given:
        errors.append(required(path, "must specify a volume type"))
    for extra in given[1:]:
        errors.append(
            forbidden(f"{path}.{wire[extra]}", "may not specify more than 1 volume type per source")
        )
    for name, ref in (("secret", p.secret), ("configMap", p.config_map)):
        if ref is not None:
            if not ref.name:
                errors.append(required(f"{path}.{name}.name"))
            _items(ref.items, f"{path}.{name}.items", errors)
    if p.downward_api is not None:
        _files(p.downward_api.items, f"{path}.downwardAPI.items", errors)
    token = p.service_account_token
    if token is not None:
        at = f"{path}.serviceAccountToken"
        seconds = token.expiration_seconds
        if seconds is not None and seconds < _LEAST_TOKEN_SECONDS:
            errors.append(
                invalid(f"{at}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
            )
        elif seconds is not None and seconds > _MOST_TOKEN_SECONDS:
            errors.append(
                invalid(
                    f"{at}.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds"
                )
            )
        file_path(token.path, f"{at}.path", errors)
    bundle = p.cluster_trust_bundle
    if bundle is not None:
        at = f"{path}.clusterTrustBundle"
        if (bundle.name is None) == (bundle.signer_name is None):
            errors.append(invalid(at, None, "exactly one of name and signerName must be set"))
        file_path(bundle.path, f"{at}.path", errors)


def _claim(s: PersistentVolumeClaimVolumeSource, path: str, errors: Errors) -> None:
    checks.subdomain(f"{path}.claimName", s.claim_name, errors)


def _nfs(s: NFSVolumeSource, path: str, errors: Errors) -> None:
    if not s.server:
        errors.append(required(f"{path}.server"))
    if not s.path:
        errors.append(required(f"{path}.path"))
    elif not s.path.startswith("/"):
        errors.append(invalid(f"{path}.path", s.path, "must be an absolute path"))


def _csi(s: CSIVolumeSource, path: str, errors: Errors) -> None:
    checks.subdomain(f"{path}.driver", s.driver.lower(), errors)
    if s.node_publish_secret_ref is not None and not s.node_publish_secret_ref.name:
        errors.append(required(f"{path}.nodePublishSecretRef.name"))


def _ephemeral(s: EphemeralVolumeSource, path: str, errors: Errors) -> None:
    claim = s.volume_claim_template
    if claim is None:
        errors.append(required(f"{path}.volumeClaimTemplate"))
        return
    at = f"{path}.volumeClaimTemplate.spec"
    if not claim.spec.access_modes:
        errors.append(required(f"{at}.accessModes", "at least 1 access mode is required"))
    requests = claim.spec.resources.requests if claim.spec.resources is not None else None
    if not requests or "storage" not in requests:
        errors.append(required(f"{at}.resources[storage]"))
    else:
        checks.amount(f"{at}.resources[storage]", requests["storage"], errors)


def _image(s: ImageVolumeSource, path: str, errors: Errors) -> None:
    if not s.reference:
        errors.append(required(f"{path}.reference"))
    checks.maybe_one_of(f"{path}.pullPolicy", s.pull_policy, PULL_POLICIES, errors)


_RULES: dict[str, Callable[[Any, str, Errors], None]] = {
    "host_path": _host_path,
    "empty_dir": _empty_dir,
    "secret": _secret,
    "config_map": _config_map,
    "downward_api": _downward,
    "projected": _projected,
    "persistent_volume_claim": _claim,
    "nfs": _nfs,
    "csi": _csi,
    "ephemeral": _ephemeral,
    "image": _image,
    "gce_persistent_disk": _needs("pd_name"),
    "aws_elastic_block_store": _needs("volume_id"),
    "git_repo": _needs("repository"),
    "iscsi": _needs("target_portal", "iqn"),
    "glusterfs": _needs("endpoints", "path"),
    "rbd": _needs("monitors", "image"),
    "flex_volume": _needs("driver"),
    "cinder": _needs("volume_id"),
    "cephfs": _needs("monitors"),
    "azure_file": _needs("secret_name", "share_name"),
    "vsphere_volume": _needs("volume_path"),
    "quobyte": _needs("registry", "volume"),
    "azure_disk": _needs("disk_name", "disk_uri"),
    "photon_persistent_disk": _needs("pd_id"),
    "portworx_volume": _needs("volume_id"),
    "scale_io": _needs("gateway", "system", "volume_name"),
}
