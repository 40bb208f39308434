# SPDX-License-Identifier: GPL-3.0-or-later
"""From keys of a ConfigMap or Secret to files.

All keys, or the items asked for, with their modes. Writing them is `base`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from navarch.api.core.pod.volume import KeyToPath
from navarch.kubelet.volumes.base import File, VolumeError

DEFAULT_MODE = 0o644


def select(
    what: str,
    data: Mapping[str, bytes] | None,
    items: Sequence[KeyToPath] | None,
    default_mode: int | None,
    *,
    optional: bool,
) -> dict[str, File]:
    """Path -> file.

    what: for the error, e.g. `configmap "x"`. data: None when there is no such object. Raises VolumeError for
    an object or a key that is asked for and not there, unless that is optional.
    """
    if data is None:
        if optional:
            return {}
        raise VolumeError(f"{what} not found")
    mode = DEFAULT_MODE if default_mode is None else default_mode
    if items is None:
        return {key: File(value, mode) for key, value in data.items()}
    files = {}
    for item in items:
        if item.key not in data:
            if optional:
                continue
            raise VolumeError(f"{what} has no key {item.key!r}")
        safe(item.path)
        files[item.path] = File(data[item.key], mode if item.mode is None else item.mode)
    return files


def safe(path: str) -> None:
    """Raises VolumeError for a path that leaves the volume or collides with its inner workings."""
    parts = path.split("/")
    if path.startswith("/") or ".." in parts or parts[0].startswith("..") or not path:
        raise VolumeError(f"path {path!r} must be relative and stay inside the volume")
